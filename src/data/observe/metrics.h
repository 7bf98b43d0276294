/* A worker's counters: written by that worker alone with plain relaxed stores, read by the main
 * thread's scrape at any time. What the scrape reaches stays allocated until two snapshots later.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "data/exchange/exchange.h"

#define METRICS_METHODS   10 /* enum method */
#define METRICS_CLASSES   6  /* 0: no response, 1xx .. 5xx */
#define METRICS_DURATIONS 14
#define METRICS_SIZES     8
#define METRICS_RPC       17 /* gRPC's status codes */
#define METRICS_REASONS   16 /* different ones kept per door and list */
#define METRICS_LINE      64 /* of a cache */

typedef _Atomic uint64_t metrics_counter;

static inline void metrics_add(metrics_counter *counter, uint64_t value)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + value,
                          memory_order_relaxed);
}

static inline uint64_t metrics_read(const metrics_counter *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* These are made at the start of a cache line, and what most requests count comes first in them:
 * among many routes each line is far away. */
struct metrics_duration {
    metrics_counter sum_ns;
    metrics_counter buckets[METRICS_DURATIONS + 1]; /* not cumulated; the last is +Inf */
};

struct metrics_size {
    metrics_counter sum;
    metrics_counter buckets[METRICS_SIZES + 1];
};

struct metrics_rpc {
    metrics_counter ended[METRICS_RPC]; /* calls, by their status */
};

/* Tries of one route at one backend. */
struct metrics_backend {
    const struct weighted_backend *identity; /* as in metrics_route; NULL: to be checked */
    struct metrics_backend *_Atomic next;
    uint32_t slot;
    struct metrics_duration *_Atomic tries[METRICS_CLASSES][2]; /* [1]: sent again */
    metrics_counter retries;
    struct text name; /* owns */
};

/* Requests of one route on one listener; route empty: none matched. */
struct metrics_route {
    /* the object seen last, and in which snapshot: equal means no further check */
    const void *identity;
    uint32_t snapshot_number;
    struct metrics_backend *_Atomic backends;
    struct metrics_size response_bytes, request_bytes;
    struct metrics_duration *_Atomic requests[METRICS_METHODS][METRICS_CLASSES];
    metrics_counter flags[FLAG_COUNT];
    metrics_counter rate_allowed, rate_limited;
    struct metrics_rpc *_Atomic rpc;            /* NULL: no call yet */
    metrics_counter active_begun, active_ended; /* of listeners only */
    /* Connections and flows that are carried as bytes. */
    metrics_counter sessions_begun, sessions_ended, session_received, session_sent;
    struct text gateway, listener, label; /* own */
    struct text resource;                 /* owns */
    struct metrics_route *next_limbo;
};

struct metrics_reason {
    const char *_Atomic reason; /* static words */
    metrics_counter count;
};

/* One listening address. */
struct metrics_door {
    struct text address; /* owns */
    metrics_counter opened, closed;
    struct metrics_reason refused[METRICS_REASONS];
    struct metrics_duration handshakes; /* of TLS, since the connection was accepted */
    struct metrics_reason failed_handshakes[METRICS_REASONS];
    struct metrics_door *_Atomic next;
};

#define METRICS_CHUNK  512
#define METRICS_CHUNKS 4096 /* two million slots */

enum metrics_mirror { /* how copies of requests ended */
                      MIRROR_ANSWERED,
                      MIRROR_FAILED,   /* not delivered, or the answer broke */
                      MIRROR_SLOW,     /* given up: its backend took the body too slowly */
                      MIRROR_CUT,      /* the request itself was not completed */
                      MIRROR_OVERFLOW, /* not made: too many are under way */
                      MIRROR_RESULTS,
};

struct metrics_chunk {
    struct metrics_route *_Atomic items[METRICS_CHUNK];
};

struct metrics {
    struct metrics_chunk *_Atomic routes[METRICS_CHUNKS];
    struct metrics_chunk *_Atomic listeners[METRICS_CHUNKS];
    struct metrics_route
        overflow;              /* beyond LIMIT_METRIC_ROUTES entries, and requests without host */
    struct metrics_route gone; /* what requests count that are left of a route that is gone */
    uint32_t snapshot_number;  /* of the current one, as exchanges carry it */
    struct metrics_door *_Atomic doors;
    struct metrics_route *limbo, *limbo_old; /* replaced; the scrape may still look */
    uint32_t entries;
    metrics_counter log_lines, log_dropped, snapshots;
    metrics_counter connections_limited;
    metrics_counter mirrors[MIRROR_RESULTS];
};

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);
/* A listener's name within its gateway: a ListenerSet's entries carry the set's name. */
struct text metrics_listener_label(const struct listener_config *listener);
/* Between two snapshots: what was replaced before the last one is given back, and what belongs to
 * routes that are gone is not shown any more. */
void metrics_adopted(struct metrics *metrics, const struct snapshot *snapshot);

struct metrics_door *metrics_door_of(struct metrics *metrics, struct text address);
void metrics_door_refused(struct metrics_door *door, const char *reason);
/* A client's TLS handshake ended; `reason` NULL: well. */
void metrics_door_handshake(struct metrics_door *door, uint64_t took_ns, const char *reason);

void metrics_request_begin(struct metrics *metrics, const struct listener_config *listener);
/* A request will be counted under this route: its counters may begin to come near. */
void metrics_route_known(struct metrics *metrics, const struct route *route);
/* `status` 0: no response was begun. x->listener and x->hit.route may be NULL. */
void metrics_request_end(struct metrics *metrics, const struct exchange *x, int status,
                         uint64_t now_ns);
/* A try at x->backend ended; x->tries tells whether it was the first. */
void metrics_try_end(struct metrics *metrics, const struct exchange *x, int status,
                     uint64_t now_ns);
/* TCP, TLS and UDP: when the route is known (or none is), and when it is over. */
void metrics_session_begin(struct metrics *metrics, const struct exchange *x);
void metrics_session_end(struct metrics *metrics, const struct exchange *x);
void metrics_retry(struct metrics *metrics, const struct exchange *x);
