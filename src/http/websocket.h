/* The handshake of a WebSocket (RFC 6455) that a client began over HTTP/2 (RFC 8441) and a backend
 * answers over HTTP/1: the client sends no key and sees no answer to one, so both are ours. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "base/text.h"

/* A fresh Sec-WebSocket-Key, in the arena. */
struct text websocket_key(struct arena *arena);
/* Is `accept` the answer to `key`? RFC 6455 4.1: otherwise there is no WebSocket at the other end.
 */
MUST_USE bool websocket_accepts(struct text key, struct text accept);
