/* The balancing algorithms. Ring hash and Maglev need a key from the route and act as round robin
 * until there is one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/balancer.h"

void balancer_init(struct balancer *balancer, struct random *random)
{
    *balancer = (struct balancer){.random = random, .equal = true};
}

void balancer_set(struct balancer *balancer, enum balance kind, struct balancer_item **items,
                  uint32_t count)
{
    balancer->kind = kind;
    balancer->items = items;
    balancer->count = count;
    balancer->equal = true;
    balancer->weight_sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (items[i]->weight == 0)
            items[i]->weight = 1;
        items[i]->current = 0;
        balancer->weight_sum += items[i]->weight;
        balancer->equal = balancer->equal && items[i]->weight == items[0]->weight;
    }
    balancer->next = count == 0 ? 0 : (uint32_t)random_below(balancer->random, count);
}

static bool is_tried(const struct balancer_item *item, struct balancer_item *const *tried,
                     uint32_t tried_count)
{
    for (uint32_t i = 0; i < tried_count; i++)
        if (tried[i] == item)
            return true;
    return false;
}

/* As nginx: each gains its weight, the richest pays the sum. Evenly spread at any moment. */
static struct balancer_item *pick_smooth(struct balancer *balancer)
{
    struct balancer_item *best = NULL;
    for (uint32_t i = 0; i < balancer->count; i++) {
        struct balancer_item *item = balancer->items[i];
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
    if (balancer->next >= balancer->count)
        balancer->next = 0;
    return balancer->items[balancer->next++];
}

static struct balancer_item *pick_random(struct balancer *balancer)
{
    if (balancer->equal)
        return balancer->items[random_below(balancer->random, balancer->count)];
    uint64_t at = random_below(balancer->random, balancer->weight_sum);
    for (uint32_t i = 0; i < balancer->count; i++) {
        if (at < balancer->items[i]->weight)
            return balancer->items[i];
        at -= balancer->items[i]->weight;
    }
    return balancer->items[balancer->count - 1];
}

/* Load is active requests by weight; compared without a division. */
static bool is_less_loaded(const struct balancer_item *a, const struct balancer_item *b)
{
    return ((uint64_t)a->active + 1) * b->weight < ((uint64_t)b->active + 1) * a->weight;
}

/* The better of two random choices is nearly as good as the best of all, and never a herd. */
static struct balancer_item *pick_least(struct balancer *balancer)
{
    uint64_t first = random_below(balancer->random, balancer->count);
    uint64_t second = random_below(balancer->random, balancer->count - 1);
    second += second >= first;
    struct balancer_item *a = balancer->items[first], *b = balancer->items[second];
    return is_less_loaded(b, a) ? b : a;
}

static struct balancer_item *pick_any(struct balancer *balancer)
{
    switch (balancer->kind) {
    case BALANCE_LEAST_REQUEST:
        return pick_least(balancer);
    case BALANCE_RANDOM:
        return pick_random(balancer);
    case BALANCE_ROUND_ROBIN:
    case BALANCE_RING_HASH:
    case BALANCE_MAGLEV:
        break;
    }
    return pick_round_robin(balancer);
}

struct balancer_item *balancer_pick(struct balancer *balancer, struct balancer_item *const *tried,
                                    uint32_t tried_count)
{
    if (balancer->count == 0)
        return NULL;
    struct balancer_item *item = balancer->count == 1 ? balancer->items[0] : pick_any(balancer);
    if (LIKELY(tried_count == 0) || !is_tried(item, tried, tried_count))
        return item;
    uint32_t from = (uint32_t)random_below(balancer->random, balancer->count);
    for (uint32_t i = 0; i < balancer->count; i++) {
        item = balancer->items[(from + i) % balancer->count];
        if (!is_tried(item, tried, tried_count))
            return item;
    }
    return NULL;
}
