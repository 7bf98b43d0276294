/* Connections to backends, per worker: taken newest first, waited for, given back, retired. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/pool.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "data/upstream/pool_internal.h"
#include "data/upstream/pool_queue.h"
#include "data/upstream/pool_room.h"

static void on_ready(void *owner, struct http_connection *http);
static void on_closed(void *owner, struct http_connection *http, enum err err);

static const struct http_connection_events CONNECTION_EVENTS = {
    .on_ready = on_ready,
    .on_closed = on_closed,
};

/* -- waiters -- */

/* `room` is given back with it. */
static bool connect_to(struct pool *pool, struct pool_endpoint *endpoint,
                       struct pool_waiter *waiter, struct shared_room *room)
{
    struct pool_set *set = pool->set;
    const struct backend *backend = pool->backend;
    uint32_t connect_ms = waiter->connect_ms > 0 ? waiter->connect_ms : backend->connect_timeout_ms;
    struct pool_connection *connection = memory_new(struct pool_connection);
    connection->endpoint = endpoint;
    connection->generation = pool->generation;
    connection->waiter = waiter;
    connection->is_h2 = backend->protocol == BACKEND_H2;
    connection->started_ns = loop_now_ns(set->loop);
    waiter->endpoint = endpoint;
    pool_count(&set->connects, 1);
    connection->http = http_connect(
        set->loop, &endpoint->address, backend->tls, backend->server_name, connect_ms,
        connection->is_h2 ? &pool->settings_h2 : &pool->settings, &CONNECTION_EVENTS, connection);
    if (connection->http == NULL) {
        pool_count(&set->connect_failures, 1);
        (void)pool_room_give(pool, room);
        free(connection);
        return false;
    }
    connection->room = room;
    waiter->connecting = connection;
    connection->all_next = set->all;
    if (set->all != NULL)
        set->all->all_previous = connection;
    set->all = connection;
    if (connection->is_h2)
        endpoint->connecting = connection;
    endpoint->connections++;
    pool->connections++;
    set->connection_count++;
    return true;
}

/* A connection that is coming up carries as many as a peer usually allows. */
static bool can_share(const struct pool_endpoint *endpoint)
{
    const struct pool_connection *connection = endpoint->connecting;
    return connection != NULL && connection->sharing.count + 1 < LIMIT_H2_STREAMS;
}

static void share_connecting(struct pool_endpoint *endpoint, struct pool_waiter *waiter)
{
    pool_queue_push(&endpoint->connecting->sharing, waiter);
    waiter->connecting = endpoint->connecting;
    waiter->endpoint = endpoint;
}

/* The peer allows no stream at all now: another connection would not help. */
static bool is_blocked(const struct pool_endpoint *endpoint)
{
    const struct pool_connection *at = endpoint->idle;
    for (; at != NULL; at = at->next)
        if (at->is_h2 && at->http->stream_count == 0 && !http_can_open(at->http))
            return true;
    return false;
}

static struct pool_endpoint *choose(struct pool *pool, const struct balancer_ask *ask)
{
    if (ask->has_wish) {
        const struct endpoint *wish = backend_endpoint(pool->backend, ask->wish);
        struct balancer_item *item =
            wish == NULL ? NULL : pool->items[wish - pool->backend->endpoints];
        if (item != NULL && balancer_is_usable(&pool->balancer, item, ask))
            return pool_endpoint_of(item);
    }
    struct balancer_item *item = balancer_pick(&pool->balancer, ask);
    return item == NULL ? NULL : pool_endpoint_of(item);
}

/* Starts connections for those who wait, as far as the limit allows. */
void pool_serve(struct pool *pool)
{
    while (pool->waiting.first != NULL) {
        struct pool_waiter *waiter = pool->waiting.first;
        struct pool_endpoint *endpoint = waiter->bound;
        if (endpoint == NULL)
            endpoint = choose(pool, waiter->ask);
        if (endpoint == NULL)
            return;
        struct shared_room *room = NULL;
        bool shares = can_share(endpoint);
        if (!shares && (is_blocked(endpoint) || !pool_room_take(pool, &room)))
            return;
        pool_queue_remove(waiter);
        if (shares)
            share_connecting(endpoint, waiter);
        else if (!connect_to(pool, endpoint, waiter, room))
            waiter->on_failed(waiter->owner, ERR_SYSTEM, "socket");
    }
}

