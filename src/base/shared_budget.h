/* How many of the requests to something may be retries, in the whole process: a share of all in a
 * sliding window, or a rate that is allowed in any case. Threads share it by atomics alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

struct shared_budget;

struct shared_budget_options {
    uint32_t percent;       /* of all requests, retries among them; at most 100 */
    uint64_t window_ns;     /* in the last so long; at least SHARED_BUDGET_SLICES */
    uint32_t min_count;     /* so many at once are allowed in any case, and */
    uint64_t min_window_ns; /* as many again in each such time; neither may be 0 */
};

/* The window moves in steps of this part of it. */
#define SHARED_BUDGET_SLICES 10

struct shared_budget *shared_budget_new(const struct shared_budget_options *options);
struct shared_budget *shared_budget_ref(struct shared_budget *budget); /* NULL is fine, below too */
void shared_budget_unref(struct shared_budget *budget);
const struct shared_budget_options *shared_budget_options(const struct shared_budget *budget);

/* A request that is no retry; `now_ns` is monotonic, and may differ a little between threads. */
void shared_budget_count(struct shared_budget *budget, uint64_t now_ns);
/* One retry, if it is allowed; it counts only then. */
MUST_USE bool shared_budget_take(struct shared_budget *budget, uint64_t now_ns);
