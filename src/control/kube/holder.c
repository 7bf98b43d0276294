/* The Service says it: it is applied before the pods that serve as its Gateway. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/holder.h"

#include "control/kind/service.h"
#include "control/store/parameters.h"

static bool is_ours(const struct outcome *outcome, const struct kind_meta *meta)
{
    if (outcome == NULL)
        return true;
    struct text fleet = outcome_fleet(outcome, meta->namespace, meta->name);
    return fleet.len > 0 && fleet.data[0] != '/'; /* else it needs none of its own */
}

/* As Gateway API resolves conflicts. */
static bool is_before(const struct kind_meta *a, const struct kind_meta *b)
{
    if (a->created != b->created)
        return a->created < b->created;
    return text_compare(a->name, b->name) < 0;
}

struct text holder_find(struct store *store, const struct outcome *outcome, struct text namespace,
                        struct text object)
{
    const struct kind_object *service = store_get(store, KIND_SERVICE, namespace, object);
    struct text said = service == NULL
                           ? TEXT_NONE
                           : kind_pairs_get(&service->meta.annotations, KIND_ANNOTATION_GATEWAY);
    if (said.len > 0)
        return said;
    struct store_list gateways = store_list_namespace(store, KIND_GATEWAY, namespace);
    const struct kind_meta *first = NULL;
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < gateways.count; i++) {
        const struct kind_object *gateway = gateways.items[i];
        if (text_equal(fleet_of_gateway(gateway, &arena).name, object) &&
            is_ours(outcome, &gateway->meta) && (first == NULL || is_before(&gateway->meta, first)))
            first = &gateway->meta;
    }
    arena_fini(&arena);
    return first == NULL ? TEXT_NONE : first->name;
}

struct text holder_of_account(struct store *store, const struct outcome *outcome,
                              struct text namespace, struct text account, struct arena *arena)
{
    struct store_list classes = store_list(store, KIND_GATEWAY_CLASS);
    for (size_t i = 0; i < classes.count; i++) {
        struct fleet fleet;
        if (text_equal(parameters_fleet(store, classes.items[i]), namespace) &&
            fleet_of_class(store, classes.items[i], arena, &fleet) &&
            text_equal(fleet.name, account))
            return fleet.path;
    }
    const struct kind_object *gateway =
        store_get(store, KIND_GATEWAY, namespace, holder_find(store, outcome, namespace, account));
    if (gateway == NULL)
        return TEXT_NONE;
    struct fleet own = fleet_of_gateway(gateway, arena);
    return text_equal(own.name, account) ? own.path : TEXT_NONE;
}
