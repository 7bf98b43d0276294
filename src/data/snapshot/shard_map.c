/* The persistent hash map: see shard_map.h. Inner nodes are indexed by the hash from its high end,
 * shards are probed from its low end. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/snapshot/shard_map.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/memory.h"

#define FAN_BITS  4
#define FAN       (1u << FAN_BITS)
#define SHIFT_TOP (64 - FAN_BITS)
/* An inner node whose entries fit a shard this well becomes one again. */
#define SHARD_JOIN (SHARD_MAX / 2)

struct shard_entry {
    uint64_t hash;
    void *value; /* shares; NULL: free */
};

struct shard_map {
    _Atomic uint32_t refs;
    uint32_t cap; /* of a shard, a power of two; 0: an inner node */
    size_t count; /* entries under this node */
    union {
        struct shard_map *children[FAN]; /* shares; NULL: empty */
        struct shard_entry entries[1];   /* cap of them */
    };
};

static size_t node_size(uint32_t cap)
{
    size_t head = offsetof(struct shard_map, children);
    if (cap == 0)
        return head + sizeof(struct shard_map *) * FAN;
    return head + sizeof(struct shard_entry) * cap;
}

static struct shard_map *node_new(uint32_t cap)
{
    struct shard_map *node = memory_alloc(node_size(cap));
    atomic_init(&node->refs, 1);
    node->cap = cap;
    return node;
}

struct shard_map *shard_map_ref(struct shard_map *map)
{
    if (map != NULL)
        atomic_fetch_add_explicit(&map->refs, 1, memory_order_relaxed);
    return map;
}

