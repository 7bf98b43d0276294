/* Connections to backends, per worker: taken newest first, waited for, given back, retired. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/pool.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/memory.h"
#include "data/upstream/pool_queue.h"

struct pool {
    struct pool_set *set;
    struct backend *backend; /* shares: of the newest snapshot seen for this slot */
    struct http_settings settings, settings_h2; /* for as long as there are connections */
    struct balancer balancer;
    struct balancer_item **items; /* owns the array; the items stand in pool_endpoint */
    uint32_t count, open_count;   /* all; the first so many are for everybody */
    uint32_t connections;
    uint32_t generation;
    struct pool_queue waiting;     /* no connection yet, none connecting */
    struct pool_endpoint *removed; /* until their last connection and request are gone */
    uint64_t warm_next_ns;         /* when weights are looked at again; 0: nobody starts slowly */
    bool is_retired;
    uint32_t locks; /* while it walks over itself: callbacks must not give it back */
    struct pool *next_retired;
};

static void on_ready(void *owner, struct http_connection *http);
static void on_closed(void *owner, struct http_connection *http, enum err err);

static const struct http_connection_events CONNECTION_EVENTS = {
    .on_ready = on_ready,
    .on_closed = on_closed,
};

static void add(_Atomic uint64_t *counter, int delta)
{
    atomic_store_explicit(counter,
                          atomic_load_explicit(counter, memory_order_relaxed) + (uint64_t)delta,
                          memory_order_relaxed);
}

void pool_set_init(struct pool_set *set, struct loop *loop)
{
    *set = (struct pool_set){.loop = loop};
}

/* -- idle connections -- */

static void idle_push(struct pool_connection *connection)
{
    struct pool_endpoint *endpoint = connection->endpoint;
    connection->previous = NULL;
    connection->next = endpoint->idle;
    if (endpoint->idle != NULL)
        endpoint->idle->previous = connection;
    endpoint->idle = connection;
    endpoint->idle_count++;
    connection->is_idle = true;
}

static void idle_remove(struct pool_connection *connection)
{
    struct pool_endpoint *endpoint = connection->endpoint;
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        endpoint->idle = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    connection->next = connection->previous = NULL;
    endpoint->idle_count--;
    connection->is_idle = false;
}

static void close_idle(struct pool_endpoint *endpoint)
{
    while (endpoint->idle != NULL) {
        struct pool_connection *connection = endpoint->idle;
        idle_remove(connection);
        http_drain(connection->http, 0);
    }
}

/* -- endpoints -- */

static struct pool_endpoint *endpoint_of(struct balancer_item *item)
{
    return CONTAINER_OF(item, struct pool_endpoint, item);
}

static void on_return(void *owner);

static struct pool_endpoint *endpoint_new(struct pool *pool, const struct endpoint *from)
{
    struct pool_endpoint *endpoint = memory_new(struct pool_endpoint);
    char text[ADDRESS_TEXT_MAX];
    endpoint->pool = pool;
    endpoint->address = from->address;
    timer_init(&endpoint->timer, endpoint, on_return);
    struct text shown = from->text.len > 0 ? from->text : address_format(&from->address, text);
    endpoint->text = (struct text){memory_string(shown), shown.len};
    return endpoint;
}

static void endpoint_free(struct pool_endpoint *endpoint)
{
    free((void *)(uintptr_t)endpoint->text.data);
    free(endpoint);
}

static void pool_collect(struct pool *pool);

static void pool_unlock(struct pool *pool)
{
    if (--pool->locks == 0)
        pool_collect(pool);
}

/* Removed endpoints go when nothing names them any more. */
static void sweep_removed(struct pool *pool)
{
    struct pool_endpoint **at = &pool->removed;
    while (*at != NULL) {
        struct pool_endpoint *endpoint = *at;
        if (endpoint->connections > 0 || endpoint->item.active > 0) {
            at = &endpoint->next_removed;
            continue;
        }
        *at = endpoint->next_removed;
        endpoint_free(endpoint);
    }
}

