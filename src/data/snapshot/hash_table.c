/* The ring of points and the Maglev table. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/snapshot/hash_table.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/memory.h"

_Static_assert(LIMIT_ENDPOINTS <= UINT16_MAX, "an owner is 16 bits");

/* Two independent halves of one digest: of the endpoint and a number. */
static struct digest digest_of(const struct endpoint *endpoint, uint32_t number)
{
    char text[ADDRESS_TEXT_MAX + 16];
    size_t len = MIN(endpoint->text.len, (size_t)ADDRESS_TEXT_MAX);
    memcpy(text, endpoint->text.data, len);
    memcpy(text + len, &number, sizeof(number));
    return hash_digest(text_from(text, len + sizeof(number)));
}

struct point {
    uint64_t hash;
    uint32_t owner;
};

static int compare_points(const void *a, const void *b)
{
    const struct point *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->owner < y->owner ? -1 : x->owner > y->owner;
}

static void make_ring(struct hash_table *table, const struct endpoint *endpoints, uint32_t count,
                      struct arena *arena)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += endpoints[i].weight;
    uint64_t wanted = MIN(sum * LIMIT_RING_POINTS, (uint64_t)LIMIT_RING_MAX);
    struct point *points = memory_alloc((wanted + count) * sizeof(*points));
    for (uint32_t i = 0; i < count; i++) {
        uint64_t share = MAX(wanted * endpoints[i].weight / sum, UINT64_C(1));
        for (uint32_t k = 0; k < share; k++)
            points[table->count++] = (struct point){digest_of(&endpoints[i], k).low, i};
    }
    qsort(points, table->count, sizeof(*points), compare_points);
    table->points = arena_array(arena, uint64_t, table->count);
    table->owners = arena_array(arena, uint16_t, table->count);
    for (uint32_t i = 0; i < table->count; i++) {
        table->points[i] = points[i].hash;
        table->owners[i] = (uint16_t)points[i].owner;
    }
    free(points);
}

/* One endpoint's own order of all places: offset, offset + skip, ... modulo a prime. */
struct turn {
    uint32_t next, skip;
    uint64_t credit; /* of the heaviest endpoint's weight; a whole one is a turn */
};

static uint32_t take_place(struct turn *turn, const uint16_t *owners)
{
    while (owners[turn->next] != UINT16_MAX)
        turn->next = (turn->next + turn->skip) % LIMIT_MAGLEV_SIZE;
    return turn->next;
}

static void make_maglev(struct hash_table *table, const struct endpoint *endpoints, uint32_t count,
                        struct arena *arena)
{
    struct turn *turns = memory_alloc(count * sizeof(*turns));
    uint64_t heaviest = 0;
    table->count = LIMIT_MAGLEV_SIZE;
    table->owners = arena_array(arena, uint16_t, table->count);
    memset(table->owners, 0xff, table->count * sizeof(*table->owners));
    for (uint32_t i = 0; i < count; i++) {
        struct digest digest = digest_of(&endpoints[i], 0);
        turns[i] = (struct turn){(uint32_t)(digest.high % LIMIT_MAGLEV_SIZE),
                                 (uint32_t)(digest.low % (LIMIT_MAGLEV_SIZE - 1)) + 1, 0};
        heaviest = MAX(heaviest, (uint64_t)endpoints[i].weight);
    }
    for (uint32_t filled = 0; filled < table->count;) {
        for (uint32_t i = 0; i < count && filled < table->count; i++) {
            turns[i].credit += endpoints[i].weight;
            if (turns[i].credit < heaviest)
                continue;
            turns[i].credit -= heaviest;
            table->owners[take_place(&turns[i], table->owners)] = (uint16_t)i;
            filled++;
        }
    }
    free(turns);
}

struct hash_table *hash_table_new(enum balance balance, const struct endpoint *endpoints,
                                  uint32_t count, struct arena *arena)
{
    if (count == 0)
        return NULL;
    struct hash_table *table = arena_new(arena, struct hash_table);
    if (balance == BALANCE_MAGLEV)
        make_maglev(table, endpoints, count, arena);
    else
        make_ring(table, endpoints, count, arena);
    return table;
}

uint32_t hash_table_place(const struct hash_table *table, uint64_t hash)
{
    if (table->points == NULL)
        return (uint32_t)(hash % table->count);
    uint32_t low = 0, high = table->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (table->points[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low == table->count ? 0 : low;
}
