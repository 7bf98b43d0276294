/* Where requests go: a backend and its endpoints, compiled; and the table of them by slot. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "base/arena.h"
#include "net/address.h"

struct tls_context;
struct session_config; /* data/snapshot/session.h */
struct hash_table;     /* data/snapshot/hash_table.h */

#define BACKEND_NONE UINT32_MAX

enum backend_protocol { BACKEND_HTTP1, BACKEND_H2, BACKEND_TCP, BACKEND_UDP };
enum balance {
    BALANCE_ROUND_ROBIN,
    BALANCE_LEAST_REQUEST,
    BALANCE_RANDOM,
    BALANCE_RING_HASH,
    BALANCE_MAGLEV
};

/* What consistent hashing goes by. A request without it is spread at random. */
enum hash_key { HASH_CLIENT_ADDRESS, HASH_HEADER, HASH_COOKIE, HASH_HOST, HASH_PATH };

struct endpoint {
    struct address address;
    struct text text; /* "10.0.0.1:8080" */
    uint32_t weight;
    uint64_t id;  /* hash_stable(text): what a session remembers */
    bool is_far;  /* meant for other zones than ours, while enough of ours are in */
    bool is_down; /* says the health check */
};

/* When a worker stops choosing an endpoint for a while, by the answers to its own requests. */
struct ejection {
    uint32_t server_errors, gateway_errors, connect_errors; /* so many in a row; 0: not by these */
    uint32_t base_ms, max_ms; /* the first time; then twice as long each time */
    uint32_t max_percent;     /* of the endpoints, at most, out at once */
};

enum health_kind { HEALTH_HTTP, HEALTH_GRPC, HEALTH_TCP };

struct health_check {
    enum health_kind kind;
    uint32_t interval_ms, timeout_ms;
    uint32_t healthy, unhealthy; /* answers in a row */
    struct text host;            /* empty: the endpoint's address */
    struct text path;
    uint32_t *statuses;
    uint32_t status_count; /* 0: 200 to 399 */
    struct text service;
};

struct backend {
    _Atomic uint32_t refs;
    struct arena arena;
    struct text name; /* resource name */
    uint32_t slot;
    enum backend_protocol protocol;
    enum balance balance;
    enum hash_key hash_key;
    struct text hash_name;                /* of the header (lower case) or cookie */
    struct hash_table *table;             /* of RING_HASH and MAGLEV; NULL: no endpoints */
    struct tls_context *tls;              /* shares; NULL: plain */
    struct text server_name;              /* for tls */
    const struct session_config *session; /* where the route has none; NULL: none */
    uint32_t connect_timeout_ms;
    /* In all workers together; 0: unbounded. What counts is shared with those that come after;
     * NULL: there has been no limit yet. */
    uint32_t max_connections, max_pending, max_requests;
    struct shared_room *room;                /* connections */
    struct shared_gauge *pending, *requests; /* waiting for one; under way */
    struct shared_budget *retries;           /* shares likewise; NULL: as many as routes want */
    const struct health_check *health_check; /* NULL: none */
    struct ejection ejection;
    uint32_t panic_percent;     /* fewer than that in: all are chosen from; 0: never */
    uint32_t slow_start_ms;     /* 0: none */
    uint32_t fail_status;       /* not 0: every request is answered with it */
    struct endpoint *endpoints; /* those that serve */
    uint32_t endpoint_count;    /* 0: 503 */
    uint32_t reserved_count;    /* the last of them: they end, and keep the sessions they have */
    uint32_t *by_id;            /* indices of the endpoints, ids ascending */
    struct text dns_name;       /* ExternalName; resolved by the main thread into endpoints */
    uint16_t dns_port;
};

/* A backend that a filter sends to by itself. */
struct backend_name {
    struct text resource; /* "default/audit:80" */
    uint32_t slot;        /* of the backend table; the compiler's to fill in */
};

struct backend *backend_ref(struct backend *backend);
void backend_unref(struct backend *backend);

/* The endpoint of that id, or NULL. */
const struct endpoint *backend_endpoint(const struct backend *backend, uint64_t id);

/* Persistent vector of backends: setting one copies one chunk. */
struct backend_table;
struct backend_table *backend_table_new(void);
struct backend_table *backend_table_ref(struct backend_table *table);
void backend_table_unref(struct backend_table *table);
uint32_t backend_table_slots(const struct backend_table *table);
/* NULL: the slot is empty (the backend was removed). Borrowed from the table. */
struct backend *backend_table_get(const struct backend_table *table, uint32_t slot);
struct backend_edit {
    uint32_t slot;
    struct backend *backend; /* borrows; NULL empties the slot */
};
struct backend_table *backend_table_edit(const struct backend_table *table,
                                         const struct backend_edit *edits, size_t count);
