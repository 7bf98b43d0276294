/* The upstream side of one exchange: picks an endpoint, gets a connection, sends the head, tries
 * again where that is safe. What it cannot mend it reports once, and is over. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/exchange/exchange.h"
#include "data/upstream/pool.h"
#include "data/upstream/replay.h"
#include "data/upstream/session.h"

struct call_events {
    /* The request head is on its way: the body may be pulled from the client now. */
    void (*on_sent)(void *owner);
    /* A 1xx other than 101. */
    void (*on_informational)(void *owner, struct message *head);
    void (*on_head)(void *owner, struct message *head, bool end);
    void (*on_readable)(void *owner);
    void (*on_writable)(void *owner);
    /* A try is given up and another follows; `status` 0 if no head came. */
    void (*on_retry)(void *owner, int status);
    /* The last event. A response that has begun is cut. */
    void (*on_failed)(void *owner, enum err err, enum response_flag flag, const char *details);
};

struct call {
    const struct call_events *events;
    void *owner;
    struct exchange *x;             /* borrows: it holds us */
    struct pool_set *pools;         /* borrows */
    struct backend *backend;        /* borrows: of the exchange's snapshot */
    struct pool_endpoint *endpoint; /* counted as active while not NULL */
    struct pool_waiter waiter;
    struct http_stream *stream; /* NULL: none now */
    struct timer timer;         /* waiting, the try's deadline, or the pause before the next */
    struct balancer_ask ask;
    uint32_t connect_retries, policy_retries;
    uint64_t started_ns;
    bool request_ends; /* the request has no body */
    bool body_taken;   /* a byte of the body went upstream: no other try without `replay` */
    struct replay replay;
    bool is_reused, is_raced;
    bool is_pausing, is_over, has_head;
    bool is_counted; /* among the backend's requests under way */
};

/* What is asked for; borrowed, but for the struct itself. */
struct call_request {
    struct exchange *x; /* its request is sent as it stands; its route has timeouts and retries */
    struct pool_set *pools;
    struct backend *backend;
    const struct session *session; /* whose endpoint comes first if it is known; NULL: none */
    bool request_ends;             /* no body */
    const struct call_events *events;
    void *owner;
};

void call_start(struct call *call, const struct call_request *request);
/* The request's body. Nothing is taken before on_sent. */
size_t call_write(struct call *call, struct text bytes, bool end);
void call_send_trailers(struct call *call, const struct message *trailers);
/* Ends it without a further event; safe at any time, also twice. */
void call_cancel(struct call *call);
/* The response was read to its end: no deadline any more; the connection is left to the pool once
 * the request is sent, or ended if it was not. */
void call_finish(struct call *call);
