/* Linear probing, at most three quarters full; removal moves the followers back (no tombstones). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"

void map_init(struct map *map)
{
    *map = (struct map){0};
}

void map_fini(struct map *map)
{
    if (map == NULL)
        return;
    free(map->entries);
    *map = (struct map){0};
}

/* The entry of `key`, or the free one where it would go. cap > 0. */
static struct map_entry *find(const struct map *map, struct text key, uint64_t hash)
{
    size_t mask = map->cap - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct map_entry *entry = &map->entries[i];
        if (entry->key.data == NULL || (entry->hash == hash && text_equal(entry->key, key)))
            return entry;
    }
}

void *map_get(const struct map *map, struct text key)
{
    if (map->count == 0)
        return NULL;
    const struct map_entry *entry = find(map, key, hash_text(key));
    return entry->key.data == NULL ? NULL : entry->value;
}

static void grow(struct map *map)
{
    struct map old = *map;
    map->cap = old.cap == 0 ? 16 : old.cap * 2;
    map->entries = memory_alloc(map->cap * sizeof(struct map_entry));
    for (size_t i = 0; i < old.cap; i++)
        if (old.entries[i].key.data != NULL)
            *find(map, old.entries[i].key, old.entries[i].hash) = old.entries[i];
    free(old.entries);
}

void *map_put(struct map *map, struct text key, void *value)
{
    if (map->count * 4 >= map->cap * 3)
        grow(map);
    key.data = key.data == NULL ? "" : key.data;
    uint64_t hash = hash_text(key);
    struct map_entry *entry = find(map, key, hash);
    void *before = entry->key.data == NULL ? NULL : entry->value;
    map->count += entry->key.data == NULL;
    *entry = (struct map_entry){key, value, hash};
    return before;
}

void *map_remove(struct map *map, struct text key)
{
    if (map->count == 0)
        return NULL;
    struct map_entry *entry = find(map, key, hash_text(key));
    if (entry->key.data == NULL)
        return NULL;
    void *value = entry->value;
    size_t mask = map->cap - 1, hole = (size_t)(entry - map->entries);
    for (size_t i = (hole + 1) & mask; map->entries[i].key.data != NULL; i = (i + 1) & mask) {
        size_t home = map->entries[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->entries[hole] = map->entries[i];
            hole = i;
        }
    }
    map->entries[hole] = (struct map_entry){0};
    map->count--;
    return value;
}

bool map_next(const struct map *map, size_t *at, struct map_entry **ret_entry)
{
    while (*at < map->cap) {
        struct map_entry *entry = &map->entries[(*at)++];
        if (entry->key.data != NULL) {
            *ret_entry = entry;
            return true;
        }
    }
    return false;
}

static int by_key(const void *a, const void *b)
{
    const struct map_entry *const *left = a, *const *right = b;
    return text_compare((*left)->key, (*right)->key);
}

void **map_sorted(const struct map *map, size_t *ret_count)
{
    *ret_count = map->count;
    if (map->count == 0)
        return NULL;
    struct map_entry **entries = memory_alloc(map->count * sizeof(void *));
    size_t at = 0;
    for (size_t i = 0; i < map->count; i++)
        map_next(map, &at, &entries[i]);
    qsort(entries, map->count, sizeof(void *), by_key);
    void **values = (void **)entries;
    for (size_t i = 0; i < map->count; i++)
        values[i] = entries[i]->value;
    return values;
}
