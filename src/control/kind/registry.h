/* Which kinds there are, in which versions, and how each is decoded. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/decode.h"

struct registry_kind {
    enum kind_id id;
    const char *group, *name;
    const char *versions[4];   /* served, the preferred one first; NULL ends */
    const char *deprecated[3]; /* of these */
    bool is_namespaced;
    bool has_spec; /* else the fields stand beside metadata */
    const struct decode_shape *shape;
    const struct decode_format *name_format;
    const struct decode_shape *alpha_shape; /* of v1alpha2 where it differs, or NULL */
};

/* NULL: not one of ours. */
const struct registry_kind *registry_find(struct text group, struct text kind);
const struct registry_kind *registry_get(enum kind_id id);
/* One of ours of that name in any group, or spelt nearly so in this group; NULL: none. */
const struct registry_kind *registry_guess(struct text group, struct text kind);
