/* The backendRefs of HTTPRoute and GRPCRoute: those that have filters of their own. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/format.h"
#include "control/kind/shapes.h"

static const struct decode_field http_backend_fields[] = {
    {"group", DECODE_TEXT, .offset = offsetof(struct kind_backend_ref, group), .otherwise = "",
     .format = &format_group},
    {"kind", DECODE_TEXT, .offset = offsetof(struct kind_backend_ref, kind), .otherwise = "Service",
     .format = &format_kind},
    {"namespace", DECODE_TEXT, .offset = offsetof(struct kind_backend_ref, namespace),
     .format = &format_label},
    {"name", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_backend_ref, name),
     .format = &format_object_name},
    {"port", DECODE_INT32, .offset = offsetof(struct kind_backend_ref, port), .min = 1,
     .max = 65535},
    {"weight", DECODE_INT32, .offset = offsetof(struct kind_backend_ref, weight), .number = 1,
     .min = 0, .max = 1000000},
    {"filters", DECODE_LIST, .offset = offsetof(struct kind_backend_ref, filters),
     .second = offsetof(struct kind_backend_ref, filter_count), .shape = &kind_shape_http_filter,
     .max = 16},
};

static const struct decode_field grpc_backend_fields[] = {
    {"group", DECODE_TEXT, .offset = offsetof(struct kind_backend_ref, group), .otherwise = "",
     .format = &format_group},
    {"kind", DECODE_TEXT, .offset = offsetof(struct kind_backend_ref, kind), .otherwise = "Service",
     .format = &format_kind},
    {"namespace", DECODE_TEXT, .offset = offsetof(struct kind_backend_ref, namespace),
     .format = &format_label},
    {"name", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_backend_ref, name),
     .format = &format_object_name},
    {"port", DECODE_INT32, .offset = offsetof(struct kind_backend_ref, port), .min = 1,
     .max = 65535},
    {"weight", DECODE_INT32, .offset = offsetof(struct kind_backend_ref, weight), .number = 1,
     .min = 0, .max = 1000000},
    {"filters", DECODE_LIST, .offset = offsetof(struct kind_backend_ref, filters),
     .second = offsetof(struct kind_backend_ref, filter_count), .shape = &kind_shape_grpc_filter,
     .max = 16},
};

static void check_backend_filters(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_backend_ref *backend = out;
    kind_check_backend(decode, out, map);
    kind_check_filters(decode, map, backend->filters, backend->filter_count);
}

const struct decode_shape kind_shape_http_backend = {
    .size = sizeof(struct kind_backend_ref),
    .fields = http_backend_fields,
    .count = ARRAY_LEN(http_backend_fields),
    .check = check_backend_filters,
};

const struct decode_shape kind_shape_grpc_backend = {
    .size = sizeof(struct kind_backend_ref),
    .fields = grpc_backend_fields,
    .count = ARRAY_LEN(grpc_backend_fields),
    .check = check_backend_filters,
};