static void remove_endpoint(struct pool *pool, struct pool_endpoint *endpoint)
{
    for (struct pool_waiter *at = pool->waiting.first; at != NULL; at = at->next)
        if (at->bound == endpoint)
            at->bound = NULL;
    loop_disarm(pool->set->loop, &endpoint->timer);
    if (endpoint->is_ejected)
        add(&pool->set->out, -1);
    endpoint->is_ejected = false;
    endpoint->removed = true;
    endpoint->next_removed = pool->removed;
    pool->removed = endpoint;
    close_idle(endpoint);
}

/* Weights of now, and whether to look again. */
static void set_weights(struct pool *pool)
{
    uint64_t now_ns = loop_now_ns(pool->set->loop);
    uint32_t slow_ms = pool->backend->slow_start_ms;
    bool is_warming = false;
    for (uint32_t i = 0; i < pool->count; i++) {
        struct pool_endpoint *endpoint = endpoint_of(pool->items[i]);
        endpoint->item.weight = health_weight(endpoint->weight, slow_ms, endpoint->warm_ns, now_ns);
        if (slow_ms == 0 || endpoint->item.weight == endpoint->weight * 100)
            endpoint->warm_ns = 0;
        is_warming = is_warming || endpoint->warm_ns != 0;
    }
    /* A step in fifty is fine enough, and bounds the work for many endpoints. */
    pool->warm_next_ns = is_warming ? now_ns + slow_ms * UINT64_C(20000) + 1 : 0;
}

static void on_return(void *owner)
{
    struct pool_endpoint *endpoint = owner;
    struct pool *pool = endpoint->pool;
    uint64_t now_ns = loop_now_ns(pool->set->loop);
    add(&pool->set->out, -1);
    endpoint->is_ejected = false;
    endpoint->item.is_out = endpoint->is_down;
    endpoint->warm_ns = pool->backend->slow_start_ms > 0 ? now_ns : 0;
    health_return(&endpoint->health, now_ns);
    set_weights(pool);
    balancer_refresh(&pool->balancer);
}

static bool may_eject(const struct pool *pool)
{
    uint64_t out = 1;
    for (uint32_t i = 0; i < pool->open_count; i++)
        out += pool->items[i]->is_out;
    return out * 100 <= (uint64_t)pool->open_count * pool->backend->ejection.max_percent;
}

void pool_report(struct pool_endpoint *endpoint, enum health_result result)
{
    struct pool *pool = endpoint->pool;
    const struct ejection *policy = &pool->backend->ejection;
    if (LIKELY(policy->base_ms == 0) || !health_report(&endpoint->health, policy, result))
        return;
    if (endpoint->is_ejected || endpoint->removed || pool->is_retired || !may_eject(pool))
        return;
    uint64_t now_ns = loop_now_ns(pool->set->loop);
    loop_arm(pool->set->loop, &endpoint->timer, health_eject(&endpoint->health, policy, now_ns));
    endpoint->is_ejected = endpoint->item.is_out = true;
    add(&pool->set->ejections, 1);
    add(&pool->set->out, 1);
    balancer_refresh(&pool->balancer);
}

