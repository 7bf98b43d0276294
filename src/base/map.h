/* Text to pointer, open addressing, insertion order not kept. Keys are borrowed: they must live as
 * long as their entry (usually they stand in the value). */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct map_entry {
    struct text key; /* borrows; key.data NULL = free */
    void *value;
    uint64_t hash;
};

struct map {
    struct map_entry *entries; /* owns */
    size_t count, cap;
};

void map_init(struct map *map);
void map_fini(struct map *map);
void *map_get(const struct map *map, struct text key); /* NULL: not there */
/* Returns the value that was there before, or NULL; its key is replaced as well. */
void *map_put(struct map *map, struct text key, void *value);
void *map_remove(struct map *map, struct text key);
/* `*at` starts at 0; false at the end. The map must not change meanwhile. */
bool map_next(const struct map *map, size_t *at, struct map_entry **ret_entry);
/* All values, sorted by key, in an array the caller frees; *ret_count may be 0 (then NULL). */
void **map_sorted(const struct map *map, size_t *ret_count);
