/* ListenerSets: listeners of a Gateway that somebody else owns. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/gateway.h"

/* The Gateway that a set names. */
struct store_key listener_set_parent(const struct kind_object *set);
/* Those that name this Gateway, in order of precedence (age, then namespace and name). */
const struct kind_object **listener_set_list(struct translation *t, struct store_key gateway,
                                             size_t *ret_count);
/* The set's piece, given its Gateway's; a set of no Gateway of ours has only faults. */
struct piece *listener_set_piece(struct translation *t, const struct gateway_facts *facts,
                                 const struct set_view *set);
struct piece *listener_set_stranger_piece(struct translation *t, const struct kind_object *object);