/* The endpoints that are there already are kept with their connections and counts. */
static void set_endpoints(struct pool *pool, const struct endpoint *endpoints, uint32_t count_new)
{
    struct map known;
    map_init(&known);
    for (uint32_t i = 0; i < pool->count; i++) {
        struct pool_endpoint *endpoint = endpoint_of(pool->items[i]);
        map_put(&known, endpoint->text, endpoint);
    }
    struct balancer_item **items =
        count_new == 0 ? NULL : memory_alloc(count_new * sizeof(struct balancer_item *));
    uint32_t filled = 0;
    for (uint32_t i = 0; i < count_new; i++) {
        char text[ADDRESS_TEXT_MAX];
        struct text key = endpoints[i].text.len > 0 ? endpoints[i].text
                                                    : address_format(&endpoints[i].address, text);
        struct pool_endpoint *endpoint = map_remove(&known, key);
        if (endpoint == NULL) {
            endpoint = endpoint_new(pool, &endpoints[i]);
            endpoint->warm_ns = pool->count > 0 ? loop_now_ns(pool->set->loop) : 0;
        }
        endpoint->weight = MAX(endpoints[i].weight, 1u);
        if (endpoint->is_down && !endpoints[i].is_down)
            endpoint->warm_ns = loop_now_ns(pool->set->loop);
        endpoint->is_down = endpoints[i].is_down;
        endpoint->is_reserved = i + pool->backend->reserved_count >= count_new;
        endpoint->item.is_far = endpoints[i].is_far;
        endpoint->item.is_out = endpoint->is_down || endpoint->is_ejected;
        items[filled++] = &endpoint->item;
    }
    free(pool->items);
    pool->items = items;
    pool->count = filled;
    pool->open_count = filled - pool->backend->reserved_count;
    const struct balancer_options options = {.kind = pool->backend->balance,
                                             .table = pool->backend->table,
                                             .panic_percent = pool->backend->panic_percent};
    set_weights(pool);
    balancer_set(&pool->balancer, &options, items, pool->open_count);
    size_t at = 0;
    struct map_entry *entry;
    pool->locks++;
    while (map_next(&known, &at, &entry))
        remove_endpoint(pool, entry->value);
    map_fini(&known);
    pool_unlock(pool);
}

/* -- waiters -- */

static bool connect_to(struct pool *pool, struct pool_endpoint *endpoint,
                       struct pool_waiter *waiter)
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
    add(&set->connects, 1);
    connection->http = http_connect(
        set->loop, &endpoint->address, backend->tls, backend->server_name, connect_ms,
        connection->is_h2 ? &pool->settings_h2 : &pool->settings, &CONNECTION_EVENTS, connection);
    if (connection->http == NULL) {
        add(&set->connect_failures, 1);
        free(connection);
        return false;
    }
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

static bool has_room(const struct pool *pool)
{
    return pool->backend->max_connections == 0 ||
           pool->connections < pool->backend->max_connections;
}

/* A connection that is coming up carries as many as a peer usually allows. */
static bool share_connecting(struct pool_endpoint *endpoint, struct pool_waiter *waiter)
{
    struct pool_connection *connection = endpoint->connecting;
    if (connection == NULL || connection->sharing.count + 1 >= LIMIT_H2_STREAMS)
        return false;
    pool_queue_push(&connection->sharing, waiter);
    waiter->connecting = connection;
    waiter->endpoint = endpoint;
    return true;
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
            return endpoint_of(item);
    }
    struct balancer_item *item = balancer_pick(&pool->balancer, ask);
    return item == NULL ? NULL : endpoint_of(item);
}

/* Starts connections for those who wait, as far as the limit allows. */
static void serve_waiters(struct pool *pool)
{
    while (pool->waiting.first != NULL) {
        struct pool_waiter *waiter = pool->waiting.first;
        struct pool_endpoint *endpoint = waiter->bound;
        if (endpoint == NULL)
            endpoint = choose(pool, waiter->ask);
        if (endpoint == NULL)
            return;
        if (endpoint->connecting == NULL && (!has_room(pool) || is_blocked(endpoint)))
            return;
        pool_queue_remove(waiter);
        if (!share_connecting(endpoint, waiter) && !connect_to(pool, endpoint, waiter))
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
    if (!connection->is_idle && !is_stale(connection))
        idle_push(connection);
    if (waiter != NULL) {
        waiter->connecting = NULL;
        give(connection, waiter);
    }
    give_shares(connection);
    if (is_stale(connection))
        http_drain(connection->http, 0);
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
    } else if (is_stale(connection)) {
        http_drain(http, 0);
    } else if ((waiter = pool_queue_find(&pool->waiting, connection->endpoint)) != NULL) {
        give(connection, pool_queue_remove(waiter));
    } else if (!connection->is_idle) {
        idle_push(connection);
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
        idle_remove(connection);
    unlink_connection(pool->set, connection);
    endpoint->connections--;
    pool->connections--;
    if (endpoint->connecting == connection)
        endpoint->connecting = NULL;
    if (!connection->is_ready)
        add(&pool->set->connect_failures, 1);
    err = err == ERR_NONE ? ERR_CLOSED : err;
    why = why == NULL ? "connect" : why;
    if (waiter != NULL) {
        waiter->connecting = NULL;
        waiter->on_failed(waiter->owner, err, why);
    }
    pool_queue_fail(&connection->sharing, err, why);
    free(connection->local);
    free(connection);
    serve_waiters(pool);
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
            idle_remove(at);
        if (can_open) {
            at->uses++;
            add(&pool->set->reuses, 1);
            return at;
        }
    }
    return NULL;
}

