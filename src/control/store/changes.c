/* Joins several changes of one object into what a reader who saw none of them must know. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/store/changes.h"

#include <stdlib.h>

#include "base/memory.h"
#include "control/store/index.h"

void changes_init(struct changes *changes)
{
    *changes = (struct changes){0};
    map_init(&changes->places);
    arena_init(&changes->arena, 0);
}

void changes_fini(struct changes *changes)
{
    if (changes == NULL)
        return;
    free(changes->items);
    map_fini(&changes->places);
    arena_fini(&changes->arena);
}

void changes_clear(struct changes *changes)
{
    changes_fini(changes);
    changes_init(changes);
}

static struct text bytes_of(struct changes *changes, struct store_key key)
{
    struct builder out CLEANUP(builder_fini) = {0};
    index_key(&out, key);
    return arena_text(&changes->arena, builder_text(&out));
}

/* An index in a pointer: from 1, since NULL means absent. */
static void put_place(struct changes *changes, struct text bytes, size_t index)
{
    map_put(&changes->places, bytes, (void *)(uintptr_t)(index + 1));
}

static void drop(struct changes *changes, struct text bytes, size_t index)
{
    map_remove(&changes->places, bytes);
    if (index != --changes->count) {
        changes->items[index] = changes->items[changes->count];
        put_place(changes, bytes_of(changes, changes->items[index].key), index);
    }
}

void changes_add(struct changes *changes, enum store_change_type type, struct store_key key)
{
    struct text bytes = bytes_of(changes, key);
    size_t place = (size_t)(uintptr_t)map_get(&changes->places, bytes);
    if (place == 0) {
        changes->items =
            memory_grow(changes->items, changes->count, &changes->cap, sizeof(struct store_change));
        put_place(changes, bytes, changes->count);
        changes->items[changes->count++] =
            (struct store_change){type,
                                  {key.kind, arena_text(&changes->arena, key.namespace),
                                   arena_text(&changes->arena, key.name)}};
        return;
    }
    struct store_change *known = &changes->items[place - 1];
    if (known->type == STORE_ADDED && type == STORE_REMOVED)
        drop(changes, bytes, place - 1);
    else if (known->type == STORE_ADDED)
        return;
    else if (known->type == STORE_REMOVED)
        known->type = STORE_CHANGED; /* it came back */
    else if (type != STORE_MOVED)
        known->type = type;
}
