/* One rule on one listener, compiled. Immutable, counted, in an arena of its own. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "base/arena.h"
#include "base/text.h"
#include "http/message.h"

struct session_config; /* data/snapshot/session.h */
struct regex;          /* base/regex.h: linear time, full match */
struct filter_chain;   /* data/filter/chain.h: opaque here */

enum path_match { PATH_PREFIX, PATH_EXACT, PATH_REGEX };

struct field_match {
    struct text name; /* header: lower case; query: as is */
    enum name_id id;  /* headers */
    struct text value;
    struct regex *regex; /* NULL: equal */
};

struct route_match {
    enum path_match path_kind;
    struct text path; /* prefixes without the last '/', "" for "/" */
    struct regex *path_regex;
    struct text method; /* empty: any */
    struct field_match *headers, *query;
    uint32_t header_count, query_count;
};

struct weighted_backend {
    uint32_t slot; /* of the backend table; BACKEND_NONE: an invalid reference, 500 */
    uint32_t weight;
    uint64_t weight_end;          /* sum of the weights up to and with this one */
    struct text name;             /* resource name, for logs */
    struct filter_chain *filters; /* NULL: none */
};

struct retry_policy {
    uint32_t attempts; /* retries after the first try */
    uint32_t backoff_ms;
    uint32_t budget_ms; /* no retry begins later; 0: no bound */
    bool connect_failure;
    bool once; /* at most once: not even what a kept connection lost on its way */
    uint16_t *codes;
    uint32_t code_count;
};

/* First what each request reads, in as few cache lines as can be; behind it in its arena stand its
 * names and its backends. */
struct route {
    _Atomic uint32_t refs;
    uint32_t slot; /* index of its counters and limits; stable while the resource lives */
    uint32_t rule;
    bool is_grpc;
    bool is_unlogged;                     /* what it serves has no line in the access log */
    struct filter_chain *filters;         /* NULL: none */
    const struct session_config *session; /* NULL: none */
    struct weighted_backend *backends;
    uint64_t weight_sum; /* 0: no backend gets anything: 500 */
    uint32_t backend_count;
    uint32_t request_timeout_ms, backend_timeout_ms; /* 0: none */
    uint32_t connect_timeout_ms;                     /* 0: the backend's */
    uint64_t body_bytes_max;                         /* 0: the listener's */
    uint32_t header_bytes_max;                       /* 0: none of its own */
    struct retry_policy retry;
    struct text label; /* "<kind>/<namespace>/<name>/<rule>": metrics and logs */
    struct text kind, namespace, name;
    struct text rule_name;
    struct text resource; /* xDS name */
    struct text listener; /* resource name of its listener */
    struct arena arena;
    int64_t created;
    struct text *hostnames;
    uint32_t hostname_count; /* 0: every host */
    uint32_t match_count;    /* at least one */
    struct route_match *matches;
    /* Set by who made it: gives back what its filters hold outside the arena. NULL: nothing. */
    void (*release)(struct route *route);
};

/* A request will go by this route: its lines are fetched side by side, while it reads the first. */
static inline void route_prefetch(const struct route *route)
{
    __builtin_prefetch((const char *)route + 64);
    __builtin_prefetch((const char *)route + 128);
    __builtin_prefetch(route + 1);
    __builtin_prefetch((const char *)(route + 1) + 64);
}

struct route *route_ref(struct route *route);
void route_unref(struct route *route);
