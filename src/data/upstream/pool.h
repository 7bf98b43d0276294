/* A worker's connections to backends: per backend slot a pool, per endpoint its idle connections,
 * newest first. HTTP/2 connections stand there as long as they may carry more, and whoever comes
 * while one connects shares it. One thread only. Endpoints that a new snapshot no longer names
 * close their idle connections at once and finish the busy ones. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "data/snapshot/snapshot.h"
#include "data/upstream/balancer.h"
#include "data/upstream/health.h"
#include "data/upstream/pool_bell.h"
#include "http/connection.h"

struct pool;
struct pool_connection;
struct pool_waiter;

struct pool_queue {
    struct pool_waiter *first, *last;
    uint32_t count;
};

struct pool_endpoint {
    struct balancer_item item;
    struct pool *pool;
    struct address address;
    struct text text;                   /* owns: "10.0.0.1:8080" */
    struct pool_connection *idle;       /* newest first */
    struct pool_connection *connecting; /* HTTP/2: the newest that is not up yet */
    uint32_t idle_count;
    uint32_t connections; /* idle, busy and connecting */
    uint32_t weight;      /* in full */
    struct health health;
    struct timer timer;       /* until its ejection ends */
    bool is_ejected, is_down; /* by its answers here; by the health check */
    bool is_reserved;         /* ends: only for whose sessions are with it */
    uint64_t warm_ns;         /* its slow start began; 0: there was none */
    bool removed;
    struct pool_endpoint *next_removed;
};

struct pool_connection {
    struct http_connection *http;
    struct pool_endpoint *endpoint;
    struct pool_waiter *waiter;              /* for whom it connects; NULL: nobody any more */
    struct pool_queue sharing;               /* HTTP/2: and who else waits for it to be up */
    struct pool_connection *next, *previous; /* while idle */
    struct pool_connection *all_next, *all_previous; /* of the set */
    uint64_t started_ns, ready_ns;
    uint32_t generation; /* of the pool when it was made: TLS settings and so on */
    uint32_t uses;
    bool is_idle, is_ready, is_h2;
    struct shared_room *room; /* shares: counted there; NULL: no limit when it was made */
    char *local;              /* owns: our own address, made when first asked */
};

/* Somebody who wants a connection; stands in its owner, who cancels before going. */
struct pool_waiter {
    void *owner;
    void (*on_connection)(void *owner, struct pool_connection *connection);
    /* ERR_REFUSED: no endpoint; others: the connect failed. */
    void (*on_failed)(void *owner, enum err err, const char *why);
    const struct balancer_ask *ask; /* borrows: while it waits */
    struct pool_endpoint *bound;    /* no other will do; NULL: any */
    uint32_t connect_ms;            /* for a connection made for it; 0: as the backend says */
    struct pool_connection *connecting;
    struct pool_endpoint *endpoint; /* of the connect under way, or of the last that failed */
    struct pool_queue *queue;       /* that it stands in */
    struct shared_gauge *pending;   /* shares: counted there while it is queued */
    struct pool_waiter *next, *previous;
    bool queued; /* for a connection that gets free */
};

struct pool_set {
    struct loop *loop;
    struct pool **by_slot; /* owns */
    uint32_t slots;
    struct pool *limited;  /* of the slots: those whose backend has a limit of connections */
    struct pool_bell bell; /* rings when such a pool should look again */
    struct pool *retired;  /* of removed backends, until their last connection is gone */
    struct pool_connection *all;
    uint32_t connection_count;
    bool is_closed; /* whoever still tries gets connections that end with their request */
    /* Read by the scrape: counters, and how many endpoints are out now. */
    _Atomic uint64_t connects, connect_failures, reuses, overflows, ejections, out;
};

void pool_set_init(struct pool_set *set, struct loop *loop);
/* As the `index`th of the sets that share limits. False: the kernel has no descriptor. */
MUST_USE bool pool_set_join(struct pool_set *set, struct pool_bells *bells, uint32_t index);
/* Closes every connection; the loop must turn until connection_count is 0 before the memory goes
 * by pool_set_fini. */
void pool_set_close(struct pool_set *set);
void pool_set_fini(struct pool_set *set);
/* Brings the pools that exist in line with a new current snapshot. */
void pool_set_adopt(struct pool_set *set, const struct snapshot *snapshot);
/* The pool of a backend that a request was matched to. */
struct pool *pool_of(struct pool_set *set, struct backend *backend);
struct backend *pool_backend(const struct pool *pool);
uint32_t pool_size(const struct pool *pool); /* endpoints to choose from */

/* ERR_NONE: *ret_connection can open a stream now. ERR_AGAIN: the waiter will be told; `ask` stays
 * where it is until then. ERR_LIMIT: too many connections and waiters. ERR_REFUSED: no (untried)
 * endpoint. ERR_SYSTEM: no socket. `fresh`: no idle connection will do. */
MUST_USE enum err pool_acquire(struct pool *pool, const struct balancer_ask *ask, bool fresh,
                               struct pool_waiter *waiter, struct pool_connection **ret_connection);
struct text pool_local(struct pool_connection *connection);
void pool_cancel(struct pool *pool, struct pool_waiter *waiter);
/* How a try at the endpoint went. */
void pool_report(struct pool_endpoint *endpoint, enum health_result result);
/* An endpoint for bytes that are no HTTP, connected by the caller; NULL: none (untried). It
 * is begun, and the pool stays until pool_leave gives it back. */
struct pool_endpoint *pool_choose(struct pool *pool, const struct balancer_ask *ask);
/* What such a connection takes of the backend's limit first (NULL: it has none), and gives back.
 * False: too many are there. */
MUST_USE bool pool_enter(struct pool *pool, struct shared_room **ret_room);
void pool_exit(struct shared_room *room);
void pool_leave(struct pool_endpoint *endpoint);
/* A request begins and ends at an endpoint: what least-request counts. */
void pool_begin(struct pool_endpoint *endpoint);
void pool_end(struct pool_endpoint *endpoint);