enum err pool_acquire(struct pool *pool, const struct balancer_ask *ask, bool fresh,
                      struct pool_waiter *waiter, struct pool_connection **ret_connection)
{
    if (UNLIKELY(pool->warm_next_ns != 0) && loop_now_ns(pool->set->loop) >= pool->warm_next_ns) {
        set_weights(pool);
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
        if (share_connecting(endpoint, waiter))
            return ERR_AGAIN;
        if (has_room(pool) && !is_blocked(endpoint))
            return connect_to(pool, endpoint, waiter) ? ERR_AGAIN : ERR_SYSTEM;
    }
    if (pool->backend->max_pending != 0 && pool->waiting.count >= pool->backend->max_pending) {
        add(&pool->set->overflows, 1);
        return ERR_LIMIT;
    }
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

void pool_begin(struct pool_endpoint *endpoint)
{
    endpoint->item.active++;
}

void pool_end(struct pool_endpoint *endpoint)
{
    CHECK(endpoint->item.active > 0);
    endpoint->item.active--;
    if (endpoint->removed)
        pool_collect(endpoint->pool);
}

struct pool_endpoint *pool_choose(struct pool *pool, const struct balancer_ask *ask)
{
    struct pool_endpoint *endpoint = choose(pool, ask);
    if (endpoint != NULL)
        pool_begin(endpoint);
    return endpoint;
}

/* -- pools and slots -- */

struct backend *pool_backend(const struct pool *pool)
{
    return pool->backend;
}

uint32_t pool_size(const struct pool *pool)
{
    return pool->open_count;
}

/* What the backend says now; 0 stands for the defaults of base/limits.h. */
static void apply_backend(struct pool *pool)
{
    pool->settings = (struct http_settings){.version = HTTP_1};
    pool->settings_h2 =
        (struct http_settings){.version = HTTP_2, .queue_ms = pool->backend->connect_timeout_ms};
    set_endpoints(pool, pool->backend->endpoints, pool->backend->endpoint_count);
}

static struct pool *pool_new(struct pool_set *set, struct backend *backend)
{
    struct pool *pool = memory_new(struct pool);
    pool->set = set;
    pool->backend = backend_ref(backend);
    balancer_init(&pool->balancer, loop_random(set->loop));
    apply_backend(pool);
    return pool;
}

static void pool_free(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->count; i++) {
        loop_disarm(pool->set->loop, &endpoint_of(pool->items[i])->timer);
        if (endpoint_of(pool->items[i])->is_ejected)
            add(&pool->set->out, -1);
        endpoint_free(endpoint_of(pool->items[i]));
    }
    free(pool->items);
    balancer_fini(&pool->balancer);
    backend_unref(pool->backend);
    free(pool);
}

static bool is_in_use(const struct pool *pool)
{
    if (pool->connections > 0 || pool->waiting.first != NULL || pool->removed != NULL)
        return true;
    for (uint32_t i = 0; i < pool->count; i++)
        if (pool->items[i]->active > 0)
            return true;
    return false;
}

/* Gives back what nothing uses: removed endpoints, and the pool itself once it is retired. */
static void pool_collect(struct pool *pool)
{
    if (pool->locks > 0)
        return;
    if (pool->removed != NULL)
        sweep_removed(pool);
    if (!pool->is_retired || is_in_use(pool))
        return;
    struct pool **at = &pool->set->retired;
    while (*at != pool)
        at = &(*at)->next_retired;
    *at = pool->next_retired;
    pool_free(pool);
}

