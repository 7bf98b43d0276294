/* A persistent hash map: an edit makes a new map that shares all but the touched shards with the
 * old one, which stays as it was. Immutable once made, so any thread may read it.
 *
 * A tree of sixteen-way nodes over small hash tables (the shards, at most SHARD_MAX entries): one
 * change among 100,000 entries copies three nodes and one shard. The empty map is NULL. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define SHARD_MAX 64

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
void *shard_map_get(const struct shard_map *map, const struct shard_ops *ops, uint64_t hash,
                    struct text key);
/* A new map, or NULL when it is empty. Sorts `edits`; each key stands in them at most once. */
struct shard_map *shard_map_edit(const struct shard_map *map, const struct shard_ops *ops,
                                 struct shard_edit *edits, size_t count);
/* In no particular order. */
void shard_map_walk(const struct shard_map *map, void *owner,
                    void (*on_value)(void *owner, void *value));
