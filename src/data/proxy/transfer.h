/* One exchange under way: born with the client's stream, gone with it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/proxy/proxy.h"
#include "data/upstream/call.h"

enum transfer_state {
    TRANSFER_REQUEST,  /* the rule's filters */
    TRANSFER_BACKEND,  /* those of the chosen backend */
    TRANSFER_CALLING,  /* the backend has it */
    TRANSFER_RESPONSE, /* filters, upwards */
    TRANSFER_SENDING,  /* the client gets its answer */
};

/* In the arena of the client's stream. */
struct transfer {
    struct exchange x;
    struct proxy *proxy;
    struct proxy_connection *connection;
    struct call call;
    struct session session; /* of the rule, or of the chosen backend */
    struct timer timer;     /* the route's request timeout */
    struct mirror *mirrors; /* copies that get this request's body as it comes */
    struct rpc_web *web;    /* NULL: no call of gRPC-Web */
    enum transfer_state state;
    struct text authority, path; /* as the client sent them */
    int status;                  /* sent; 0: none yet */
    int try_status;              /* of the last try; 0: none */
    size_t local_sent;           /* of x.local_body */
    bool request_ended;          /* its last byte went upstream, or there is no body */
    bool response_ends;          /* the head was all */
    bool response_ended;         /* handed over completely */
    bool is_local;               /* the response is ours */
    bool is_tunnel;              /* after 101 */
    bool is_rpc;                 /* gRPC, or `web`: every end has a grpc-status */
    bool is_parked;              /* a filter waits */
    const char *termination;
};

/* A new stream of that connection: sets its events; the head follows. */
void transfer_begin(struct proxy_connection *connection, struct http_stream *stream);

/* transfer_route.c: the listener and the route of its head. False: there is none, or it is not
 * served, and the answer is in x. */
MUST_USE bool transfer_find_route(struct transfer *t);
/* By weight among the route's backends, or the one of the client's session; NULL: none. */
const struct weighted_backend *transfer_choose(struct transfer *t);
/* What x->backend names in the snapshot of the exchange, or NULL. */
struct backend *transfer_backend(const struct exchange *x);
