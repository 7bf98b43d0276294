/* How many TLS handshakes one client address may begin, counted for all workers together: each
 * costs the client nothing and us a signature. Nobody is refused who has the data plane to himself.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct handshakes;

/* `rate`: a second, and at once, from one address. */
struct handshakes *handshakes_new(uint64_t rate);
void handshakes_free(struct handshakes *handshakes); /* NULL is fine */
/* Whether this client (address_client) may begin one; from any thread. False: it is over the rate,
 * and within LIMIT_HANDSHAKE_SHARED_MS somebody else has begun one as well. */
bool handshakes_admit(struct handshakes *handshakes, struct text client, uint64_t now_ns);
