/* From changes to what they reach. Marking too much costs time, too little would be wrong: where
 * telling exactly is hard and the change is rare, more is marked. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/run.h"

#include "control/kind/gateway.h"
#include "control/kind/gateway_class.h"
#include "control/kind/service.h"
#include "control/translate/listener_set.h"
#include "control/translate/secrets.h"
#include "control/translate/service_policy.h"

void run_init(struct run *run, struct outcome *outcome, struct store *store)
{
    *run = (struct run){.t = {
                            .store = store,
                            .options = &outcome->options,
                            .capabilities = outcome->capabilities,
                            .controller = outcome->controller,
                            .outcome = outcome,
                        }};
    arena_init(&run->t.scratch, 65536);
    arena_init(&run->t.run, 65536);
    struct map *maps[] = {&run->classes, &run->gateways, &run->sets,
                          &run->routes,  &run->policies, &run->services,
                          &run->secrets, &run->backends, &run->t.policies};
    for (size_t i = 0; i < ARRAY_LEN(maps); i++)
        map_init(maps[i]);
}

void run_fini(struct run *run)
{
    struct map *maps[] = {&run->classes, &run->gateways, &run->sets,
                          &run->routes,  &run->policies, &run->services,
                          &run->secrets, &run->backends, &run->t.policies};
    for (size_t i = 0; i < ARRAY_LEN(maps); i++)
        map_fini(maps[i]);
    arena_fini(&run->t.scratch);
    arena_fini(&run->t.run);
}

static void mark(struct run *run, struct map *set, struct text name, struct store_key key)
{
    if (map_get(set, name) != NULL)
        return;
    struct store_key *copy = arena_new(&run->t.run, struct store_key);
    *copy = piece_key_copy(&run->t.run, key);
    map_put(set, name, copy);
}

void run_mark(struct run *run, struct map *set, struct store_key key)
{
    mark(run, set, piece_key(&run->t.run, key), key);
}

static bool is_route(enum kind_id kind)
{
    return kind >= KIND_HTTP_ROUTE && kind <= KIND_UDP_ROUTE;
}

void run_mark_routes_of(struct run *run, struct store_key parent)
{
    struct store_keys keys = store_referrers(run->t.store, parent, &run->t.run);
    for (size_t i = 0; i < keys.count; i++) {
        if (is_route(keys.items[i].kind))
            run_mark(run, &run->routes, keys.items[i]);
    }
}

static void mark_backends(struct run *run, struct text namespace)
{
    struct store_key key = {KIND_NAMESPACE, TEXT_NONE, namespace};
    run_mark(run, &run->backends, key);
}

static void mark_backend(struct run *run, struct store_key key)
{
    mark(run, &run->services, sharing_path(&run->t.run, key), key);
}

static void mark_service(struct run *run, struct text namespace, struct text name)
{
    mark_backend(run, (struct store_key){KIND_SERVICE, namespace, name});
}

/* The Gateway that this set names now, and the one it was with. */
static void mark_set(struct run *run, struct store_key key)
{
    run_mark(run, &run->sets, key);
    const struct kind_object *object = store_get(run->t.store, key.kind, key.namespace, key.name);
    if (object != NULL) {
        struct store_key parent = listener_set_parent(object);
        if (parent.kind == KIND_GATEWAY)
            run_mark(run, &run->gateways, parent);
    }
    const struct piece *piece = outcome_piece(run->t.outcome, key);
    for (size_t i = 0; piece != NULL && i < piece->target_count; i++)
        run_mark(run, &run->gateways, piece->targets[i]);
    run_mark_routes_of(run, key);
}

static void mark_all_of(struct run *run, struct map *set, enum kind_id kind)
{
    struct store_list list = store_list(run->t.store, kind);
    for (size_t i = 0; i < list.count; i++)
        run_mark(run, set, piece_key_of(list.items[i]));
}

