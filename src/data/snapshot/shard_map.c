/* The persistent hash map: see shard_map.h. Inner nodes are indexed by the hash from its high end,
 * shards by the bits that come next. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/snapshot/shard_map.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/memory.h"

#define FAN       SHARD_FAN
#define SHIFT_TOP SHARD_SHIFT_TOP
#define FAN_BITS  SHARD_FAN_BITS
#define LINE      SHARD_LINE
/* An inner node whose entries fit a shard this well becomes one again. */
#define SHARD_JOIN (SHARD_MAX / 2)

_Static_assert(sizeof(struct shard_line) == LINE, "an entry is one line");

/* Behind the lines of a shard, and behind the children of an inner node: a look-up reads neither.
 */
struct shard_tail {
    _Atomic uint32_t refs;
    size_t count; /* entries under this node */
};

struct shard_inner {
    struct shard_map *children[FAN]; /* shares; NULL: empty */
    struct shard_tail tail;
};

struct shard_entry {
    uint64_t hash;
    void *value;
};

static struct shard_inner *inner_of(const struct shard_map *map)
{
    return (struct shard_inner *)(uintptr_t)map;
}

static struct shard_line *lines_of(const struct shard_map *map)
{
    return (struct shard_line *)(uintptr_t)shard_map_lines(map);
}

static size_t line_count(const struct shard_map *map)
{
    return shard_map_bits(map) == 0 ? 0 : (size_t)1 << (SHARD_BITS_TOP - shard_map_bits(map));
}

static struct shard_tail *tail_of(const struct shard_map *map)
{
    if (shard_map_bits(map) == 0)
        return &inner_of(map)->tail;
    return (struct shard_tail *)(void *)(lines_of(map) + line_count(map));
}

static struct shard_map *inner_new(void)
{
    struct shard_inner *inner = memory_aligned(LINE, sizeof(*inner));
    atomic_init(&inner->tail.refs, 1);
    return (struct shard_map *)(void *)inner;
}

/* At most two thirds of the lines are taken: most entries stand where they are sought. */
static struct shard_map *shard_new(size_t count)
{
    uint32_t bits = SHARD_BITS_TOP - 1;
    while (((size_t)2 << (SHARD_BITS_TOP - bits)) < count * 3)
        bits--;
    size_t lines = (size_t)1 << (SHARD_BITS_TOP - bits);
    size_t size = sizeof(struct shard_line) * lines + sizeof(struct shard_tail);
    uintptr_t node = (uintptr_t)memory_aligned(LINE, size) | bits;
    atomic_init(&tail_of((struct shard_map *)node)->refs, 1);
    return (struct shard_map *)node;
}

struct shard_map *shard_map_ref(struct shard_map *map)
{
    if (map != NULL)
        atomic_fetch_add_explicit(&tail_of(map)->refs, 1, memory_order_relaxed);
    return map;
}

