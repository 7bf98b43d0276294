/* A ring of slices of the window, each with the number of the slice that it counts for, so that who
 * comes first in a new one need not clear it for the others. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/shared_budget.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/shared_counter.h"

#define SLICES SHARED_BUDGET_SLICES

/* High half: the slice's number since the clock began; low half: how many. */
typedef _Atomic uint64_t slice_count;

struct shared_budget {
    _Atomic uint32_t refs;
    struct shared_budget_options options;
    uint64_t slice_ns;
    struct shared_counter *minimum; /* owns */
    slice_count requests[SLICES], retries[SLICES];
};

struct shared_budget *shared_budget_new(const struct shared_budget_options *options)
{
    CHECK(options->percent <= 100 && options->window_ns >= SLICES);
    struct shared_budget *budget = memory_new(struct shared_budget);
    atomic_init(&budget->refs, 1);
    budget->options = *options;
    budget->slice_ns = options->window_ns / SLICES;
    budget->minimum = shared_counter_new(&(struct shared_rate){.requests = options->min_count,
                                                               .window_ns = options->min_window_ns,
                                                               .burst = options->min_count},
                                         false);
    return budget;
}

struct shared_budget *shared_budget_ref(struct shared_budget *budget)
{
    if (budget != NULL)
        atomic_fetch_add_explicit(&budget->refs, 1, memory_order_relaxed);
    return budget;
}

void shared_budget_unref(struct shared_budget *budget)
{
    if (budget == NULL || atomic_fetch_sub_explicit(&budget->refs, 1, memory_order_acq_rel) > 1)
        return;
    shared_counter_unref(budget->minimum);
    free(budget);
}

const struct shared_budget_options *shared_budget_options(const struct shared_budget *budget)
{
    return &budget->options;
}

static void add(slice_count ring[SLICES], uint64_t number)
{
    slice_count *slice = &ring[number % SLICES];
    uint64_t head = number << 32, next;
    uint64_t seen = atomic_load_explicit(slice, memory_order_relaxed);
    do {
        bool is_ours = (seen & ~(uint64_t)UINT32_MAX) == head;
        next = head | (is_ours ? (uint32_t)seen + 1u : 1u);
    } while (!atomic_compare_exchange_weak_explicit(slice, &seen, next, memory_order_relaxed,
                                                    memory_order_relaxed));
}

/* Unless the slice has become another's, who began to count anew. */
static void take_back(slice_count ring[SLICES], uint64_t number)
{
    slice_count *slice = &ring[number % SLICES];
    uint64_t head = number << 32;
    uint64_t seen = atomic_load_explicit(slice, memory_order_relaxed);
    while ((seen & ~(uint64_t)UINT32_MAX) == head && (uint32_t)seen > 0 &&
           !atomic_compare_exchange_weak_explicit(slice, &seen, seen - 1, memory_order_relaxed,
                                                  memory_order_relaxed))
        continue;
}

static uint64_t sum(const slice_count ring[SLICES], uint64_t number)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < SLICES; i++) {
        uint64_t seen = atomic_load_explicit(&ring[i], memory_order_relaxed);
        if ((uint32_t)number - (uint32_t)(seen >> 32) < SLICES)
            total += (uint32_t)seen;
    }
    return total;
}

void shared_budget_count(struct shared_budget *budget, uint64_t now_ns)
{
    add(budget->requests, now_ns / budget->slice_ns);
}

bool shared_budget_take(struct shared_budget *budget, uint64_t now_ns)
{
    uint64_t number = now_ns / budget->slice_ns;
    /* Counted before it is judged: of several threads at the edge none goes over it. */
    add(budget->retries, number);
    if (shared_counter_take(budget->minimum, 0, now_ns).allowed)
        return true;
    uint64_t retries = sum(budget->retries, number);
    uint64_t all = retries + sum(budget->requests, number);
    if (retries * 100 <= all * budget->options.percent)
        return true;
    take_back(budget->retries, number);
    return false;
}