static void reach_class(struct run *run, struct store_key key)
{
    run_mark(run, &run->classes, key);
    mark_all_of(run, &run->gateways, KIND_GATEWAY); /* the first and the last class count for all */
}

static void mark_policies(struct run *run, struct text namespace)
{
    for (enum kind_id kind = KIND_ROUTE_POLICY; kind <= KIND_SECURITY_POLICY; kind++) {
        struct store_list list = store_list_namespace(run->t.store, kind, namespace);
        for (size_t i = 0; i < list.count; i++)
            run_mark(run, &run->policies, piece_key_of(list.items[i]));
    }
}

/* Secrets, ConfigMaps, ClusterTrustBundles: whoever names them, and the resource made of them. */
static void reach_material(struct run *run, struct store_key key)
{
    mark(run, &run->secrets, secrets_resource_name(&run->t.run, key), key);
    struct store_keys keys = store_referrers(run->t.store, key, &run->t.run);
    for (size_t i = 0; i < keys.count; i++) {
        if (keys.items[i].kind == KIND_GATEWAY)
            run_mark(run, &run->gateways, keys.items[i]);
        else if (keys.items[i].kind == KIND_LISTENER_SET)
            mark_set(run, keys.items[i]);
        else if (keys.items[i].kind == KIND_BACKEND_TLS_POLICY ||
                 keys.items[i].kind == KIND_X_BACKEND)
            mark_backends(run, keys.items[i].namespace);
    }
}

static void mark_gateways_of(struct run *run, const struct kind_object *class)
{
    struct store_list list = store_list(run->t.store, KIND_GATEWAY);
    for (size_t i = 0; i < list.count; i++)
        if (text_equal(list.items[i]->gateway->class_name, class->meta.name))
            run_mark(run, &run->gateways, piece_key_of(list.items[i]));
}

/* It may front a Gateway or all of a class, or have done so. */
static void reach_fronted(struct run *run, struct text namespace)
{
    struct store_list classes = store_list(run->t.store, KIND_GATEWAY_CLASS);
    for (size_t i = 0; !run->t.options->standalone && i < classes.count; i++) {
        const struct kind_ref *ref = classes.items[i]->gateway_class->parameters;
        if (ref != NULL && text_equal(ref->namespace, namespace))
            mark_gateways_of(run, classes.items[i]);
    }
    struct store_list list = store_list_namespace(run->t.store, KIND_GATEWAY, namespace);
    for (size_t i = 0; !run->t.options->standalone && i < list.count; i++)
        run_mark(run, &run->gateways, piece_key_of(list.items[i]));
}

static void reach_service(struct run *run, struct store_key key)
{
    reach_fronted(run, key.namespace);
    mark_service(run, key.namespace, key.name);
    run_mark_routes_of(run, key);
    if (service_policy_any(run->t.store, key.namespace))
        mark_backends(run, key.namespace);
}

/* Whether somebody is ready behind the Service of a Gateway, or of a class, says who serves it. */
static void reach_behind(struct run *run, struct text namespace, struct text name)
{
    const struct kind_object *service =
        run->t.options->standalone ? NULL : store_get(run->t.store, KIND_SERVICE, namespace, name);
    if (service == NULL)
        return;
    const struct kind_pairs *annotations = &service->meta.annotations;
    const struct kind_object *gateway =
        store_get(run->t.store, KIND_GATEWAY, namespace,
                  kind_pairs_get(annotations, KIND_ANNOTATION_GATEWAY));
    const struct kind_object *class = store_get(run->t.store, KIND_GATEWAY_CLASS, TEXT_NONE,
                                                kind_pairs_get(annotations, KIND_ANNOTATION_FLEET));
    if (gateway != NULL)
        run_mark(run, &run->gateways, piece_key_of(gateway));
    if (class != NULL)
        mark_gateways_of(run, class);
}

