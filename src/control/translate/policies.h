/* RoutePolicy and SecurityPolicy (gateway.nantian.dev): what they add to rules, and their status.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/route.h"

/* What all policies on a route and its Gateway come to. */
struct policies_effect {
    /* Of the closest policy that says it; NULL: none does. */
    const struct kind_duration *request, *backend_request, *connect, *next_upstream;
    const struct kind_limit *body_bytes_max, *header_bytes_max;
    Nantian__Config__V1__Filter **filters; /* before those of the rule */
    size_t filter_count;
    Nantian__Config__V1__Filter *cors; /* of the closest policy; NULL: none */
};

/* Fails closed: a SecurityPolicy that the data plane cannot obey refuses the routes it targets. */
void policies_check(struct route_build *build);
void policies_collect(struct route_build *build, const struct gateway_view *view,
                      struct policies_effect *ret_effect);
void policies_apply(const struct policies_effect *effect, const struct route_own *own,
                    Nantian__Config__V1__Route *rule, struct arena *arena);

/* An ExtensionRef filter of a rule. False: the kind or the object is not known (500). */
bool policies_extension(struct route_build *build, const struct kind_ref *ref,
                        const struct route_spot *spot, struct policies_effect *effect);

/* CORS on the wire, whoever wrote it. */
Nantian__Config__V1__Filter *policies_cors(struct arena *arena, const struct kind_cors *from);

/* The status of the policy itself. */
struct piece *policies_piece(struct translation *t, const struct kind_object *object);
