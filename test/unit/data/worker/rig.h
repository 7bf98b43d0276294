/* A worker without a thread, a snapshot built by hand, listening sockets for backends. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/builder.h"
#include "base/clock.h"
#include "base/shared_counter.h"
#include "base/shared_room.h"
#include "data/worker/worker.h"
#include "test.h"

#define RIG_BACKENDS 3

struct rig {
    struct worker *worker;
    struct address address; /* of the door */
    int listening[RIG_BACKENDS];
    struct address backend[RIG_BACKENDS];
    char log_path[64];
    uint64_t number;
    /* What the next snapshot says. */
    uint32_t endpoint_count;
    uint32_t request_timeout_ms, backend_timeout_ms, connect_timeout_ms;
    struct retry_policy retry;
    uint32_t max_connections, max_pending;
    uint64_t body_bytes_max;
    bool has_route;
    /* Of the route, in its arena; NULL: none. */
    struct filter_chain *(*make_filters)(const struct rig *rig, struct arena *arena);
};

static inline int rig_listen(struct address *ret_address)
{
    struct address any;
    if (!address_parse_endpoint(TEXT("127.0.0.1:0"), &any))
        abort();
    int fd = listener_open(&any, false);
    assert_true(fd >= 0);
    *ret_address = listener_local(fd);
    return fd;
}

static inline struct route *rig_route(const struct rig *rig)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct route *route = arena_new(&arena, struct route);
    atomic_init(&route->refs, 1);
    route->resource = TEXT("default/web/http|HTTPRoute/default/app/0");
    route->listener = TEXT("default/web/http");
    route->kind = TEXT("HTTPRoute");
    route->namespace = TEXT("default");
    route->name = TEXT("app");
    route->label = TEXT("HTTPRoute/default/app/0");
    route->slot = 3;
    route->matches = arena_array(&arena, struct route_match, 1);
    route->matches[0] = (struct route_match){.path_kind = PATH_PREFIX, .path = TEXT("")};
    route->match_count = 1;
    route->backends = arena_array(&arena, struct weighted_backend, 1);
    route->backends[0] = (struct weighted_backend){
        .slot = 0, .weight = 1, .weight_end = 1, .name = TEXT("default/app:80")};
    route->backend_count = 1;
    route->weight_sum = 1;
    route->request_timeout_ms = rig->request_timeout_ms;
    route->backend_timeout_ms = rig->backend_timeout_ms;
    route->retry = rig->retry;
    if (rig->make_filters != NULL)
        route->filters = rig->make_filters(rig, &arena);
    route->arena = arena;
    return route;
}

static inline struct backend *rig_backend(const struct rig *rig)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct backend *backend = arena_new(&arena, struct backend);
    atomic_init(&backend->refs, 1);
    backend->name = TEXT("default/app:80");
    backend->connect_timeout_ms = rig->connect_timeout_ms;
    backend->max_connections = rig->max_connections;
    backend->max_pending = rig->max_pending;
    backend->room = shared_room_new();
    backend->pending = shared_gauge_new();
    backend->endpoints = arena_array(&arena, struct endpoint, rig->endpoint_count + 1);
    backend->endpoint_count = rig->endpoint_count;
    for (uint32_t i = 0; i < rig->endpoint_count; i++) {
        char text[ADDRESS_TEXT_MAX];
        backend->endpoints[i] = (struct endpoint){.address = rig->backend[i], .weight = 1};
        backend->endpoints[i].text = arena_text(&arena, address_format(&rig->backend[i], text));
    }
    backend->arena = arena;
    return backend;
}

static inline struct listener_config *rig_listener(const struct rig *rig)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct listener_config *listener = arena_new(&arena, struct listener_config);
    atomic_init(&listener->refs, 1);
    listener->resource = TEXT("default/web/http");
    listener->gateway = TEXT("default/web");
    listener->name = TEXT("http");
    listener->protocol = LISTENER_HTTP;
    listener->limits.body_bytes_max = rig->body_bytes_max;
    struct route_table *empty = route_table_new();
    struct route *route = rig_route(rig);
    struct route_edit edit = {.add = route};
    listener->routes = route_table_edit(empty, &edit, rig->has_route ? 1 : 0);
    route_unref(route);
    route_table_unref(empty);
    listener->arena = arena;
    return listener;
}

static inline struct snapshot *rig_snapshot(struct rig *rig)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct snapshot *snapshot = arena_new(&arena, struct snapshot);
    atomic_init(&snapshot->refs, 1);
    snapshot->number = ++rig->number;
    snapshot->version = TEXT("1.0.1");
    struct listener_config *listener = rig_listener(rig);
    struct binding_edit edit = {.hostname = TEXT(""), .listener = listener};
    struct binding *binding = binding_edit(NULL, &edit, 1);
    binding->address = rig->address;
    binding->protocol = LISTENER_HTTP;
    listener_config_unref(listener);
    snapshot->bindings = arena_array(&arena, struct binding *, 1);
    snapshot->bindings[0] = binding;
    snapshot->binding_count = 1;
    struct backend_table *empty = backend_table_new();
    struct backend *backend = rig_backend(rig);
    struct backend_edit change = {.slot = 0, .backend = backend};
    snapshot->backends = backend_table_edit(empty, &change, 1);
    backend_unref(backend);
    backend_table_unref(empty);
    snapshot->route_slots = 4;
    snapshot->listener_slots = 1;
    snapshot->backend_slots = 1;
    snapshot->arena = arena;
    return snapshot;
}

/* Makes the worker, or gives it another snapshot. */
static inline void rig_adopt(struct rig *rig)
{
    struct worker_socket socket = {.fd = -1};
    if (rig->worker == NULL) {
        snprintf(rig->log_path, sizeof(rig->log_path), "/tmp/nantian-test-%d.log", (int)getpid());
        unlink(rig->log_path);
        struct worker_options options = {.access_log = rig->log_path, .node = TEXT("node-1")};
        rig->worker = worker_new(&options);
        assert_non_null(rig->worker);
        socket.fd = rig_listen(&rig->address);
        socket.address = rig->address;
    }
    struct snapshot *snapshot = rig_snapshot(rig);
    worker_adopt(rig->worker, snapshot, &socket, socket.fd >= 0 ? 1 : 0);
    snapshot_unref(snapshot);
}

static inline void rig_open(struct rig *rig, uint32_t endpoints)
{
    *rig = (struct rig){.endpoint_count = endpoints, .has_route = true};
    for (int i = 0; i < RIG_BACKENDS; i++)
        rig->listening[i] = rig_listen(&rig->backend[i]);
}

static inline void rig_close(struct rig *rig)
{
    worker_free(rig->worker);
    for (int i = 0; i < RIG_BACKENDS; i++)
        if (rig->listening[i] >= 0)
            close(rig->listening[i]);
    unlink(rig->log_path);
}

static inline void rig_turn(struct rig *rig)
{
    loop_turn(rig->worker->loop, 2);
}