static void reach_slice(struct run *run, struct store_key key)
{
    const struct kind_object *object = store_get(run->t.store, key.kind, key.namespace, key.name);
    struct text service = TEXT_NONE;
    if (object != NULL && object->endpoint_slice->service_name.len > 0) {
        service = object->endpoint_slice->service_name;
        mark_service(run, key.namespace, service);
        reach_behind(run, key.namespace, service);
        service = piece_path(&run->t.run, key.namespace, service);
    }
    struct text before = sharing_place_slice(run->t.outcome, key, service, &run->t.run);
    if (before.len == 0)
        return;
    struct text name = text_slice(before, text_find(before, '/', 0) + 1, before.len);
    mark_service(run, key.namespace, name);
    reach_behind(run, key.namespace, name);
}

static void reach_x_backend(struct run *run, struct store_key key)
{
    run_mark(run, &run->policies, key);
    mark_backend(run, key);
    run_mark_routes_of(run, key);
}

/* Pieces with a reference into this namespace. */
static void reach_grant(struct run *run, struct text namespace)
{
    struct map_entry *entry;
    for (size_t at = 0; map_next(&run->t.outcome->pieces, &at, &entry);) {
        const struct piece *piece = entry->value;
        for (size_t i = 0; i < piece->foreign_count; i++) {
            if (!text_equal(piece->foreign[i], namespace))
                continue;
            if (is_route(piece->key.kind))
                run_mark(run, &run->routes, piece->key);
            else if (piece->key.kind == KIND_GATEWAY)
                run_mark(run, &run->gateways, piece->key);
            else if (piece->key.kind == KIND_X_BACKEND)
                reach_x_backend(run, piece->key);
        }
    }
}

static void mark_routes_in(struct run *run, struct text namespace)
{
    for (enum kind_id kind = KIND_HTTP_ROUTE; kind <= KIND_UDP_ROUTE; kind++) {
        struct store_list list = store_list_namespace(run->t.store, kind, namespace);
        for (size_t i = 0; i < list.count; i++)
            run_mark(run, &run->routes, piece_key_of(list.items[i]));
    }
}

/* Labels decide who may attach. */
static void reach_namespace(struct run *run, struct text namespace)
{
    mark_routes_in(run, namespace);
    struct store_list sets = store_list_namespace(run->t.store, KIND_LISTENER_SET, namespace);
    for (size_t i = 0; i < sets.count; i++)
        mark_set(run, piece_key_of(sets.items[i]));
}

/* A policy reaches the routes of its namespace, and those of the Gateways that it names or named.
 */
static void reach_policy(struct run *run, struct store_key key)
{
    run_mark(run, &run->policies, key);
    mark_routes_in(run, key.namespace);
    struct store_list gateways = store_list_namespace(run->t.store, KIND_GATEWAY, key.namespace);
    for (size_t i = 0; i < gateways.count; i++) {
        run_mark_routes_of(run, piece_key_of(gateways.items[i]));
        struct store_list sets = store_list(run->t.store, KIND_LISTENER_SET);
        for (size_t k = 0; k < sets.count; k++) {
            if (piece_keys_equal(listener_set_parent(sets.items[k]),
                                 piece_key_of(gateways.items[i])))
                run_mark_routes_of(run, piece_key_of(sets.items[k]));
        }
    }
    const struct piece *piece = outcome_piece(run->t.outcome, key);
    for (size_t i = 0; piece != NULL && i < piece->target_count; i++)
        run_mark_routes_of(run, piece->targets[i]);
}

/* A ListenerSet says whether its Gateway exists. */
static void reach_gateway(struct run *run, struct store_key key)
{
    run_mark(run, &run->gateways, key);
    mark_policies(run, key.namespace);
    struct store_list sets = store_list(run->t.store, KIND_LISTENER_SET);
    for (size_t i = 0; i < sets.count; i++) {
        if (piece_keys_equal(listener_set_parent(sets.items[i]), key))
            run_mark(run, &run->sets, piece_key_of(sets.items[i]));
    }
}

