/* Who finds no room says so, and rings for those who keep connections idle; who gives room back
 * rings for one who waits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/pool_room.h"

#include "base/limits.h"

static uint64_t now_ns(const struct pool *pool)
{
    return loop_now_ns(pool->set->loop);
}

/* One that carries nothing; else, with `busy`, an HTTP/2 one that takes no more from then on. */
static struct pool_connection *find_idle(const struct pool *pool, bool busy)
{
    struct pool_connection *other = NULL;
    for (uint32_t i = 0; i < pool->count; i++) {
        struct pool_connection *at = pool_endpoint_of(pool->items[i])->idle;
        for (; at != NULL; at = at->next) {
            if (at->room == NULL || at->room != pool->backend->room)
                continue;
            if (at->http->stream_count == 0)
                return at;
            other = busy ? at : NULL;
        }
    }
    return other;
}

static bool end_idle(struct pool *pool, bool busy)
{
    struct pool_connection *connection = pool->kept == 0 ? NULL : find_idle(pool, busy);
    if (connection == NULL)
        return false;
    pool_idle_remove(connection);
    http_drain(connection->http, 0); /* its end, and so the room, comes with the end of the turn */
    return true;
}

bool pool_room_take(struct pool *pool, struct shared_room **ret_room)
{
    uint64_t max = pool->backend->max_connections;
    struct shared_room *room = pool->backend->room;
    *ret_room = NULL;
    if (LIKELY(max == 0))
        return true;
    if (!shared_room_take(room, max)) {
        bool is_new = shared_room_wait(room, pool->set->bell.me, now_ns(pool));
        if (end_idle(pool, false))
            return false;
        if (is_new)
            pool_bells_ring(pool->set->bell.bells, shared_room_keepers(room, pool->set->bell.me));
        if (!shared_room_take(room, max))
            return false;
    }
    *ret_room = shared_room_ref(room);
    return true;
}

bool pool_room_give(struct pool *pool, struct shared_room *room)
{
    if (LIKELY(room == NULL))
        return false;
    shared_room_give(room);
    uint64_t next = shared_room_call(room, pool->set->bell.me, now_ns(pool));
    bool is_passed_on = next != 0 && room == pool->backend->room;
    shared_room_unref(room);
    pool_bells_ring(pool->set->bell.bells, next);
    if (is_passed_on && pool->waiting.first != NULL)
        (void)shared_room_wait(pool->backend->room, pool->set->bell.me, now_ns(pool));
    return is_passed_on;
}

bool pool_room_is_due(const struct pool *pool, const struct pool_connection *connection)
{
    const struct shared_room *room = connection->room;
    if (shared_room_waiting(room, pool->set->bell.me) == 0)
        return false;
    uint64_t since_ns = shared_room_since_ns(room), now = now_ns(pool);
    return pool->waiting.first == NULL ||
           (now > since_ns && now - since_ns >= LIMIT_POOL_TURN_MS * UINT64_C(1000000));
}

void pool_room_yield(struct pool *pool)
{
    const struct shared_room *room = pool->backend->room;
    if (pool->kept > 0 && room != NULL && shared_room_waiting(room, pool->set->bell.me) != 0)
        (void)end_idle(pool, true);
}

void pool_room_pass(struct pool *pool)
{
    struct shared_room *room = pool->backend->room;
    if (room != NULL)
        pool_bells_ring(pool->set->bell.bells,
                        shared_room_call(room, pool->set->bell.me, now_ns(pool)));
}
