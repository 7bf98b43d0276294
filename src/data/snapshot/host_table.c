/* Host names to something: see host_table.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/snapshot/host_table.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/memory.h"

/* More than a host of LIMIT_HOSTNAME bytes can have dots. */
#define DOTS_MAX 256

struct host_table {
    struct shard_map *exact; /* owns a count; NULL: empty */
    struct shard_map *wild;
    void *any;                      /* shares; NULL: none */
    uint32_t wild_counts[DOTS_MAX]; /* by number of dots: where nothing is, nothing is sought */
};

enum { STEP_EXACT, STEP_WILD, STEP_ANY, STEP_END };

static bool is_wild(struct text pattern)
{
    return pattern.len > 1 && pattern.data[0] == '*';
}

static uint32_t dots(struct text text)
{
    uint32_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '.';
    return MIN(count, DOTS_MAX - 1u);
}

struct host_table *host_table_edit(const struct host_table *old, const struct host_ops *ops,
                                   const struct host_edit *edits, size_t count)
{
    struct host_table *table = memory_new(struct host_table);
    if (old != NULL)
        *table = *old;
    struct shard_edit *exact = memory_alloc(sizeof(*exact) * (count + 1) * 2);
    struct shard_edit *wild = exact + count + 1;
    size_t exact_count = 0, wild_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct text pattern = edits[i].pattern;
        if (pattern.len == 0) {
            table->any = edits[i].value;
        } else if (is_wild(pattern)) {
            struct text suffix = text_slice(pattern, 1, pattern.len);
            bool was = host_table_get(old, ops, pattern) != NULL;
            uint32_t *counter = &table->wild_counts[dots(suffix)];
            *counter = *counter - was + (edits[i].value != NULL);
            wild[wild_count++] = (struct shard_edit){hash_front(suffix), suffix, edits[i].value};
        } else {
            exact[exact_count++] =
                (struct shard_edit){hash_front(pattern), pattern, edits[i].value};
        }
    }
    table->exact = exact_count == 0 ? shard_map_ref(table->exact)
                                    : shard_map_edit(table->exact, &ops->exact, exact, exact_count);
    table->wild = wild_count == 0 ? shard_map_ref(table->wild)
                                  : shard_map_edit(table->wild, &ops->wild, wild, wild_count);
    if (table->any != NULL)
        ops->exact.ref(table->any);
    free(exact);
    return table;
}

void host_table_free(struct host_table *table, const struct host_ops *ops)
{
    if (table == NULL)
        return;
    shard_map_unref(table->exact, &ops->exact);
    shard_map_unref(table->wild, &ops->wild);
    if (table->any != NULL)
        ops->exact.unref(table->any);
    free(table);
}

void *host_table_get(const struct host_table *table, const struct host_ops *ops,
                     struct text pattern)
{
    if (table == NULL)
        return NULL;
    if (pattern.len == 0)
        return table->any;
    if (!is_wild(pattern))
        return shard_map_get(table->exact, &ops->exact, hash_front(pattern), pattern);
    struct text suffix = text_slice(pattern, 1, pattern.len);
    return shard_map_get(table->wild, &ops->wild, hash_front(suffix), suffix);
}

void host_table_walk(const struct host_table *table, void *owner,
                     void (*on_value)(void *owner, void *value))
{
    if (table == NULL)
        return;
    shard_map_walk(table->exact, owner, on_value);
    shard_map_walk(table->wild, owner, on_value);
    if (table->any != NULL)
        on_value(owner, table->any);
}

/* The longest suffix from `cursor->at` on that some "*." name has. */
__attribute__((noinline)) static void *next_wild(const struct host_table *table,
                                                 const struct host_ops *ops, struct text host,
                                                 struct host_cursor *cursor)
{
    /* A wildcard stands for at least one label, so the suffix never starts the host. */
    size_t at = text_find(host, '.', MAX(cursor->at, (size_t)1));
    uint32_t left = dots(text_slice(host, at, host.len));
    for (; at < host.len; at = text_find(host, '.', at + 1), left--) {
        if (table->wild_counts[left] == 0)
            continue;
        struct text suffix = text_slice(host, at, host.len);
        cursor->line = shard_map_find(table->wild, &ops->wild, hash_front(suffix), suffix);
        if (cursor->line != NULL) {
            cursor->at = at + 1;
            return cursor->line->value;
        }
    }
    return NULL;
}

void *host_table_next(const struct host_table *table, const struct host_ops *ops, struct text host,
                      struct host_cursor *cursor)
{
    if (cursor->step == STEP_EXACT) {
        cursor->step = STEP_WILD;
        if (table->exact != NULL && host.len > 0 && host.len <= LIMIT_HOSTNAME)
            cursor->line = shard_map_find(table->exact, &ops->exact, hash_front(host), host);
        if (cursor->line != NULL)
            return cursor->line->value;
    }
    if (cursor->step == STEP_WILD) {
        void *value = NULL;
        if (table->wild != NULL && host.len <= LIMIT_HOSTNAME)
            value = next_wild(table, ops, host, cursor);
        if (value != NULL)
            return value;
        cursor->step = STEP_ANY;
    }
    if (cursor->step == STEP_ANY) {
        cursor->line = NULL;
        cursor->step = STEP_END;
        return table->any;
    }
    return NULL;
}
