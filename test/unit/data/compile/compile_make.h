/* Resources in few words, and changes made of them, for the tests of the compiler. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "data/compile/compile.h"
#include "nantian/config/v1/backend.pb-c.h"
#include "nantian/config/v1/endpoints.pb-c.h"
#include "nantian/config/v1/listener.pb-c.h"
#include "nantian/config/v1/policy.pb-c.h"
#include "nantian/config/v1/route.pb-c.h"
#include "nantian/config/v1/secret.pb-c.h"
#include "schema/pack.h"
#include "test.h"

#define STRING(literal) ((char *)(uintptr_t)(literal))

typedef Nantian__Config__V1__Listener Listener;
typedef Nantian__Config__V1__Route Route;
typedef Nantian__Config__V1__Backend Backend;
typedef Nantian__Config__V1__Endpoints Endpoints;
typedef Nantian__Config__V1__Filter Filter;

/* A compiler, and the change that is being written for it. */
struct world {
    struct arena arena;
    struct compile *compile;
    struct snapshot *snapshot; /* of the last change that was taken */
    struct compile_edit edits[64];
    size_t count;
    char fault[512]; /* "where | field | what" of the first fault of the last change */
    size_t fault_count;
};

static inline struct tls_certificate *make_pick(void *owner, const struct tls_hello *hello,
                                                struct tls_context **ret_rules)
{
    (void)owner, (void)hello, (void)ret_rules;
    return NULL;
}

static inline void world_init(struct world *world)
{
    *world = (struct world){0};
    arena_init(&world->arena, 0);
    struct compile_options options = {.pick = make_pick};
    world->compile = compile_new(&options);
}

static inline void world_fini(struct world *world)
{
    compile_free(world->compile);
    snapshot_unref(world->snapshot);
    arena_fini(&world->arena);
}

static inline void put(struct world *world, enum resource_type type, const char *name,
                       const void *message)
{
    world->edits[world->count++] =
        (struct compile_edit){.type = type,
                              .name = arena_text(&world->arena, text_of(name)),
                              .bytes = schema_pack(message, &world->arena)};
}

static inline void drop(struct world *world, enum resource_type type, const char *name)
{
    world->edits[world->count++] = (struct compile_edit){
        .type = type, .name = arena_text(&world->arena, text_of(name)), .removed = true};
}

/* True: taken, and world->snapshot is the new one. */
static inline bool apply(struct world *world)
{
    struct faults faults;
    faults_init(&faults, &world->arena);
    struct snapshot *snapshot = NULL;
    enum err err = compile_apply(world->compile, world->edits, world->count, TEXT("1.0.7"),
                                 (struct digest){1, 2}, &snapshot, &faults);
    world->count = 0;
    world->fault[0] = '\0';
    world->fault_count = faults.count;
    if (faults.count > 0)
        snprintf(world->fault, sizeof(world->fault), TEXT_FMT " | " TEXT_FMT " | " TEXT_FMT,
                 TEXT_ARG(faults.items[0].where), TEXT_ARG(faults.items[0].field),
                 TEXT_ARG(faults.items[0].what));
    assert_int_equal(err == ERR_NONE, faults.count == 0);
    faults_fini(&faults);
    if (err != ERR_NONE) {
        assert_null(snapshot);
        return false;
    }
    snapshot_unref(world->snapshot);
    world->snapshot = snapshot;
    return true;
}

static inline void taken(struct world *world)
{
    if (!apply(world))
        fail_msg("refused: %s", world->fault);
}

static inline void refused(struct world *world, const char *words)
{
    assert_false(apply(world));
    assert_string_equal(world->fault, words);
}

/* ---- resources ---- */

static inline Listener make_listener(uint32_t port, const char *hostname)
{
    Listener listener = NANTIAN__CONFIG__V1__LISTENER__INIT;
    listener.gateway = STRING("default/web");
    listener.name = STRING("http");
    listener.port = port;
    listener.protocol = NANTIAN__CONFIG__V1__LISTENER__PROTOCOL__HTTP;
    listener.hostname = STRING(hostname);
    return listener;
}

static inline void put_listener(struct world *world, const char *name, uint32_t port,
                                const char *hostname)
{
    Listener listener = make_listener(port, hostname);
    put(world, RESOURCE_LISTENER, name, &listener);
}

