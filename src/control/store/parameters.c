/* The only kind of parameters is GatewayParameters. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/store/parameters.h"

#include "control/kind/gateway.h"
#include "control/kind/gateway_class.h"
#include "control/kind/gateway_parameters.h"
#include "control/kind/service.h"

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

struct text parameters_of_gateway(struct store *store, const struct kind_object *gateway,
                                  struct arena *arena, const struct kind_object **ret_object)
{
    static const char FIELD[] = "spec.infrastructure.parametersRef";
    const struct kind_infrastructure *wanted = gateway->gateway->infrastructure;
    const struct kind_object *class =
        store_get(store, KIND_GATEWAY_CLASS, TEXT_NONE, gateway->gateway->class_name);
    struct text no = find(store, wanted == NULL ? NULL : wanted->parameters,
                          gateway->meta.namespace, FIELD, arena, ret_object);
    if (no.len > 0 || *ret_object == NULL)
        return no;
    if (class != NULL && parameters_fleet(store, class).len > 0)
        return arena_printf(arena,
                            "%s: the Gateways of the class " TEXT_FMT
                            " share their data planes, which are as the class's parameters say.",
                            FIELD, TEXT_ARG(class->meta.name));
    if ((*ret_object)->gateway_parameters->fleet == KIND_FLEET_SHARED)
        return arena_printf(arena,
                            "%s: spec.fleet of " TEXT_FMT
                            " is Shared, which only the parameters of a GatewayClass can say.",
                            FIELD, TEXT_ARG(wanted->parameters->name));
    return TEXT_NONE;
}

/* What names a GatewayParameters in a namespace; NULL: nothing does. */
static const struct kind_ref *usable(const struct kind_object *class)
{
    const struct kind_ref *ref = class->gateway_class->parameters;
    bool is_ours = ref != NULL && kind_find(ref->group, ref->kind) == KIND_GATEWAY_PARAMETERS;
    return is_ours && ref->namespace.len > 0 ? ref : NULL;
}

const struct kind_object *parameters_front(struct store *store, const struct kind_object *class)
{
    const struct kind_ref *ref = usable(class);
    if (ref == NULL)
        return NULL;
    struct store_list list = store_list_namespace(store, KIND_SERVICE, ref->namespace);
    for (size_t i = 0; i < list.count; i++) {
        struct text name = kind_pairs_get(&list.items[i]->meta.annotations, KIND_ANNOTATION_FLEET);
        if (text_equal(name, class->meta.name))
            return list.items[i];
    }
    return NULL;
}

struct text parameters_fleet(struct store *store, const struct kind_object *class)
{
    const struct kind_ref *ref = usable(class);
    if (ref == NULL)
        return TEXT_NONE;
    const struct kind_object *object =
        store_get(store, KIND_GATEWAY_PARAMETERS, ref->namespace, ref->name);
    bool is_shared = object == NULL ? parameters_front(store, class) != NULL
                                    : object->gateway_parameters->fleet == KIND_FLEET_SHARED;
    return is_shared ? ref->namespace : TEXT_NONE;
}
