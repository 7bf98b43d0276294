/* The cells that threads share on the request path: how much of a rate is used up, and how many of
 * something there are, by atomics alone, so that a limit is one of the process and not of each
 * worker. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

struct shared_counter;

/* `requests` per `window_ns` on average, `burst` at once; none may be 0. */
struct shared_rate {
    uint64_t requests, window_ns, burst;
};

struct shared_verdict {
    bool allowed;
    uint64_t remaining; /* requests that would be taken right now */
    uint64_t full_ns;   /* until the whole burst is there again */
    uint64_t retry_ns;  /* until one more is taken; 0 when there is one */
};

/* Keyed: one rate for each key, LIMIT_RATE_KEYS of them at most; the one idle longest goes first.
 */
struct shared_counter *shared_counter_new(const struct shared_rate *rate, bool keyed);
struct shared_counter *shared_counter_ref(struct shared_counter *counter);
void shared_counter_unref(struct shared_counter *counter);

/* Takes one request, from any thread. `key` is a seeded hash (base/hash.h), any value when the
 * counter has no keys; `now_ns` is monotonic, and may differ a little between threads. */
struct shared_verdict shared_counter_take(struct shared_counter *counter, uint64_t key,
                                          uint64_t now_ns);

/* How many there are now, of what may not be more than so many at once. */
struct shared_gauge;

struct shared_gauge *shared_gauge_new(void);
struct shared_gauge *shared_gauge_ref(struct shared_gauge *gauge); /* NULL is fine, below too */
void shared_gauge_unref(struct shared_gauge *gauge);
/* One more, unless there are `max` already; who got one gives it back. */
MUST_USE bool shared_gauge_take(struct shared_gauge *gauge, uint64_t max);
void shared_gauge_give(struct shared_gauge *gauge);
