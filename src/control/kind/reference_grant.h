/* ReferenceGrant: who in other namespaces may refer to objects of this one. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/common.h"

struct kind_grant_from {
    struct kind_place place;
    struct text group, kind, namespace;
};

struct kind_grant_to {
    struct kind_place place;
    struct text group, kind;
    struct text name; /* empty: all of that kind */
};

struct kind_reference_grant {
    struct kind_place place; /* of spec */
    struct kind_grant_from *from;
    size_t from_count;
    struct kind_grant_to *to;
    size_t to_count;
};
