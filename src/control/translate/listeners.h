/* Judging the listeners of a Gateway or ListenerSet: protocol, kinds, TLS, and each against the
 * others. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/view.h"

struct listeners_owner {
    const struct kind_object *object;   /* Gateway or ListenerSet */
    const struct kind_gateway *gateway; /* whose TLS settings hold */
    bool is_proxied;                    /* the Gateway says so, for all its listeners */
};

/* Fills in all but what depends on other listeners. */
void listeners_evaluate(struct translation *t, struct gateway_view *view,
                        const struct listeners_owner *owner, const struct kind_listener *listener,
                        struct listener_view *ret_view);
/* Conflicts of [first, first + count), which are of one object, with one another and with those
 * that have `claims`, which have precedence; who has none takes his. */
void listeners_find_conflicts(struct gateway_view *view, struct claims *claims, size_t first,
                              size_t count);
/* One bit for each route kind that the protocol can carry. */
uint32_t listeners_kinds_of(const struct translation *t, enum kind_protocol protocol,
                            bool is_terminated);
