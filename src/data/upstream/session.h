/* One exchange's session: what the client's cookie or header says, and what it is told. The value
 * is sealed (net/seal.h): it shows no address, and nobody without the key can make one. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/exchange/exchange.h"
#include "data/snapshot/session.h"

struct session {
    const struct session_config *config; /* borrows: of the snapshot. NULL: there is none */
    bool is_known;                       /* the client has one that counts: */
    uint64_t backend, endpoint;          /* hash_stable of the backend's name, endpoint.id */
    uint32_t created_s, used_s;          /* wall clock */
};

/* What the request says. A value that is broken, too old or idle for too long is none. */
void session_read(struct session *session, const struct session_config *config,
                  const struct exchange *x);
/* Adds to the response what the client should say next time, if it does not say so already.
 * `backend` and `endpoint` answered. */
void session_write(const struct session *session, struct exchange *x, struct message *response,
                   struct text backend, struct text endpoint);
