/* ReferenceGrant. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/reference_grant.h"

#include "control/kind/format.h"
#include "control/kind/shapes.h"

static const struct decode_field from_fields[] = {
    {"group", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_grant_from, group),
     .format = &format_group},
    {"kind", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_grant_from, kind),
     .format = &format_kind},
    {"namespace", DECODE_TEXT, .is_required = true,
     .offset = offsetof(struct kind_grant_from, namespace), .format = &format_label},
};

static const struct decode_shape from_shape = {
    .size = sizeof(struct kind_grant_from),
    .fields = from_fields,
    .count = ARRAY_LEN(from_fields),
};

static const struct decode_field to_fields[] = {
    {"group", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_grant_to, group),
     .format = &format_group},
    {"kind", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_grant_to, kind),
     .format = &format_kind},
    {"name", DECODE_TEXT, .offset = offsetof(struct kind_grant_to, name),
     .format = &format_object_name},
};

static const struct decode_shape to_shape = {
    .size = sizeof(struct kind_grant_to),
    .fields = to_fields,
    .count = ARRAY_LEN(to_fields),
};

static const struct decode_field grant_fields[] = {
    {"from", DECODE_LIST, .is_required = true,
     .offset = offsetof(struct kind_reference_grant, from),
     .second = offsetof(struct kind_reference_grant, from_count), .shape = &from_shape, .min = 1,
     .max = 16},
    {"to", DECODE_LIST, .is_required = true, .offset = offsetof(struct kind_reference_grant, to),
     .second = offsetof(struct kind_reference_grant, to_count), .shape = &to_shape, .min = 1,
     .max = 16},
};

const struct decode_shape kind_shape_reference_grant = {
    .size = sizeof(struct kind_reference_grant),
    .fields = grant_fields,
    .count = ARRAY_LEN(grant_fields),
};
