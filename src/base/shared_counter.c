/* Rates as "theoretical arrival times" (GCRA): one number a key says when the bucket is full again,
 * so that taking a request is one compare-and-swap. Keys stand in sets of eight in pages that come
 * into being when they are first needed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/shared_counter.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/macros.h"
#include "base/memory.h"

#define WAYS      8u  /* places that a key may stand in: two cache lines */
#define PAGE_SETS 32u /* 4 KiB */
#define PAGES     (LIMIT_RATE_KEYS / (WAYS * PAGE_SETS))

#define KEY_FREE    0u
#define KEY_CLAIMED 1u /* somebody is about to write the key */
#define KEY_FIRST   2u

struct cell {
    _Atomic uint64_t key;
    _Atomic uint64_t full_at; /* monotonic ns; in the past: nothing is used */
};

struct page {
    struct cell sets[PAGE_SETS][WAYS];
};

struct shared_counter {
    _Atomic uint32_t refs;
    uint32_t page_count; /* 0: no keys */
    uint64_t step_ns;    /* what one request costs */
    uint64_t burst_ns;   /* what a full burst costs */
    struct cell only;
    _Atomic(struct page *) pages[]; /* owns; NULL: not needed yet */
};

struct shared_counter *shared_counter_new(const struct shared_rate *rate, bool keyed)
{
    CHECK(rate->requests > 0 && rate->window_ns > 0 && rate->burst > 0);
    uint32_t page_count = keyed ? PAGES : 0;
    struct shared_counter *counter =
        memory_alloc(sizeof(*counter) + sizeof(struct page *) * page_count);
    atomic_init(&counter->refs, 1);
    counter->page_count = page_count;
    counter->step_ns = MAX(rate->window_ns / rate->requests, UINT64_C(1));
    /* Far enough from the end of the number line that sums of two stay on it. */
    if (__builtin_mul_overflow(counter->step_ns, rate->burst, &counter->burst_ns) ||
        counter->burst_ns > UINT64_MAX / 4)
        counter->burst_ns = UINT64_MAX / 4;
    return counter;
}

struct shared_counter *shared_counter_ref(struct shared_counter *counter)
{
    if (counter != NULL)
        atomic_fetch_add_explicit(&counter->refs, 1, memory_order_relaxed);
    return counter;
}

void shared_counter_unref(struct shared_counter *counter)
{
    if (counter == NULL || atomic_fetch_sub_explicit(&counter->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (uint32_t i = 0; i < counter->page_count; i++)
        free(atomic_load_explicit(&counter->pages[i], memory_order_relaxed));
    free(counter);
}

static struct page *page_at(struct shared_counter *counter, uint32_t at)
{
    struct page *page = atomic_load_explicit(&counter->pages[at], memory_order_acquire);
    if (page != NULL)
        return page;
    struct page *made = memory_new(struct page);
    if (atomic_compare_exchange_strong_explicit(&counter->pages[at], &page, made,
                                                memory_order_acq_rel, memory_order_acquire))
        return made;
    free(made); /* another thread was first */
    return page;
}

static struct cell *find_key(struct cell *set, uint64_t key)
{
    for (uint32_t i = 0; i < WAYS; i++) {
        if (atomic_load_explicit(&set[i].key, memory_order_acquire) == key)
            return &set[i];
    }
    return NULL;
}

/* The free place, or else the one that has been idle longest: the key that loses it finds a full
 * bucket when it comes back. Two threads with one new key may both write it; the first place counts
 * from then on, so a key can gain one burst that way and no more. */
static struct cell *place_key(struct cell *set, uint64_t key)
{
    for (;;) {
        struct cell *found = find_key(set, key);
        if (found != NULL)
            return found;
        struct cell *oldest = NULL;
        uint64_t oldest_at = 0, oldest_key = 0;
        for (uint32_t i = 0; i < WAYS; i++) {
            uint64_t there = atomic_load_explicit(&set[i].key, memory_order_acquire);
            uint64_t at = atomic_load_explicit(&set[i].full_at, memory_order_relaxed);
            if (there == KEY_CLAIMED)
                continue;
            if (oldest == NULL || at < oldest_at) {
                oldest = &set[i];
                oldest_at = at;
                oldest_key = there;
            }
        }
        if (oldest != NULL &&
            atomic_compare_exchange_strong_explicit(&oldest->key, &oldest_key, KEY_CLAIMED,
                                                    memory_order_acq_rel, memory_order_acquire)) {
            atomic_store_explicit(&oldest->full_at, 0, memory_order_relaxed);
            atomic_store_explicit(&oldest->key, key, memory_order_release);
        }
    }
}

struct shared_verdict shared_counter_take(struct shared_counter *counter, uint64_t key,
                                          uint64_t now_ns)
{
    struct cell *cell = &counter->only;
    if (counter->page_count > 0) {
        key = key < KEY_FIRST ? key + KEY_FIRST : key;
        struct page *page = page_at(counter, (uint32_t)(key >> 32) % counter->page_count);
        cell = place_key(page->sets[(uint32_t)key % PAGE_SETS], key);
    }
    uint64_t seen = atomic_load_explicit(&cell->full_at, memory_order_relaxed);
    for (;;) {
        uint64_t used = seen > now_ns ? seen - now_ns : 0;
        uint64_t after = used + counter->step_ns;
        bool allowed = after <= counter->burst_ns;
        if (allowed &&
            !atomic_compare_exchange_weak_explicit(&cell->full_at, &seen, now_ns + after,
                                                   memory_order_relaxed, memory_order_relaxed))
            continue;
        used = allowed ? after : used;
        uint64_t left = counter->burst_ns > used ? counter->burst_ns - used : 0;
        return (struct shared_verdict){
            .allowed = allowed,
            .remaining = left / counter->step_ns,
            .full_ns = used,
            .retry_ns = left >= counter->step_ns ? 0 : counter->step_ns - left,
        };
    }
}

struct shared_gauge {
    _Atomic uint32_t refs;
    _Atomic uint64_t count;
};

struct shared_gauge *shared_gauge_new(void)
{
    struct shared_gauge *gauge = memory_new(struct shared_gauge);
    atomic_init(&gauge->refs, 1);
    return gauge;
}

struct shared_gauge *shared_gauge_ref(struct shared_gauge *gauge)
{
    if (gauge != NULL)
        atomic_fetch_add_explicit(&gauge->refs, 1, memory_order_relaxed);
    return gauge;
}

void shared_gauge_unref(struct shared_gauge *gauge)
{
    if (gauge != NULL && atomic_fetch_sub_explicit(&gauge->refs, 1, memory_order_acq_rel) == 1)
        free(gauge);
}

bool shared_gauge_take(struct shared_gauge *gauge, uint64_t max)
{
    uint64_t count = atomic_load_explicit(&gauge->count, memory_order_relaxed);
    while (count < max)
        if (atomic_compare_exchange_weak_explicit(&gauge->count, &count, count + 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

void shared_gauge_give(struct shared_gauge *gauge)
{
    CHECK(atomic_fetch_sub_explicit(&gauge->count, 1, memory_order_relaxed) > 0);
}
