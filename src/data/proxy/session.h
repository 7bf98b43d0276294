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
struct session_end {
    const char *protocol;
    const struct address *peer, *local;
    struct text server_name;
    const char *tls_version;
    const char *termination;
};
/* Writes the line, counts, gives the lease back. */
void session_finish(struct exchange *x, struct proxy *proxy, const struct session_end *end);