static void reach_parameters(struct run *run, struct store_key key)
{
    struct store_keys keys = store_referrers(run->t.store, key, &run->t.run);
    for (size_t i = 0; i < keys.count; i++) {
        if (keys.items[i].kind == KIND_GATEWAY_CLASS)
            reach_class(run, keys.items[i]);
        else if (keys.items[i].kind == KIND_GATEWAY)
            run_mark(run, &run->gateways, keys.items[i]);
    }
}

static void reach(struct run *run, struct store_key key)
{
    switch (key.kind) {
    case KIND_GATEWAY_CLASS:
        reach_class(run, key);
        break;
    case KIND_GATEWAY:
        reach_gateway(run, key);
        break;
    case KIND_LISTENER_SET:
        mark_set(run, key);
        break;
    case KIND_HTTP_ROUTE:
    case KIND_GRPC_ROUTE:
    case KIND_TLS_ROUTE:
    case KIND_TCP_ROUTE:
    case KIND_UDP_ROUTE:
        run_mark(run, &run->routes, key);
        break;
    case KIND_REFERENCE_GRANT:
        reach_grant(run, key.namespace);
        break;
    case KIND_BACKEND_TLS_POLICY:
    case KIND_BACKEND_LB_POLICY:
    case KIND_BACKEND_TRAFFIC_POLICY:
        run_mark(run, &run->policies, key);
        mark_backends(run, key.namespace);
        break;
    case KIND_X_BACKEND:
        reach_x_backend(run, key);
        break;
    case KIND_SERVICE:
        reach_service(run, key);
        break;
    case KIND_ENDPOINT_SLICE:
        reach_slice(run, key);
        break;
    case KIND_SECRET:
    case KIND_CONFIG_MAP:
    case KIND_CLUSTER_TRUST_BUNDLE:
        reach_material(run, key);
        break;
    case KIND_NAMESPACE:
        reach_namespace(run, key.name);
        break;
    case KIND_ROUTE_POLICY:
    case KIND_SECURITY_POLICY:
        reach_policy(run, key);
        break;
    case KIND_GATEWAY_PARAMETERS:
        reach_parameters(run, key);
        break;
    case KIND_NONE:
    case KIND_COUNT:
        break;
    }
}

void run_reach(struct run *run, const struct store_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        reach(run, changes->items[i].key);
}

void run_reach_classes(struct run *run)
{
    mark_all_of(run, &run->classes, KIND_GATEWAY_CLASS);
}

void run_reach_all(struct run *run)
{
    static const enum kind_id OBJECTS[] = {KIND_GATEWAY_CLASS, KIND_GATEWAY,    KIND_LISTENER_SET,
                                           KIND_HTTP_ROUTE,    KIND_GRPC_ROUTE, KIND_TLS_ROUTE,
                                           KIND_TCP_ROUTE,     KIND_UDP_ROUTE};
    struct map *sets[] = {&run->classes, &run->gateways, &run->sets,   &run->routes,
                          &run->routes,  &run->routes,   &run->routes, &run->routes};
    for (size_t i = 0; i < ARRAY_LEN(OBJECTS); i++)
        mark_all_of(run, sets[i], OBJECTS[i]);
    mark_all_of(run, &run->policies, KIND_BACKEND_TLS_POLICY);
    mark_all_of(run, &run->policies, KIND_BACKEND_LB_POLICY);
    mark_all_of(run, &run->policies, KIND_BACKEND_TRAFFIC_POLICY);
    mark_all_of(run, &run->policies, KIND_X_BACKEND);
    mark_all_of(run, &run->policies, KIND_ROUTE_POLICY);
    mark_all_of(run, &run->policies, KIND_SECURITY_POLICY);
    struct store_list slices = store_list(run->t.store, KIND_ENDPOINT_SLICE);
    for (size_t i = 0; i < slices.count; i++)
        reach_slice(run, piece_key_of(slices.items[i]));
}
