/* Gateways: a view for routes first, then, once routes are counted, resources and status. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/view.h"

/* What is known at the end of a run. */
struct gateway_facts {
    const struct gateway_view *view;
    bool is_programmed;  /* a data plane has confirmed it */
    struct text refused; /* why its data planes cannot be as it asks; empty: nothing */
    struct text taken;   /* why it has none: their names are another's; empty: they are not */
};

/* The Gateway's own piece: Listener resources, wanted secrets, status. */
struct piece *gateway_piece(struct translation *t, const struct gateway_facts *facts);
/* The piece of an object that is a Gateway but not ours: faults only, or NULL. */
struct piece *gateway_stranger_piece(struct translation *t, const struct kind_object *object);
/* Listener resources of listeners [first, first + count), and the secrets they want. */
void gateway_add_resources(struct translation *t, const struct gateway_view *view,
                           struct piece *piece, size_t first, size_t count);
/* What a data plane said against exactly this Listener resource; empty: nothing. */
struct text gateway_refusal(struct translation *t, const struct gateway_view *view,
                            const struct listener_view *listener);
/* It has something to serve, and nothing stands in the way. */
bool gateway_wants_programmed(const struct gateway_view *view);
/* The status entries of listeners [first, first + count). */
void gateway_listener_statuses(struct translation *t, const struct gateway_facts *facts,
                               struct piece *piece, struct object_status *status, size_t first,
                               size_t count);
