/* What a worker does without: while the process is near its bound on memory, and when many clients
 * have left. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct proxy;

/* Each level includes the ones before. */
enum pressure {
    PRESSURE_NONE,
    PRESSURE_TIGHT,  /* nothing is kept for later: idle connections, spare memory, mirrors */
    PRESSURE_FULL,   /* new requests get 503; TCP connections and UDP flows do not begin */
    PRESSURE_CLOSED, /* new connections are closed at once */
};

/* Told again and again while it lasts: each time what has become idle goes. */
void pressure_set(struct proxy *proxy, enum pressure level);
void pressure_open(struct proxy *proxy);
/* A client has left: LIMIT_SWEEP_MS after LIMIT_SWEEP_GONE of them their memory is given back. */
void pressure_gone(struct proxy *proxy);
