/* BackendLBPolicy: how requests are spread over the endpoints of the Services that it targets.
 * Field names are those of the original; `algorithm`, `cookieName`, the keys Cookie and URL,
 * `slowStart`, `panicThreshold`, `healthCheck`, `outlierDetection` and two of the `circuitBreaker`
 * are ours. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/common.h"

enum kind_balance {
    KIND_BALANCE_UNKNOWN,
    KIND_BALANCE_ROUND_ROBIN, /* when absent */
    KIND_BALANCE_LEAST_REQUEST,
    KIND_BALANCE_RANDOM,
    KIND_BALANCE_CONSISTENT_HASH,
};

enum kind_hash_key {
    KIND_HASH_KEY_UNKNOWN,
    KIND_HASH_KEY_SOURCE_IP,
    KIND_HASH_KEY_HEADER,
    KIND_HASH_KEY_COOKIE,
    KIND_HASH_KEY_HOSTNAME,
    KIND_HASH_KEY_URL,
};

enum kind_hash_algorithm {
    KIND_HASH_ALGORITHM_UNKNOWN,
    KIND_HASH_ALGORITHM_RING, /* when absent */
    KIND_HASH_ALGORITHM_MAGLEV,
};

struct kind_consistent_hash {
    struct kind_place place;
    enum kind_hash_key key;
    enum kind_hash_algorithm algorithm;
    struct text header, cookie; /* the one that the key wants is set */
};

/* Counts are of errors in a row; 0: not by these. */
struct kind_ejection {
    struct kind_place place;
    int32_t server_errors, gateway_errors, connect_errors;
    struct kind_duration base, max; /* not set: 30 s, 300 s */
    int32_t max_percent;
};

enum kind_health_type {
    KIND_HEALTH_UNKNOWN,
    KIND_HEALTH_HTTP, /* when absent */
    KIND_HEALTH_GRPC,
    KIND_HEALTH_TCP,
};

struct kind_health_check {
    struct kind_place place;
    enum kind_health_type type;
    struct kind_duration interval, timeout; /* not set: 10 s, 2 s */
    int32_t healthy, unhealthy;
    struct text host, path, service;
    int32_t *statuses; /* none: 200 to 399 */
    size_t status_count;
};

struct kind_backend_lb_policy {
    struct kind_place place; /* of spec */
    struct kind_target_ref *targets;
    size_t target_count;
    struct kind_session_persistence *session; /* NULL: absent */
    struct kind_ejection *ejection;           /* NULL: absent */
    struct kind_health_check *health_check;   /* NULL: absent */
    int32_t panic_percent;
    struct kind_duration slow_start;
    int32_t max_requests, max_connections, max_pending; /* 0: unbounded */
    enum kind_balance balance;
    struct kind_consistent_hash *hash; /* set if, and only if, balance is CONSISTENT_HASH */
};