static inline void put_endpoints(struct world *world, const char *name, const char *address,
                                 uint32_t port)
{
    Nantian__Config__V1__Endpoint one = NANTIAN__CONFIG__V1__ENDPOINT__INIT;
    Nantian__Config__V1__Endpoint *all[] = {&one};
    Endpoints endpoints = NANTIAN__CONFIG__V1__ENDPOINTS__INIT;
    one.address = STRING(address);
    one.port = port;
    one.serving = true;
    endpoints.endpoints = all;
    endpoints.n_endpoints = 1;
    put(world, RESOURCE_ENDPOINTS, name, &endpoints);
}

static inline void put_backend(struct world *world, const char *name)
{
    Backend backend = NANTIAN__CONFIG__V1__BACKEND__INIT;
    backend.endpoints = STRING(name);
    put(world, RESOURCE_BACKEND, name, &backend);
    put_endpoints(world, name, "10.0.0.1", 8080);
}

struct make_route {
    Route message;
    Nantian__Config__V1__Route__Match match, *matches[1];
    Nantian__Config__V1__Route__Path path;
    Nantian__Config__V1__WeightedBackend backend, *backends[1];
    Filter filter, *filters[1];
    char *hostnames[1];
};

/* Rule 0 of HTTPRoute shop/`name` on `listener`: prefix `path` to `backend` (empty: to none). */
static inline void route_init(struct make_route *route, const char *listener, const char *name,
                              const char *path, const char *backend)
{
    *route = (struct make_route){
        .message = NANTIAN__CONFIG__V1__ROUTE__INIT,
        .match = NANTIAN__CONFIG__V1__ROUTE__MATCH__INIT,
        .path = NANTIAN__CONFIG__V1__ROUTE__PATH__INIT,
        .backend = NANTIAN__CONFIG__V1__WEIGHTED_BACKEND__INIT,
        .filter = NANTIAN__CONFIG__V1__FILTER__INIT,
    };
    route->message.listener = STRING(listener);
    route->message.kind = STRING("HTTPRoute");
    route->message.namespace_ = STRING("shop");
    route->message.name = STRING(name);
    route->matches[0] = &route->match;
    route->match.path = &route->path;
    route->path.value = STRING(path);
    route->message.matches = route->matches;
    route->message.n_matches = 1;
    route->backends[0] = &route->backend;
    route->backend.backend = STRING(backend);
    route->backend.weight = 1;
    route->message.backends = route->backends;
    route->message.n_backends = 1;
    route->filters[0] = &route->filter;
    route->message.filters = route->filters;
    route->message.hostnames = route->hostnames;
}

static inline void put_route_message(struct world *world, const struct make_route *route)
{
    char name[256];
    snprintf(name, sizeof(name), "%s|HTTPRoute/shop/%s/0", route->message.listener,
             route->message.name);
    put(world, RESOURCE_ROUTE, name, &route->message);
}

static inline void put_route(struct world *world, const char *listener, const char *name,
                             const char *path, const char *backend)
{
    struct make_route route;
    route_init(&route, listener, name, path, backend);
    put_route_message(world, &route);
}

static inline void put_secret(struct world *world, const char *name, const char *chain,
                              const char *key, const char *ca)
{
    Nantian__Config__V1__Secret secret = NANTIAN__CONFIG__V1__SECRET__INIT;
    secret.certificate_chain = (ProtobufCBinaryData){strlen(chain), (uint8_t *)STRING(chain)};
    secret.private_key = (ProtobufCBinaryData){strlen(key), (uint8_t *)STRING(key)};
    secret.ca = (ProtobufCBinaryData){strlen(ca), (uint8_t *)STRING(ca)};
    put(world, RESOURCE_SECRET, name, &secret);
}

/* ---- questions ---- */

static inline const struct listener_config *find_listener(const struct snapshot *snapshot,
                                                          const char *name)
{
    for (uint32_t b = 0; b < snapshot->binding_count; b++) {
        const struct binding *binding = snapshot->bindings[b];
        for (uint32_t i = 0; i < binding->listener_count; i++) {
            if (text_is(binding->listeners[i]->resource, name))
                return binding->listeners[i];
        }
    }
    return NULL;
}

/* The route of a GET on a listener, or NULL. */
static inline const struct route *find_route(const struct snapshot *snapshot, const char *listener,
                                             const char *host, const char *path)
{
    struct message request;
    message_init(&request);
    request.method_name = TEXT("GET");
    request.host = request.authority = text_of(host);
    request.path = text_of(path);
    struct route_hit hit = {0};
    const struct listener_config *config = find_listener(snapshot, listener);
    assert_non_null(config);
    return route_table_match(config->routes, &request, NULL, &hit) ? hit.route : NULL;
}
