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

/* What of a value stands beside it, so that a look-up need not read the value. */
struct shard_brief {
    void *words[2]; /* borrows, of the value; NULLs: nothing stands there */
    struct text rest;
    bool mark; /* what the values mean by it */
};

/* What the map must know of its values, which are counted. */
struct shard_ops {
    void *(*ref)(void *value);
    void (*unref)(void *value);
    struct text (*key)(const void *value); /* lives as long as the value */
    size_t key_skip;                       /* bytes at the front of key() that do not count */
    void (*brief)(const void *value, struct shard_brief *ret_brief); /* zeroed; NULL: none */
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
static inline const struct shard_line *shard_map_find(const struct shard_map *map,
                                                      const struct shard_ops *ops, uint64_t hash,
                                                      struct text key);
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
#define SHARD_KEY_MAX   30u /* bytes of a key, and of what is brief behind it, in a line */

/* A shard is made of lines of the cache, one for an entry: a look-up reads one of them, and nothing
 * else waits for that, neither the value nor its key if it is as short as most. An entry whose line
 * is taken is in the next free one, and those it went by are marked. */
struct shard_line {
    uint64_t hash;
    void *value;    /* shares; NULL: free */
    void *brief[2]; /* borrows, of the value */
    bool is_passed : 1;
    bool mark : 1;
    uint8_t rest_len : 6; /* the last bytes of `key` */
    uint8_t key_size;     /* bytes of the key and one more; 0: it stands with the value alone */
    char key[SHARD_KEY_MAX];
};

static inline struct text shard_line_rest(const struct shard_line *line)
{
    return text_from(line->key + SHARD_KEY_MAX - line->rest_len, line->rest_len);
}

/* A node stands at the start of a line. The low bits of what points to it, a `struct shard_map *`,
 * say what it is: 0 an inner node, n a shard of 2^(SHARD_BITS_TOP-n) lines: so a line's place, in
 * bytes, is what is left of the hash (of which the inner nodes took their digits), shifted by n. */
#define SHARD_BITS_TOP 58u
static inline uint32_t shard_map_bits(const struct shard_map *map)
{
    return (uint32_t)((uintptr_t)map & (SHARD_LINE - 1));
}

static inline const struct shard_line *shard_map_lines(const struct shard_map *map)
{
    return (const struct shard_line *)((uintptr_t)map & ~(uintptr_t)(SHARD_LINE - 1));
}

/* The key as the map sees it. */
static inline struct text shard_map_key(const struct shard_ops *ops, const void *value)
{
    struct text key = ops->key(value);
    return text_from(key.data + ops->key_skip, key.len - ops->key_skip);
}

__attribute__((always_inline)) static inline bool shard_line_is(const struct shard_line *line,
                                                                const struct shard_ops *ops,
                                                                uint64_t hash, struct text key)
{
    if (line->hash != hash)
        return false;
    if (LIKELY(line->key_size == key.len + 1))
        return text_equal_short(text_from(line->key, key.len), key);
    return line->key_size == 0 && line->value != NULL &&
           text_equal_short(shard_map_key(ops, line->value), key);
}

/* Where in a shard an entry is sought: bytes from its first line. */
static inline uint64_t shard_map_at(const struct shard_map *map, uint64_t digits)
{
    return digits >> shard_map_bits(map) & ~(uint64_t)(SHARD_LINE - 1);
}

static inline uint64_t shard_map_next(const struct shard_map *map, uint64_t at)
{
    uint64_t size = (uint64_t)SHARD_LINE << (SHARD_BITS_TOP - shard_map_bits(map));
    return (at + SHARD_LINE) & (size - 1);
}

/* The shard of a hash, or NULL, and the digits of the hash that tell its lines apart. */
__attribute__((always_inline)) static inline const struct shard_map *
shard_map_shard(const struct shard_map *map, uint64_t hash, uint64_t *ret_digits)
{
    while (map != NULL && shard_map_bits(map) == 0) { /* an inner node begins with its children */
        map = ((struct shard_map *const *)(const void *)map)[hash >> SHARD_SHIFT_TOP];
        hash <<= SHARD_FAN_BITS;
    }
    *ret_digits = hash;
    return map;
}

__attribute__((always_inline)) static inline const struct shard_line *
shard_map_find(const struct shard_map *map, const struct shard_ops *ops, uint64_t hash,
               struct text key)
{
    uint64_t digits;
    map = shard_map_shard(map, hash, &digits);
    if (map == NULL)
        return NULL;
    const char *lines = (const char *)shard_map_lines(map);
    for (uint64_t at = shard_map_at(map, digits);; at = shard_map_next(map, at)) {
        const struct shard_line *line = (const void *)(lines + at);
        if (LIKELY(shard_line_is(line, ops, hash, key)))
            return line;
        if (!line->is_passed) /* at least one is free */
            return NULL;
    }
}

/* For a key of at most sixteen bytes, and zeros, where nothing stands behind the keys. */
__attribute__((always_inline)) static inline const struct shard_line *
shard_map_find_near(const struct shard_map *map, uint64_t hash, const uint64_t bytes[2], size_t len)
{
    uint64_t digits;
    map = shard_map_shard(map, hash, &digits);
    if (map == NULL)
        return NULL;
    const char *lines = (const char *)shard_map_lines(map);
    for (uint64_t at = shard_map_at(map, digits);; at = shard_map_next(map, at)) {
        const struct shard_line *line = (const void *)(lines + at);
        uint64_t own[2];
        memcpy(own, line->key, sizeof(own));
        if (LIKELY(line->key_size == len + 1 && own[0] == bytes[0] && own[1] == bytes[1]))
            return line;
        if (!line->is_passed)
            return NULL;
    }
}

__attribute__((always_inline)) static inline void *shard_map_get(const struct shard_map *map,
                                                                 const struct shard_ops *ops,
                                                                 uint64_t hash, struct text key)
{
    const struct shard_line *line = shard_map_find(map, ops, hash, key);
    if (line == NULL)
        return NULL;
    __builtin_prefetch((const char *)line->value + SHARD_LINE); /* most reach into a second line */
    return line->value;
}
