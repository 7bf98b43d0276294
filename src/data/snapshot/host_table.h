/* Host names to something, as the Gateway API ranks them: the exact name, then "*." names from the
 * longest to the shortest, then whatever takes every host. A look-up costs by the labels of the
 * host, not by the number of names. Persistent like the shard_map it is made of. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/snapshot/shard_map.h"

/* The values' own pattern is their key: "", "a.example.com" or "*.example.com"; lower case. */
struct host_ops {
    struct shard_ops exact; /* key_skip 0 */
    struct shard_ops wild;  /* the same with key_skip 1: the '*' */
};

struct host_table;

struct host_edit {
    struct text pattern; /* borrows */
    void *value;         /* borrows; NULL: remove */
};

/* `old` may be NULL: empty. Each pattern at most once. The new table has one owner. */
struct host_table *host_table_edit(const struct host_table *old, const struct host_ops *ops,
                                   const struct host_edit *edits, size_t count);
void host_table_free(struct host_table *table, const struct host_ops *ops);
/* The value of this very pattern, or NULL. */
void *host_table_get(const struct host_table *table, const struct host_ops *ops,
                     struct text pattern);
void host_table_walk(const struct host_table *table, void *owner,
                     void (*on_value)(void *owner, void *value));

/* From the most specific value to the least: start with a zeroed cursor, NULL ends. */
struct host_cursor {
    const struct shard_line *line; /* in which the value was found; NULL: it takes every host */
    size_t at;                     /* where the next suffix is sought */
    uint8_t step;
};
void *host_table_next(const struct host_table *table, const struct host_ops *ops, struct text host,
                      struct host_cursor *cursor);
