/* The balancing algorithms, over those items that are in. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/balancer.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"

#define WALK_MAX 256 /* places of a hash table looked at before any endpoint will do */

void balancer_init(struct balancer *balancer, struct random *random)
{
    *balancer = (struct balancer){.random = random, .equal = true};
}

void balancer_fini(struct balancer *balancer)
{
    free(balancer->ready);
    balancer->ready = NULL;
}

void balancer_refresh(struct balancer *balancer)
{
    uint32_t in = 0, near = 0, near_in = 0;
    for (uint32_t i = 0; i < balancer->count; i++) {
        const struct balancer_item *item = balancer->items[i];
        in += !item->is_out;
        near += !item->is_far;
        near_in += !item->is_far && !item->is_out;
    }
    balancer->is_panic =
        (uint64_t)in * 100 < (uint64_t)balancer->count * balancer->options.panic_percent;
    balancer->is_near = !balancer->is_panic && near_in > 0 &&
                        (uint64_t)near_in * 100 >= (uint64_t)near * LIMIT_ZONE_IN_PERCENT;
    balancer->ready_count = 0;
    balancer->equal = true;
    balancer->weight_sum = 0;
    for (uint32_t i = 0; i < balancer->count; i++) {
        struct balancer_item *item = balancer->items[i];
        if ((item->is_out && !balancer->is_panic) || (item->is_far && balancer->is_near))
            continue;
        balancer->ready[balancer->ready_count++] = item;
        balancer->weight_sum += item->weight;
        balancer->equal = balancer->equal && item->weight == balancer->ready[0]->weight;
    }
}

void balancer_set(struct balancer *balancer, const struct balancer_options *options,
                  struct balancer_item **items, uint32_t count)
{
    balancer->options = *options;
    balancer->items = items;
    balancer->count = count;
    free(balancer->ready);
    balancer->ready = count == 0 ? NULL : memory_alloc(count * sizeof(struct balancer_item *));
    for (uint32_t i = 0; i < count; i++) {
        items[i]->weight = MAX(items[i]->weight, 1u);
        items[i]->current = 0;
    }
    balancer_refresh(balancer);
    balancer->next = count == 0 ? 0 : (uint32_t)random_below(balancer->random, count);
}

static bool is_tried(const struct balancer_item *item, const struct balancer_ask *ask)
{
    for (uint32_t i = 0; i < ask->tried_count; i++)
        if (ask->tried[i] == item)
            return true;
    return false;
}

bool balancer_is_usable(const struct balancer *balancer, const struct balancer_item *item,
                        const struct balancer_ask *ask)
{
    return (!item->is_out || balancer->is_panic) && !is_tried(item, ask);
}

/* As nginx: each gains its weight, the richest pays the sum. Evenly spread at any moment. */
static struct balancer_item *pick_smooth(struct balancer *balancer)
{
    struct balancer_item *best = NULL;
    for (uint32_t i = 0; i < balancer->ready_count; i++) {
        struct balancer_item *item = balancer->ready[i];
        item->current += item->weight;
        if (best == NULL || item->current > best->current)
            best = item;
    }
    best->current -= (int64_t)balancer->weight_sum;
    return best;
}

static struct balancer_item *pick_round_robin(struct balancer *balancer)
{
    if (!balancer->equal)
        return pick_smooth(balancer);
    if (balancer->next >= balancer->ready_count)
        balancer->next = 0;
    return balancer->ready[balancer->next++];
}

static uint32_t random_index(struct balancer *balancer)
{
    uint32_t last = balancer->ready_count - 1;
    if (balancer->equal)
        return (uint32_t)random_below(balancer->random, balancer->ready_count);
    uint64_t at = random_below(balancer->random, balancer->weight_sum);
    for (uint32_t i = 0; i < last; i++) {
        if (at < balancer->ready[i]->weight)
            return i;
        at -= balancer->ready[i]->weight;
    }
    return last;
}

/* Load is active requests by weight; compared without a division. */
static bool is_less_loaded(const struct balancer_item *a, const struct balancer_item *b)
{
    return ((uint64_t)a->active + 1) * b->weight < ((uint64_t)b->active + 1) * a->weight;
}

/* The better of two random choices is nearly as good as the best of all, and never a herd. Equal
 * weights: two different ones; else two by weight, so that an idle backend is shared by weight. */
static struct balancer_item *pick_least(struct balancer *balancer)
{
    uint32_t first = random_index(balancer), second;
    if (balancer->equal) {
        second = (uint32_t)random_below(balancer->random, balancer->ready_count - 1);
        second += second >= first;
    } else {
        second = random_index(balancer);
    }
    struct balancer_item *a = balancer->ready[first], *b = balancer->ready[second];
    return is_less_loaded(b, a) ? b : a;
}

/* The one that the hash means, else the next of the table that can be had: so those keys alone move
 * that have to, and each always to the same place. */
static struct balancer_item *pick_hashed(struct balancer *balancer, const struct balancer_ask *ask)
{
    const struct hash_table *table = balancer->options.table;
    uint64_t hash = ask->has_hash ? ask->hash : random_next(balancer->random);
    uint32_t place = hash_table_place(table, hash);
    for (uint32_t i = 0; i < MIN(table->count, (uint32_t)WALK_MAX); i++) {
        struct balancer_item *item = balancer->items[table->owners[(place + i) % table->count]];
        if (balancer_is_usable(balancer, item, ask) && !(item->is_far && balancer->is_near))
            return item;
    }
    return balancer->ready[hash % balancer->ready_count];
}

static struct balancer_item *pick_any(struct balancer *balancer, const struct balancer_ask *ask)
{
    switch (balancer->options.kind) {
    case BALANCE_LEAST_REQUEST:
        return pick_least(balancer);
    case BALANCE_RANDOM:
        return balancer->ready[random_index(balancer)];
    case BALANCE_RING_HASH:
    case BALANCE_MAGLEV:
        if (balancer->options.table != NULL)
            return pick_hashed(balancer, ask);
        break;
    case BALANCE_ROUND_ROBIN:
        break;
    }
    return pick_round_robin(balancer);
}

struct balancer_item *balancer_pick(struct balancer *balancer, const struct balancer_ask *ask)
{
    if (balancer->ready_count == 0)
        return NULL;
    struct balancer_item *item =
        balancer->ready_count == 1 ? balancer->ready[0] : pick_any(balancer, ask);
    if (LIKELY(ask->tried_count == 0) || !is_tried(item, ask))
        return item;
    uint32_t from = (uint32_t)random_below(balancer->random, balancer->ready_count);
    for (uint32_t i = 0; i < balancer->ready_count; i++) {
        item = balancer->ready[(from + i) % balancer->ready_count];
        if (!is_tried(item, ask))
            return item;
    }
    return NULL;
}