/* Recursion is bounded by the digits of a hash: eight. */
void shard_map_unref(struct shard_map *map, const struct shard_ops *ops)
{
    if (map == NULL || atomic_fetch_sub_explicit(&tail_of(map)->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (shard_map_bits(map) == 0) {
        for (uint32_t i = 0; i < FAN; i++)
            shard_map_unref(inner_of(map)->children[i], ops);
    }
    for (size_t i = 0; i < line_count(map); i++) {
        if (lines_of(map)[i].value != NULL)
            ops->unref(lines_of(map)[i].value);
    }
    free(lines_of(map));
}

size_t shard_map_count(const struct shard_map *map)
{
    return map == NULL ? 0 : tail_of(map)->count;
}

/* What is brief and has room. */
static void line_brief(struct shard_line *line, const struct shard_ops *ops, const void *value)
{
    struct shard_brief brief = {0};
    ops->brief(value, &brief);
    size_t key_len = line->key_size == 0 ? 0 : line->key_size - 1u;
    if (brief.rest.len > SHARD_KEY_MAX - key_len)
        return;
    memcpy(line->brief, brief.words, sizeof(line->brief));
    line->mark = brief.mark;
    line->rest_len = (uint8_t)(brief.rest.len & 63);
    if (brief.rest.len > 0)
        memcpy(line->key + SHARD_KEY_MAX - brief.rest.len, brief.rest.data, brief.rest.len);
}

/* `shift`: of the digit that an inner node here would take. */
static void shard_insert(struct shard_map *node, const struct shard_ops *ops, uint64_t hash,
                         uint32_t shift, void *value)
{
    struct shard_line *lines = lines_of(node);
    uint64_t digits = shift > SHIFT_TOP ? 0 : hash << (SHIFT_TOP - shift);
    size_t mask = line_count(node) - 1, at = (digits >> shard_map_bits(node)) / LINE;
    for (; lines[at].value != NULL; at = (at + 1) & mask)
        lines[at].is_passed = true;
    struct shard_line *line = &lines[at];
    struct text key = shard_map_key(ops, value);
    line->hash = hash;
    line->value = value;
    if (key.len <= SHARD_KEY_MAX) {
        line->key_size = (uint8_t)(key.len + 1);
        memcpy(line->key, key.data, key.len);
    }
    if (ops->brief != NULL)
        line_brief(line, ops, value);
    tail_of(node)->count++;
}

static int entry_compare(const void *left, const void *right)
{
    uint64_t a = ((const struct shard_entry *)left)->hash;
    uint64_t b = ((const struct shard_entry *)right)->hash;
    return a < b ? -1 : a > b;
}

/* Takes over the references in `entries`, which are sorted if there are more than one shard's. */
static struct shard_map *node_build(const struct shard_ops *ops, const struct shard_entry *entries,
                                    size_t count, uint32_t shift)
{
    if (count == 0)
        return NULL;
    /* Out of digits: entries of one hash share a shard, however many they are. */
    if (count <= SHARD_MAX || shift > SHIFT_TOP) {
        struct shard_map *node = shard_new(count);
        for (size_t i = 0; i < count; i++)
            shard_insert(node, ops, entries[i].hash, shift, entries[i].value);
        return node;
    }
    struct shard_map *node = inner_new();
    tail_of(node)->count = count;
    for (size_t from = 0; from < count;) {
        uint64_t digit = (entries[from].hash >> shift) & (FAN - 1);
        size_t to = from;
        while (to < count && ((entries[to].hash >> shift) & (FAN - 1)) == digit)
            to++;
        inner_of(node)->children[digit] =
            node_build(ops, entries + from, to - from, shift - FAN_BITS);
        from = to;
    }
    return node;
}

struct gathering {
    struct shard_entry *entries;
    size_t count;
};

/* Is it one of the edits? They are sorted by hash. */
static bool is_named(const struct shard_ops *ops, const void *value, uint64_t hash,
                     const struct shard_edit *edits, size_t count)
{
    size_t from = 0;
    for (size_t to = count; from < to;) {
        size_t mid = from + (to - from) / 2;
        if (edits[mid].hash < hash)
            from = mid + 1;
        else
            to = mid;
    }
    for (; from < count && edits[from].hash == hash; from++) {
        if (text_equal(shard_map_key(ops, value), edits[from].key))
            return true;
    }
    return false;
}

/* Every entry under `map` that no edit names, with a reference each. */
static void gather(const struct shard_map *map, const struct shard_ops *ops,
                   const struct shard_edit *edits, size_t edit_count, struct gathering *into)
{
    if (map == NULL)
        return;
    if (shard_map_bits(map) == 0) {
        for (uint32_t i = 0; i < FAN; i++)
            gather(inner_of(map)->children[i], ops, edits, edit_count, into);
        return;
    }
    for (size_t i = 0; i < line_count(map); i++) {
        const struct shard_line *line = &lines_of(map)[i];
        if (line->value != NULL && !is_named(ops, line->value, line->hash, edits, edit_count))
            into->entries[into->count++] = (struct shard_entry){line->hash, ops->ref(line->value)};
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
    struct shard_map *node = node_build(ops, all.entries, all.count, shift);
    free(all.entries);
    return node;
}

static struct shard_map *node_edit(const struct shard_map *old, const struct shard_ops *ops,
                                   const struct shard_edit *edits, size_t count, uint32_t shift)
{
    if (old == NULL || shard_map_bits(old) != 0)
        return node_rebuild(old, ops, edits, count, shift);
    struct shard_map *node = inner_new();
    struct shard_map **children = inner_of(node)->children;
    memcpy(children, inner_of(old)->children, sizeof(inner_of(old)->children));
    bool touched[FAN] = {false};
    for (size_t from = 0; from < count;) {
        uint64_t digit = (edits[from].hash >> shift) & (FAN - 1);
        size_t to = from;
        while (to < count && ((edits[to].hash >> shift) & (FAN - 1)) == digit)
            to++;
        children[digit] =
            node_edit(children[digit], ops, edits + from, to - from, shift - FAN_BITS);
        touched[digit] = true;
        from = to;
    }
    for (uint32_t i = 0; i < FAN; i++) {
        if (!touched[i])
            shard_map_ref(children[i]);
        tail_of(node)->count += shard_map_count(children[i]);
    }
    if (tail_of(node)->count > SHARD_JOIN)
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
    if (shard_map_bits(map) == 0) {
        for (uint32_t i = 0; i < FAN; i++)
            shard_map_walk(inner_of(map)->children[i], owner, on_value);
    }
    for (size_t i = 0; i < line_count(map); i++) {
        if (lines_of(map)[i].value != NULL)
            on_value(owner, lines_of(map)[i].value);
    }
}