/* -- connections come and go -- */

static void give(struct pool_connection *connection, struct pool_waiter *waiter)
{
    connection->uses++;
    waiter->endpoint = connection->endpoint;
    waiter->on_connection(waiter->owner, connection);
}

static bool is_stale(const struct pool_connection *connection)
{
    const struct pool_endpoint *endpoint = connection->endpoint;
    const struct pool *pool = endpoint->pool;
    return endpoint->removed || pool->is_retired || connection->generation != pool->generation ||
           (!connection->is_idle && endpoint->idle_count >= LIMIT_POOL_IDLE);
}

/* For the first time it may serve all who waited for it; then whoever waits for any. */
static void give_shares(struct pool_connection *connection)
{
    struct pool *pool = connection->endpoint->pool;
    while (connection->sharing.first != NULL && http_can_open(connection->http))
        give(connection, pool_queue_remove(connection->sharing.first));
    pool_queue_fail(&connection->sharing, ERR_CLOSED, "no stream");
    struct pool_waiter *waiter;
    while (http_can_open(connection->http) && !is_stale(connection) &&
           (waiter = pool_queue_find(&pool->waiting, connection->endpoint)) != NULL)
        give(connection, pool_queue_remove(waiter));
}

static void on_ready_h2(struct pool_connection *connection)
{
    struct pool *pool = connection->endpoint->pool;
    struct pool_waiter *waiter = connection->waiter;
    connection->waiter = NULL;
    pool->locks++;
    if (!connection->is_idle && !is_stale(connection) && !connection->http->draining)
        pool_idle_push(connection);
    if (waiter != NULL) {
        waiter->connecting = NULL;
        give(connection, waiter);
    }
    give_shares(connection);
    if (is_stale(connection))
        http_drain(connection->http, 0);
    pool_room_yield(pool);
    pool_unlock(pool);
}

static void on_ready(void *owner, struct http_connection *http)
{
    struct pool_connection *connection = owner;
    struct pool *pool = connection->endpoint->pool;
    struct pool_waiter *waiter = connection->waiter;
    if (!connection->is_ready) {
        connection->is_ready = true;
        connection->ready_ns = loop_now_ns(pool->set->loop);
        if (connection->endpoint->connecting == connection)
            connection->endpoint->connecting = NULL;
    }
    if (connection->is_h2) {
        on_ready_h2(connection);
        return;
    }
    connection->waiter = NULL;
    if (waiter != NULL) {
        waiter->connecting = NULL;
        give(connection, waiter);
    } else if (is_stale(connection) ||
               (UNLIKELY(connection->room != NULL) && pool_room_is_due(pool, connection))) {
        http_drain(http, 0);
    } else if ((waiter = pool_queue_find(&pool->waiting, connection->endpoint)) != NULL) {
        give(connection, pool_queue_remove(waiter));
    } else if (!connection->is_idle) {
        pool_idle_push(connection);
        if (UNLIKELY(connection->room != NULL))
            pool_room_yield(pool);
    }
}

static void unlink_connection(struct pool_set *set, struct pool_connection *connection)
{
    if (connection->all_previous != NULL)
        connection->all_previous->all_next = connection->all_next;
    else
        set->all = connection->all_next;
    if (connection->all_next != NULL)
        connection->all_next->all_previous = connection->all_previous;
    set->connection_count--;
}

static void on_closed(void *owner, struct http_connection *http, enum err err)
{
    struct pool_connection *connection = owner;
    struct pool_endpoint *endpoint = connection->endpoint;
    struct pool *pool = endpoint->pool;
    struct pool_waiter *waiter = connection->waiter;
    const char *why = http->why;
    pool->locks++;
    if (connection->is_idle)
        pool_idle_remove(connection);
    unlink_connection(pool->set, connection);
    endpoint->connections--;
    pool->connections--;
    if (endpoint->connecting == connection)
        endpoint->connecting = NULL;
    if (!connection->is_ready)
        pool_count(&pool->set->connect_failures, 1);
    err = err == ERR_NONE ? ERR_CLOSED : err;
    why = why == NULL ? "connect" : why;
    if (waiter != NULL) {
        waiter->connecting = NULL;
        waiter->on_failed(waiter->owner, err, why);
    }
    pool_queue_fail(&connection->sharing, err, why);
    if (!pool_room_give(pool, connection->room))
        pool_serve(pool);
    free(connection->local);
    free(connection);
    pool_unlock(pool);
}