void pool_leave(struct pool_endpoint *endpoint)
{
    struct pool *pool = endpoint->pool;
    CHECK(endpoint->item.active > 0);
    endpoint->item.active--;
    pool_collect(pool);
}

static void retire(struct pool_set *set, struct pool *pool)
{
    pool->is_retired = true;
    pool->next_retired = set->retired;
    set->retired = pool;
    pool->locks++;
    for (uint32_t i = 0; i < pool->count; i++)
        close_idle(endpoint_of(pool->items[i]));
    pool_queue_fail(&pool->waiting, ERR_REFUSED, "backend removed");
    pool_unlock(pool);
}

static bool is_same_transport(const struct backend *a, const struct backend *b)
{
    return a->tls == b->tls && a->protocol == b->protocol &&
           text_equal(a->server_name, b->server_name);
}

static void reconcile(struct pool *pool, struct backend *backend)
{
    pool->locks++;
    if (!is_same_transport(pool->backend, backend)) {
        pool->generation++;
        for (uint32_t i = 0; i < pool->count; i++) {
            endpoint_of(pool->items[i])->connecting = NULL;
            close_idle(endpoint_of(pool->items[i]));
        }
    }
    backend_ref(backend);
    struct backend *old = pool->backend;
    pool->backend = backend;
    apply_backend(pool);
    backend_unref(old);
    serve_waiters(pool);
    pool_unlock(pool);
}

void pool_set_adopt(struct pool_set *set, const struct snapshot *snapshot)
{
    for (uint32_t slot = 0; slot < set->slots; slot++) {
        struct pool *pool = set->by_slot[slot];
        if (pool == NULL)
            continue;
        struct backend *backend = slot < backend_table_slots(snapshot->backends)
                                      ? backend_table_get(snapshot->backends, slot)
                                      : NULL;
        if (backend == pool->backend)
            continue;
        if (backend != NULL && text_equal(backend->name, pool->backend->name)) {
            reconcile(pool, backend);
        } else {
            set->by_slot[slot] = NULL;
            retire(set, pool);
        }
    }
}

/* A request of an older snapshot whose backend lost its slot: served by a pool that is retired
 * from birth. */
static struct pool *retired_pool(struct pool_set *set, struct backend *backend)
{
    for (struct pool *pool = set->retired; pool != NULL; pool = pool->next_retired)
        if (text_equal(pool->backend->name, backend->name) && pool->count > 0)
            return pool;
    struct pool *pool = pool_new(set, backend);
    pool->is_retired = true;
    pool->next_retired = set->retired;
    set->retired = pool;
    return pool;
}

struct pool *pool_of(struct pool_set *set, struct backend *backend)
{
    if (UNLIKELY(backend->slot >= set->slots)) {
        uint32_t slots = MAX(backend->slot + 1, set->slots * 2);
        set->by_slot = memory_resize(set->by_slot, slots * sizeof(struct pool *));
        memset(set->by_slot + set->slots, 0, (slots - set->slots) * sizeof(struct pool *));
        set->slots = slots;
    }
    struct pool *pool = set->by_slot[backend->slot];
    if (LIKELY(pool != NULL && pool->backend == backend))
        return pool;
    if (pool == NULL && !set->is_closed)
        return set->by_slot[backend->slot] = pool_new(set, backend);
    bool is_ours = pool != NULL && text_equal(pool->backend->name, backend->name);
    return is_ours ? pool : retired_pool(set, backend);
}

/* -- the end -- */

void pool_set_close(struct pool_set *set)
{
    set->is_closed = true;
    for (uint32_t slot = 0; slot < set->slots; slot++) {
        struct pool *pool = set->by_slot[slot];
        set->by_slot[slot] = NULL;
        if (pool != NULL)
            retire(set, pool);
    }
    struct pool_connection *next;
    for (struct pool_connection *at = set->all; at != NULL; at = next) {
        next = at->all_next;
        http_close(at->http, ERR_CLOSED);
    }
}

void pool_set_fini(struct pool_set *set)
{
    pool_set_close(set);
    free(set->by_slot);
    set->by_slot = NULL;
    set->slots = 0;
}
