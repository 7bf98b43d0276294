/* What the pool's own files share. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/shared_counter.h"
#include "base/shared_room.h"
#include "data/upstream/pool.h"

struct pool {
    struct pool_set *set;
    struct backend *backend; /* shares: of the newest snapshot seen for this slot */
    struct http_settings settings, settings_h2; /* for as long as there are connections */
    struct balancer balancer;
    struct balancer_item **items; /* owns the array; the items stand in pool_endpoint */
    uint32_t count, open_count;   /* all; the first so many are for everybody */
    uint32_t connections;
    uint32_t kept; /* idle connections that are counted in the backend's room */
    uint32_t generation;
    struct pool_queue waiting;     /* no connection yet, none connecting */
    struct pool_endpoint *removed; /* until their last connection and request are gone */
    uint64_t warm_next_ns;         /* when weights are looked at again; 0: nobody starts slowly */
    bool is_retired;
    uint32_t locks; /* while it walks over itself: callbacks must not give it back */
    struct pool *next_retired;
    struct pool *next_limited, **limited_at; /* NULL: not in that list */
};

static inline void pool_count(_Atomic uint64_t *counter, int delta)
{
    atomic_store_explicit(counter,
                          atomic_load_explicit(counter, memory_order_relaxed) + (uint64_t)delta,
                          memory_order_relaxed);
}

static inline struct pool_endpoint *pool_endpoint_of(struct balancer_item *item)
{
    return CONTAINER_OF(item, struct pool_endpoint, item);
}

/* pool_endpoint.c */
void pool_idle_push(struct pool_connection *connection);
void pool_idle_remove(struct pool_connection *connection);
void pool_close_idle(struct pool_endpoint *endpoint);
/* Gives back what nothing uses: removed endpoints, and the pool itself once it is retired. */
void pool_collect(struct pool *pool);
void pool_unlock(struct pool *pool); /* the counterpart of locks++; collects */
/* Weights of now, and whether to look again. */
void pool_weigh(struct pool *pool);
/* The endpoints that are there already are kept with their connections and counts. */
void pool_take_endpoints(struct pool *pool, const struct endpoint *endpoints, uint32_t count_new);

/* pool.c: starts connections for those who wait, as far as the limit allows. */
void pool_serve(struct pool *pool);
