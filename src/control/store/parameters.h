/* What parametersRef names, of a GatewayClass and of a Gateway, and whose data planes a Gateway has
 * by that. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/store/store.h"

/* *ret_object is NULL when nothing is named. Returns why what is named is no good, in `arena`;
 * empty: it is. */
struct text parameters_of_class(const struct store *store, const struct kind_object *class,
                                struct arena *arena, const struct kind_object **ret_object);
struct text parameters_of_gateway(struct store *store, const struct kind_object *gateway,
                                  struct arena *arena, const struct kind_object **ret_object);

/* The namespace of the data planes that the Gateways of the class share; empty: each has its own.
 * While the parameters are away it is as what stands says. Borrowed from the class. */
struct text parameters_fleet(struct store *store, const struct kind_object *class);
/* The Service in front of what is shared, in the namespace that the class's parameters are of;
 * NULL: there is none. */
const struct kind_object *parameters_front(struct store *store, const struct kind_object *class);