/* Recursion is bounded by the digits of a hash: sixteen. */
void shard_map_unref(struct shard_map *map, const struct shard_ops *ops)
{
    if (map == NULL || atomic_fetch_sub_explicit(&map->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (map->cap == 0) {
        for (uint32_t i = 0; i < FAN; i++)
            shard_map_unref(map->children[i], ops);
    }
    for (uint32_t i = 0; i < map->cap; i++) {
        if (map->entries[i].value != NULL)
            ops->unref(map->entries[i].value);
    }
    free(map);
}

size_t shard_map_count(const struct shard_map *map)
{
    return map == NULL ? 0 : map->count;
}

static bool key_equal(const struct shard_ops *ops, const void *value, struct text key)
{
    struct text own = ops->key(value);
    return own.len == key.len + ops->key_skip &&
           (key.len == 0 || memcmp(own.data + ops->key_skip, key.data, key.len) == 0);
}

void *shard_map_get(const struct shard_map *map, const struct shard_ops *ops, uint64_t hash,
                    struct text key)
{
    uint32_t shift = SHIFT_TOP;
    while (map != NULL && map->cap == 0) {
        map = map->children[(hash >> shift) & (FAN - 1)];
        shift -= FAN_BITS;
    }
    if (map == NULL)
        return NULL;
    uint32_t mask = map->cap - 1;
    uint32_t at = (uint32_t)hash & mask;
    for (uint32_t i = 0; i < map->cap; i++, at = (at + 1) & mask) {
        const struct shard_entry *entry = &map->entries[at];
        if (entry->value == NULL)
            return NULL;
        if (entry->hash == hash && key_equal(ops, entry->value, key))
            return entry->value;
    }
    return NULL;
}

static void shard_insert(struct shard_map *node, uint64_t hash, void *value)
{
    uint32_t mask = node->cap - 1;
    uint32_t at = (uint32_t)hash & mask;
    while (node->entries[at].value != NULL)
        at = (at + 1) & mask;
    node->entries[at] = (struct shard_entry){hash, value};
    node->count++;
}

static int entry_compare(const void *left, const void *right)
{
    uint64_t a = ((const struct shard_entry *)left)->hash;
    uint64_t b = ((const struct shard_entry *)right)->hash;
    return a < b ? -1 : a > b;
}

/* Takes over the references in `entries`, which are sorted if there are more than one shard's. */
static struct shard_map *node_build(const struct shard_entry *entries, size_t count, uint32_t shift)
{
    if (count == 0)
        return NULL;
    /* Out of digits: entries of one hash share a shard, however many they are. */
    if (count <= SHARD_MAX || shift > SHIFT_TOP) {
        uint32_t cap = 1;
        while (cap < count || (count > 2 && (size_t)cap * 3 < count * 4))
            cap *= 2;
        struct shard_map *node = node_new(cap);
        for (size_t i = 0; i < count; i++)
            shard_insert(node, entries[i].hash, entries[i].value);
        return node;
    }
    struct shard_map *node = node_new(0);
    node->count = count;
    for (size_t from = 0; from < count;) {
        uint64_t digit = (entries[from].hash >> shift) & (FAN - 1);
        size_t to = from;
        while (to < count && ((entries[to].hash >> shift) & (FAN - 1)) == digit)
            to++;
        node->children[digit] = node_build(entries + from, to - from, shift - FAN_BITS);
        from = to;
    }
    return node;
}

struct gathering {
    struct shard_entry *entries;
    size_t count;
};

/* Every entry under `map` that no edit names, with a reference each. */
static void gather(const struct shard_map *map, const struct shard_ops *ops,
                   const struct shard_edit *edits, size_t edit_count, struct gathering *into)
{
    if (map == NULL)
        return;
    if (map->cap == 0) {
        for (uint32_t i = 0; i < FAN; i++)
            gather(map->children[i], ops, edits, edit_count, into);
        return;
    }
    for (uint32_t i = 0; i < map->cap; i++) {
        const struct shard_entry *entry = &map->entries[i];
        if (entry->value == NULL)
            continue;
        bool named = false;
        for (size_t e = 0; e < edit_count && !named; e++)
            named = edits[e].hash == entry->hash && key_equal(ops, entry->value, edits[e].key);
        if (!named)
            into->entries[into->count++] =
                (struct shard_entry){entry->hash, ops->ref(entry->value)};
    }
}

/* The node anew from all its entries: for shards, and for inner nodes that became small. */
static struct shard_map *node_rebuild(const struct shard_map *old, const struct shard_ops *ops,
                                      const struct shard_edit *edits, size_t count, uint32_t shift)
{
    struct gathering all = {
        .entries = memory_alloc(sizeof(struct shard_entry) * (shard_map_count(old) + count + 1)),
    };
    gather(old, ops, edits, count, &all);
    for (size_t i = 0; i < count; i++) {
        if (edits[i].value != NULL)
            all.entries[all.count++] =
                (struct shard_entry){edits[i].hash, ops->ref(edits[i].value)};
    }
    if (all.count > SHARD_MAX)
        qsort(all.entries, all.count, sizeof(struct shard_entry), entry_compare);
    struct shard_map *node = node_build(all.entries, all.count, shift);
    free(all.entries);
    return node;
}

static struct shard_map *node_edit(const struct shard_map *old, const struct shard_ops *ops,
                                   const struct shard_edit *edits, size_t count, uint32_t shift)
{
    if (old == NULL || old->cap != 0)
        return node_rebuild(old, ops, edits, count, shift);
    struct shard_map *node = node_new(0);
    for (uint32_t i = 0; i < FAN; i++)
        node->children[i] = old->children[i];
    uint32_t touched = 0;
    for (size_t from = 0; from < count;) {
        uint64_t digit = (edits[from].hash >> shift) & (FAN - 1);
        size_t to = from;
        while (to < count && ((edits[to].hash >> shift) & (FAN - 1)) == digit)
            to++;
        node->children[digit] =
            node_edit(old->children[digit], ops, edits + from, to - from, shift - FAN_BITS);
        touched |= 1u << digit;
        from = to;
    }
    for (uint32_t i = 0; i < FAN; i++) {
        if (!(touched & (1u << i)))
            shard_map_ref(node->children[i]);
        node->count += shard_map_count(node->children[i]);
    }
    if (node->count > SHARD_JOIN)
        return node;
    struct shard_map *joined = node_rebuild(node, ops, NULL, 0, shift);
    shard_map_unref(node, ops);
    return joined;
}

static int edit_compare(const void *left, const void *right)
{
    uint64_t a = ((const struct shard_edit *)left)->hash;
    uint64_t b = ((const struct shard_edit *)right)->hash;
    return a < b ? -1 : a > b;
}

struct shard_map *shard_map_edit(const struct shard_map *map, const struct shard_ops *ops,
                                 struct shard_edit *edits, size_t count)
{
    if (count > 1)
        qsort(edits, count, sizeof(*edits), edit_compare);
    return node_edit(map, ops, edits, count, SHIFT_TOP);
}

void shard_map_walk(const struct shard_map *map, void *owner,
                    void (*on_value)(void *owner, void *value))
{
    if (map == NULL)
        return;
    if (map->cap == 0) {
        for (uint32_t i = 0; i < FAN; i++)
            shard_map_walk(map->children[i], owner, on_value);
        return;
    }
    for (uint32_t i = 0; i < map->cap; i++) {
        if (map->entries[i].value != NULL)
            on_value(owner, map->entries[i].value);
    }
}
