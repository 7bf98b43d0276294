/* What parametersRef names, of a GatewayClass and of a Gateway. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/store/store.h"

/* *ret_object is NULL when nothing is named. Returns why what is named is no good, in `arena`;
 * empty: it is. */
struct text parameters_of_class(const struct store *store, const struct kind_object *class,
                                struct arena *arena, const struct kind_object **ret_object);
struct text parameters_of_gateway(const struct store *store, const struct kind_object *gateway,
                                  struct arena *arena, const struct kind_object **ret_object);
