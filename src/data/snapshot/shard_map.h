/* A persistent hash map: an edit makes a new map that shares all but the touched shards with the
 * old one, which stays as it was. Immutable once made, so any thread may read it.
 *
 * A tree of wide nodes over hash tables (the shards, at most SHARD_MAX entries): a look-up among
 * 100,000 entries reads one node that stays in the nearest cache, a change copies that node and one
 * shard. The empty map is NULL. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define SHARD_MAX 512

struct shard_map;

/* What the map must know of its values, which are counted. */
struct shard_ops {
    void *(*ref)(void *value);
    void (*unref)(void *value);
    struct text (*key)(const void *value); /* lives as long as the value */
    size_t key_skip;                       /* bytes at the front of key() that do not count */
};

struct shard_edit {
    uint64_t hash;
    struct text key; /* borrows */
    void *value;     /* borrows (the map takes its own reference); NULL: remove */
};

struct shard_map *shard_map_ref(struct shard_map *map);
void shard_map_unref(struct shard_map *map, const struct shard_ops *ops);
size_t shard_map_count(const struct shard_map *map);
/* NULL: not there. Borrowed from the map. */
static inline void *shard_map_get(const struct shard_map *map, const struct shard_ops *ops,
                                  uint64_t hash, struct text key);
/* A new map, or NULL when it is empty. Sorts `edits`; each key stands in them at most once. */
struct shard_map *shard_map_edit(const struct shard_map *map, const struct shard_ops *ops,
                                 struct shard_edit *edits, size_t count);
/* In no particular order. */
void shard_map_walk(const struct shard_map *map, void *owner,
                    void (*on_value)(void *owner, void *value));

/* ---- how it lies in memory: for the look-up alone, which is here because it is so hot ---- */

#define SHARD_FAN_BITS  8
#define SHARD_FAN       (1u << SHARD_FAN_BITS)
#define SHARD_SHIFT_TOP (64 - SHARD_FAN_BITS)
#define SHARD_LINE      64u
#define SHARD_GROUP_MAX 7u

/* Shards are made of groups, a cache line each. Byte i of `tags` is that of values[i], 0x80 and
 * seven bits of its hash; 0: free. The last byte is not 0 when an entry found no room and went to
 * the next group. So a look-up reads one line of a shard, and that of the value it finds. */
struct shard_group {
    uint64_t tags;
    void *values[SHARD_GROUP_MAX]; /* shares */
};

#define SHARD_TAG_EACH 0x0001010101010101u
#define SHARD_TAG_TOP  0x0080808080808080u
#define SHARD_SPILT    (UINT64_C(1) << 56)

/* A node stands at the start of a line. The low bits of what points to it, a `struct shard_map *`,
 * say what it is: 0 an inner node, n a shard of 2^(n-1) groups. */
static inline uint32_t shard_map_bits(const struct shard_map *map)
{
    return (uint32_t)((uintptr_t)map & (SHARD_LINE - 1));
}

static inline const struct shard_group *shard_map_groups(const struct shard_map *map)
{
    return (const struct shard_group *)((uintptr_t)map & ~(uintptr_t)(SHARD_LINE - 1));
}

static inline uint64_t shard_map_tag(uint64_t hash)
{
    return 0x80 | ((hash >> 32) & 0x7F);
}

__attribute__((always_inline)) static inline bool
shard_map_has_key(const struct shard_ops *ops, const void *value, struct text key)
{
    struct text own = ops->key(value);
    own.data += ops->key_skip; /* a key that is too short for that has another length */
    own.len -= ops->key_skip;
    return text_equal_short(own, key);
}

/* The bytes of `group` that may be of this tag. A byte that is 0 has its top bit set in the result;
 * so may one next to such a byte, of a tag that differs: the key decides. */
static inline uint64_t shard_map_fit(const struct shard_group *group, uint64_t tag)
{
    uint64_t differ = group->tags ^ (tag * SHARD_TAG_EACH);
    return (differ - SHARD_TAG_EACH) & ~differ & SHARD_TAG_TOP;
}

/* In a shard, from the group on that the hash names: for the few that are not found at once. */
void *shard_map_probe(const struct shard_map *shard, const struct shard_ops *ops, uint64_t hash,
                      struct text key);

__attribute__((always_inline)) static inline void *shard_map_get(const struct shard_map *map,
                                                                 const struct shard_ops *ops,
                                                                 uint64_t hash, struct text key)
{
    if (map == NULL)
        return NULL;
    uint64_t digits = hash;
    while (shard_map_bits(map) == 0) { /* an inner node begins with its children */
        map = ((struct shard_map *const *)(const void *)map)[digits >> SHARD_SHIFT_TOP];
        digits <<= SHARD_FAN_BITS;
        if (map == NULL)
            return NULL;
    }
    const struct shard_group *group =
        &shard_map_groups(map)[hash & ((UINT64_C(1) << (shard_map_bits(map) - 1)) - 1)];
    uint64_t fit = shard_map_fit(group, shard_map_tag(hash));
    if (fit != 0) {
        void *value = group->values[(unsigned)__builtin_ctzll(fit) / 8];
        __builtin_prefetch((const char *)value + SHARD_LINE); /* most are longer than a line */
        if (LIKELY(shard_map_has_key(ops, value, key)))
            return value;
    } else if (LIKELY(group->tags < SHARD_SPILT)) {
        return NULL;
    }
    return shard_map_probe(map, ops, hash, key);
}
