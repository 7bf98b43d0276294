/* The only kind of parameters is GatewayParameters. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/store/parameters.h"

#include "control/kind/gateway.h"
#include "control/kind/gateway_class.h"

static struct text find(const struct store *store, const struct kind_ref *ref,
                        struct text namespace, const char *field, struct arena *arena,
                        const struct kind_object **ret_object)
{
    *ret_object = NULL;
    if (ref == NULL)
        return TEXT_NONE;
    if (kind_find(ref->group, ref->kind) != KIND_GATEWAY_PARAMETERS)
        return arena_printf(arena, "%s: only GatewayParameters of %s can be named.", field,
                            KIND_GROUP_NANTIAN);
    *ret_object = store_get(store, KIND_GATEWAY_PARAMETERS, namespace, ref->name);
    if (*ret_object != NULL)
        return TEXT_NONE;
    return arena_printf(arena, "%s: there is no GatewayParameters " TEXT_FMT "/" TEXT_FMT ".",
                        field, TEXT_ARG(namespace), TEXT_ARG(ref->name));
}

struct text parameters_of_class(const struct store *store, const struct kind_object *class,
                                struct arena *arena, const struct kind_object **ret_object)
{
    const struct kind_ref *ref = class->gateway_class->parameters;
    return find(store, ref, ref == NULL ? TEXT_NONE : ref->namespace, "spec.parametersRef", arena,
                ret_object);
}

struct text parameters_of_gateway(const struct store *store, const struct kind_object *gateway,
                                  struct arena *arena, const struct kind_object **ret_object)
{
    const struct kind_infrastructure *wanted = gateway->gateway->infrastructure;
    return find(store, wanted == NULL ? NULL : wanted->parameters, gateway->meta.namespace,
                "spec.infrastructure.parametersRef", arena, ret_object);
}
