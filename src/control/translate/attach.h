/* Which listeners a route attaches to: parentRefs, allowed routes, hostnames. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/view.h"

/* A parentRef that names a Gateway of ours, or a ListenerSet of one. */
struct attach_parent {
    const struct kind_parent_ref *ref;
    size_t index; /* in spec.parentRefs */
    enum kind_id kind;
    struct text namespace;
    const struct gateway_view *view;
    struct verdict refused; /* reason NULL: it attaches to `listeners` */
    const struct listener_view **listeners;
    size_t listener_count;
};

struct attach_route {
    const struct kind_object *object;
    const struct kind_parents *parents;
    const struct text *hostnames; /* lower case */
    size_t hostname_count;
    bool is_unsupported; /* no data plane can carry this kind: listeners are not to blame */
};

/* In t->scratch, in the order of the parentRefs; what is wrong becomes faults of `piece`. */
struct attach_parent *attach_parents(struct translation *t, struct piece *piece,
                                     const struct attach_route *route, size_t *ret_count);
