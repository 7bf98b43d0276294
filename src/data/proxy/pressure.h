/* What a worker does without while the process is near its bound on memory. */
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
