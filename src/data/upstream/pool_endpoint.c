/* The endpoints of a pool: their idle connections, their weights, who is out, and when what nothing
 * uses any more is given back. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/map.h"
#include "base/memory.h"
#include "data/upstream/pool_internal.h"

/* -- idle connections -- */

void pool_idle_push(struct pool_connection *connection)
{
    struct pool_endpoint *endpoint = connection->endpoint;
    connection->previous = NULL;
    connection->next = endpoint->idle;
    if (endpoint->idle != NULL)
        endpoint->idle->previous = connection;
    endpoint->idle = connection;
    endpoint->idle_count++;
    connection->is_idle = true;
    struct pool *pool = endpoint->pool;
    if (connection->room != NULL && pool->kept++ == 0)
        shared_room_keep(connection->room, pool->set->bell.me, true);
}

void pool_idle_remove(struct pool_connection *connection)
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
    struct pool *pool = endpoint->pool;
    if (connection->room != NULL && --pool->kept == 0)
        shared_room_keep(connection->room, pool->set->bell.me, false);
}

void pool_close_idle(struct pool_endpoint *endpoint)
{
    while (endpoint->idle != NULL) {
        struct pool_connection *connection = endpoint->idle;
        pool_idle_remove(connection);
        http_drain(connection->http, 0);
    }
}

/* -- endpoints -- */

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

/* -- giving back -- */

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

static void pool_free(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->count; i++) {
        loop_disarm(pool->set->loop, &pool_endpoint_of(pool->items[i])->timer);
        if (pool_endpoint_of(pool->items[i])->is_ejected)
            pool_count(&pool->set->out, -1);
        endpoint_free(pool_endpoint_of(pool->items[i]));
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
void pool_collect(struct pool *pool)
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

void pool_unlock(struct pool *pool)
{
    if (--pool->locks == 0)
        pool_collect(pool);
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

void pool_leave(struct pool_endpoint *endpoint)
{
    struct pool *pool = endpoint->pool;
    CHECK(endpoint->item.active > 0);
    endpoint->item.active--;
    pool_collect(pool);
}

/* -- weights, and who is out -- */

/* Weights of now, and whether to look again. */
void pool_weigh(struct pool *pool)
{
    uint64_t now_ns = loop_now_ns(pool->set->loop);
    uint32_t slow_ms = pool->backend->slow_start_ms;
    bool is_warming = false;
    for (uint32_t i = 0; i < pool->count; i++) {
        struct pool_endpoint *endpoint = pool_endpoint_of(pool->items[i]);
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
    pool_count(&pool->set->out, -1);
    endpoint->is_ejected = false;
    endpoint->item.is_out = endpoint->is_down;
    endpoint->warm_ns = pool->backend->slow_start_ms > 0 ? now_ns : 0;
    health_return(&endpoint->health, now_ns);
    pool_weigh(pool);
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
    pool_count(&pool->set->ejections, 1);
    pool_count(&pool->set->out, 1);
    balancer_refresh(&pool->balancer);
}

/* -- as the backend says now -- */

static void remove_endpoint(struct pool *pool, struct pool_endpoint *endpoint)
{
    for (struct pool_waiter *at = pool->waiting.first; at != NULL; at = at->next)
        if (at->bound == endpoint)
            at->bound = NULL;
    loop_disarm(pool->set->loop, &endpoint->timer);
    if (endpoint->is_ejected)
        pool_count(&pool->set->out, -1);
    endpoint->is_ejected = false;
    endpoint->removed = true;
    endpoint->next_removed = pool->removed;
    pool->removed = endpoint;
    pool_close_idle(endpoint);
}

/* The endpoints that are there already are kept with their connections and counts. */
void pool_take_endpoints(struct pool *pool, const struct endpoint *endpoints, uint32_t count_new)
{
    struct map known;
    map_init(&known);
    for (uint32_t i = 0; i < pool->count; i++) {
        struct pool_endpoint *endpoint = pool_endpoint_of(pool->items[i]);
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
    pool_weigh(pool);
    balancer_set(&pool->balancer, &options, items, pool->open_count);
    size_t at = 0;
    struct map_entry *entry;
    pool->locks++;
    while (map_next(&known, &at, &entry))
        remove_endpoint(pool, entry->value);
    map_fini(&known);
    pool_unlock(pool);
}
