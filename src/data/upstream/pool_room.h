/* A pool's share of the connections that its backend may have in all workers together. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/upstream/pool_internal.h"

/* Room for one more. *ret_room: to be given back by pool_room_give, or NULL where there is no
 * limit. False: there is none, and the bell will ring, or one of our own connections close, when
 * there is.
 */
MUST_USE bool pool_room_take(struct pool *pool, struct shared_room **ret_room);
/* True: another worker has been told of it, and those who wait here come after. `room` may be NULL.
 */
bool pool_room_give(struct pool *pool, struct shared_room *room);
/* It is other workers' turn: they wait, and nobody here does or they have for long. The connection
 * is counted. */
bool pool_room_is_due(const struct pool *pool, const struct pool_connection *connection);
/* Others wait: an idle connection goes, if there is one. Due whenever one has become idle. */
void pool_room_yield(struct pool *pool);
/* Nobody waits here: whoever does elsewhere is told. */
void pool_room_pass(struct pool *pool);
