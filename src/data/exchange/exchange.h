/* One request and its response, as data: what filters, upstream, proxy and log share.
 * State of a single filter does not belong here (filter_type.state_size). Under 40 fields. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "data/snapshot/lease.h"
#include "http/stream.h"

/* Why the gateway answered itself: Envoy's response flags. */
enum response_flag {
    FLAG_NONE,
    FLAG_NR,   /* no route */
    FLAG_UH,   /* no healthy upstream */
    FLAG_UF,   /* upstream connection failure */
    FLAG_UC,   /* upstream closed in the middle */
    FLAG_UT,   /* upstream timeout */
    FLAG_UO,   /* upstream overflow: a limit */
    FLAG_UPE,  /* upstream protocol error */
    FLAG_URX,  /* no retry: the backend's budget is used up */
    FLAG_RL,   /* rate limited */
    FLAG_DC,   /* downstream closed */
    FLAG_DPE,  /* downstream protocol error */
    FLAG_DT,   /* request timeout (route) */
    FLAG_NC,   /* no backend: invalid references */
    FLAG_OM,   /* memory ceiling */
    FLAG_UAEX, /* external authorization said no, or nothing */
    FLAG_AC,   /* access denied to the client's address */
    FLAG_COUNT
};
const char *response_flag_name(enum response_flag flag); /* "NR", ...; "-" for none */

/* The request goes to this backend as well, and what that answers is nobody's. */
struct exchange_copy {
    uint32_t slot;
    struct exchange_copy *next;
};

/* Of the request's body what a filter had the proxy read before the request goes on; it goes
 * upstream before the rest. */
struct held_body {
    struct buffer bytes;
    size_t wanted; /* a filter waits for so many bytes, or the end; 0: none does */
    bool is_whole;
};

enum held { HELD_WHOLE, HELD_WAIT, HELD_TOO_LONG };

struct chain_state; /* data/filter/chain.h */
struct call;        /* data/upstream/call.h */
struct pool_set;    /* data/upstream/pool.h */

struct exchange {
    struct arena *arena;    /* of the client's stream */
    struct lease *lease;    /* holds the snapshot this request was matched in */
    struct worker *worker;  /* borrows; opaque below data/proxy */
    struct pool_set *pools; /* borrows: the worker's */
    struct loop *loop;

    struct http_stream *client; /* NULL once closed */
    struct message *request;    /* the client's head; filters edit it in place */
    struct message *response;   /* the upstream's head, or &local_response */
    struct message local_response;
    struct text local_body; /* of a response that we make */

    const struct binding *binding;
    const struct listener_config *listener; /* NULL: none for this host */
    struct route_hit hit;                   /* hit.route NULL: none */
    const struct weighted_backend *backend;
    struct chain_state *chain;
    struct call *call; /* the try under way */

    /* What filters decide for the upstream request. */
    struct text original_path; /* before rewrites */
    struct text host_rewrite;  /* empty: keep */
    struct exchange_copy *copies;
    struct held_body held;

    /* For the log and the counters. */
    struct address peer; /* the client, after trusted hops */
    uint64_t started_ns, upstream_started_ns, first_byte_ns;
    uint64_t connect_ns;
    uint32_t tries;
    uint32_t snapshot_number;
    struct text upstream_address;
    struct text upstream_local;   /* our end of that connection */
    const char *upstream_failure; /* static words of the transport; NULL: none */
    enum response_flag flag;
    int rpc_status;       /* of gRPC, and 1 more; 0: none was sent */
    bool is_rate_checked; /* by a rate limit of its route; FLAG_RL: and refused */
    const char *details;  /* static words: "route_not_found", "upstream_reset", ... */
    uint64_t request_bytes, response_bytes;

    /* Set by proxy: a filter that answered FILTER_WAIT calls it when it can go on. */
    void (*resume)(struct exchange *x);
};

/* An exchange of the gateway's own beside `from`: no client, nothing of a route but `policy`. The
 * lease is shared, not taken. */
void exchange_beside(struct exchange *x, const struct exchange *from, struct arena *arena,
                     struct route *policy);
/* For a filter that must see the whole body, of at most `max` bytes. HELD_WHOLE: it stands in
 * x->held.bytes. HELD_WAIT: return FILTER_WAIT, and ask again. HELD_TOO_LONG: it is more. */
enum held exchange_hold(struct exchange *x, size_t max);
/* A response of our own: status, one content type, a body that must outlive the exchange's arena.
 */
void exchange_respond(struct exchange *x, int status, enum response_flag flag, const char *details);
void exchange_respond_body(struct exchange *x, struct text content_type, struct text body);
