/* A worker's pools by slot, and how they follow the snapshots. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory.h"
#include "data/upstream/pool_internal.h"
#include "data/upstream/pool_queue.h"
#include "data/upstream/pool_room.h"

/* There may be room where there was none, or others wait for some. Pools of the list stay while
 * their callbacks run: only a snapshot removes them. */
static void on_ring(void *owner)
{
    struct pool_set *set = owner;
    for (struct pool *pool = set->limited; pool != NULL; pool = pool->next_limited) {
        pool->locks++;
        pool_room_yield(pool);
        pool_serve(pool);
        if (pool->waiting.first == NULL)
            pool_room_pass(pool);
        pool_unlock(pool);
    }
}

void pool_set_init(struct pool_set *set, struct loop *loop)
{
    *set = (struct pool_set){.loop = loop};
}

bool pool_set_join(struct pool_set *set, struct pool_bells *bells, uint32_t index)
{
    set->bell = (struct pool_bell){.me = SHARED_ROOM_BIT(index), .on_ring = on_ring, .owner = set};
    return pool_bell_hang(&set->bell, set->loop, bells);
}

static void unlink_limited(struct pool *pool)
{
    if (pool->limited_at == NULL)
        return;
    *pool->limited_at = pool->next_limited;
    if (pool->next_limited != NULL)
        pool->next_limited->limited_at = pool->limited_at;
    pool->limited_at = NULL;
}

static void link_limited(struct pool_set *set, struct pool *pool)
{
    unlink_limited(pool);
    if (pool->backend->max_connections == 0)
        return;
    pool->next_limited = set->limited;
    if (pool->next_limited != NULL)
        pool->next_limited->limited_at = &pool->next_limited;
    pool->limited_at = &set->limited;
    set->limited = pool;
}

/* What the backend says now; 0 stands for the defaults of base/limits.h. */
static void apply_backend(struct pool *pool)
{
    pool->settings = (struct http_settings){.version = HTTP_1};
    pool->settings_h2 =
        (struct http_settings){.version = HTTP_2, .queue_ms = pool->backend->connect_timeout_ms};
    pool_take_endpoints(pool, pool->backend->endpoints, pool->backend->endpoint_count);
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

static void retire(struct pool_set *set, struct pool *pool)
{
    pool->is_retired = true;
    unlink_limited(pool);
    pool->next_retired = set->retired;
    set->retired = pool;
    pool->locks++;
    for (uint32_t i = 0; i < pool->count; i++)
        pool_close_idle(pool_endpoint_of(pool->items[i]));
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
            pool_endpoint_of(pool->items[i])->connecting = NULL;
            pool_close_idle(pool_endpoint_of(pool->items[i]));
        }
    }
    backend_ref(backend);
    struct backend *old = pool->backend;
    pool->backend = backend;
    link_limited(pool->set, pool);
    apply_backend(pool);
    backend_unref(old);
    pool_serve(pool);
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
    if (pool == NULL && !set->is_closed) {
        pool = set->by_slot[backend->slot] = pool_new(set, backend);
        link_limited(set, pool);
        return pool;
    }
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
    pool_bell_fini(&set->bell);
    free(set->by_slot);
    set->by_slot = NULL;
    set->slots = 0;
}
