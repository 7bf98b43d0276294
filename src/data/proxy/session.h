/* What TCP, TLS and UDP have in common with a request: a route, a backend, a line in the log. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/proxy/proxy.h"

/* `request` stands in for the head that there is none of. Takes the current lease. */
void session_init(struct exchange *x, struct message *request, struct proxy *proxy);
/* By server name, or by none; and one of its backends by weight. False: x->flag and x->details say
 * why there is none. */
MUST_USE bool session_route(struct exchange *x, struct listener_config *listener,
                            struct text server_name);
/* The backend of x->backend; NULL likewise. */
struct backend *session_backend(struct exchange *x);
/* What it asks of the balancer: no request has a header or a path here, so that consistent hashing
 * goes by the client's address, or by nothing. */
void session_ask(const struct backend *backend, const struct address *client,
                 struct balancer_ask *ret_ask);
struct session_end {
    const char *protocol;
    const struct address *peer, *local;
    struct text server_name;
    const char *tls_version;
    const char *termination;
};
/* Writes the line, counts, gives the lease back. */
void session_finish(struct exchange *x, struct proxy *proxy, const struct session_end *end);
