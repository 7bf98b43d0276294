/* Both services of the control plane on listening sockets: Unix (0600, peer credentials) or TCP
 * with mutual TLS. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "net/address.h"
#include "xds/delta_server.h"
#include "xds/guard.h"
#include "xds/report_server.h"

struct tls_context;
struct xds_server;

/* Borrows both services; free it before them. `reports` may be NULL. */
struct xds_server *xds_server_new(struct loop *loop, struct delta_server *delta,
                                  struct report_server *reports);
void xds_server_free(struct xds_server *server);
/* From now on whoever comes over TCP must bring a token that `ask` likes (see guard.h); the answer
 * is an identity, which a data plane's cluster must be. */
void xds_server_guard(struct xds_server *server, guard_ask ask, void *owner);
void xds_server_answer(struct xds_server *server, uint64_t ticket, struct text identity,
                       const char *why);

/* unix:/path takes the place of a dead socket; TCP listens under `tls` (shares), NULL is plain text
 * and meant for loopback in tests. NULL on success, or static words (errno says more). At most 8.
 */
const char *xds_server_listen(struct xds_server *server, const struct address *address,
                              struct tls_context *tls);
/* Doors that are under TLS are under this one for who comes from now on (shares). */
void xds_server_certify(struct xds_server *server, struct tls_context *tls);
/* Where listener `at` really is (port 0 was given). */
const struct address *xds_server_address(const struct xds_server *server, size_t at);
/* Connections turned away: another user's process on the Unix socket. */
uint64_t xds_server_refused(const struct xds_server *server);