/* -- asking -- */

static struct pool_connection *take_idle(struct pool *pool, struct pool_endpoint *endpoint)
{
    struct pool_connection *next;
    for (struct pool_connection *at = endpoint->idle; at != NULL; at = next) {
        next = at->next;
        bool can_open = http_can_open(at->http);
        if (!at->is_h2 || at->http->draining)
            pool_idle_remove(at);
        if (can_open) {
            at->uses++;
            pool_count(&pool->set->reuses, 1);
            return at;
        }
    }
    return NULL;
}

enum err pool_acquire(struct pool *pool, const struct balancer_ask *ask, bool fresh,
                      struct pool_waiter *waiter, struct pool_connection **ret_connection)
{
    if (UNLIKELY(pool->warm_next_ns != 0) && loop_now_ns(pool->set->loop) >= pool->warm_next_ns) {
        pool_weigh(pool);
        balancer_refresh(&pool->balancer);
    }
    bool unresolved = pool->count == 0 && pool->backend->dns_name.len > 0;
    struct pool_endpoint *endpoint = choose(pool, ask);
    waiter->ask = ask;
    bool is_particular = ask->has_wish || (ask->has_hash && pool->backend->table != NULL);
    waiter->bound = is_particular ? endpoint : NULL;
    if (endpoint == NULL && !unresolved)
        return ERR_REFUSED;
    if (endpoint != NULL) {
        struct pool_connection *idle = fresh ? NULL : take_idle(pool, endpoint);
        waiter->endpoint = endpoint;
        if (idle != NULL) {
            *ret_connection = idle;
            return ERR_NONE;
        }
        if (can_share(endpoint)) {
            share_connecting(endpoint, waiter);
            return ERR_AGAIN;
        }
        struct shared_room *room;
        if (!is_blocked(endpoint) && pool_room_take(pool, &room))
            return connect_to(pool, endpoint, waiter, room) ? ERR_AGAIN : ERR_SYSTEM;
    }
    uint32_t max_pending = pool->backend->max_pending;
    if (max_pending != 0 && !shared_gauge_take(pool->backend->pending, max_pending)) {
        pool_count(&pool->set->overflows, 1);
        return ERR_LIMIT;
    }
    waiter->pending = max_pending == 0 ? NULL : shared_gauge_ref(pool->backend->pending);
    pool_queue_push(&pool->waiting, waiter);
    waiter->queued = true;
    return ERR_AGAIN;
}

void pool_cancel(struct pool *pool, struct pool_waiter *waiter)
{
    (void)pool;
    if (waiter->queue != NULL) {
        pool_queue_remove(waiter);
    } else if (waiter->connecting != NULL) {
        /* The connection goes on and becomes idle: somebody else will want it. */
        waiter->connecting->waiter = NULL;
        waiter->connecting = NULL;
    }
}

struct text pool_local(struct pool_connection *connection)
{
    char text[ADDRESS_TEXT_MAX];
    if (connection->local == NULL) {
        struct address local = stream_local(&connection->http->stream);
        connection->local = memory_string(address_format(&local, text));
    }
    return text_of(connection->local);
}

struct pool_endpoint *pool_choose(struct pool *pool, const struct balancer_ask *ask)
{
    struct pool_endpoint *endpoint = choose(pool, ask);
    if (endpoint != NULL)
        pool_begin(endpoint);
    return endpoint;
}

bool pool_enter(struct pool *pool, struct shared_room **ret_room)
{
    uint32_t max = pool->backend->max_connections;
    *ret_room = NULL;
    if (max == 0)
        return true;
    if (!shared_room_take(pool->backend->room, max)) {
        pool_count(&pool->set->overflows, 1);
        return false;
    }
    *ret_room = shared_room_ref(pool->backend->room);
    return true;
}

void pool_exit(struct shared_room *room)
{
    if (room != NULL)
        shared_room_give(room);
    shared_room_unref(room);
}

struct backend *pool_backend(const struct pool *pool)
{
    return pool->backend;
}

uint32_t pool_size(const struct pool *pool)
{
    return pool->open_count;
}
