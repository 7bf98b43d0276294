/* Links are pairs that know each other's place, so that one goes in constant time however many
 * routes a Gateway has. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/store/index.h"

#include <stdlib.h>

#include "base/memory.h"
#include "control/store/references.h"

/* One referrer of a target: links->items[link] points back here. */
struct back {
    struct index_links *links; /* borrows */
    size_t link;
};

struct index_target {
    struct text key; /* owns the bytes */
    enum kind_id kind;
    struct back *items; /* owns */
    size_t count, cap;
};

struct index_link {
    struct index_target *target; /* borrows from the map */
    size_t place;                /* in target->items */
    struct store_key key;        /* texts of the referrer */
};

void index_init(struct index *index)
{
    map_init(&index->targets);
}

static void free_target(struct index_target *target)
{
    union { /* the key was made by memory_string */
        const char *const_data;
        char *data;
    } key = {.const_data = target->key.data};
    free(key.data);
    free(target->items);
    free(target);
}

void index_fini(struct index *index)
{
    if (index == NULL)
        return;
    size_t at = 0;
    struct map_entry *entry;
    while (map_next(&index->targets, &at, &entry))
        free_target(entry->value);
    map_fini(&index->targets);
}

void index_key(struct builder *out, struct store_key key)
{
    builder_add_u64(out, (uint64_t)key.kind);
    builder_add_char(out, ' ');
    builder_add_u64(out, key.namespace.len);
    builder_add_char(out, ' ');
    builder_add(out, key.namespace);
    builder_add(out, key.name);
}

struct adding {
    struct index *index;
    struct index_links *links;
    struct builder key;
};

static struct index_target *target_of(struct adding *adding, struct store_key key)
{
    builder_clear(&adding->key);
    index_key(&adding->key, key);
    struct index_target *target = map_get(&adding->index->targets, builder_text(&adding->key));
    if (target != NULL)
        return target;
    target = memory_new(struct index_target);
    target->kind = key.kind;
    target->key = text_from(memory_string(builder_text(&adding->key)), adding->key.len);
    map_put(&adding->index->targets, target->key, target);
    return target;
}

static void add_link(void *owner, struct store_key key)
{
    struct adding *adding = owner;
    struct index_links *links = adding->links;
    struct index_target *target = target_of(adding, key);
    if (target->count > 0 && target->items[target->count - 1].links == links)
        return; /* named twice; its first naming is the newest link there */
    links->items = memory_grow(links->items, links->count, &links->cap, sizeof(struct index_link));
    target->items = memory_grow(target->items, target->count, &target->cap, sizeof(struct back));
    links->items[links->count] =
        (struct index_link){.target = target, .place = target->count, .key = key};
    target->items[target->count++] = (struct back){.links = links, .link = links->count++};
}

void index_add(struct index *index, struct index_links *links, const struct kind_object *object)
{
    struct adding adding = {.index = index, .links = links};
    links->object = object;
    references_each(object, add_link, &adding);
    builder_fini(&adding.key);
}

void index_remove(struct index *index, struct index_links *links)
{
    for (size_t i = 0; i < links->count; i++) {
        struct index_target *target = links->items[i].target;
        size_t place = links->items[i].place;
        struct back last = target->items[--target->count];
        if (place != target->count) {
            target->items[place] = last;
            last.links->items[last.link].place = place;
        }
        if (target->count > 0)
            continue;
        map_remove(&index->targets, target->key);
        free_target(target);
    }
    free(links->items);
    *links = (struct index_links){0};
}

static int compare_keys(const void *a, const void *b)
{
    const struct store_key *one = a, *other = b;
    if (one->kind != other->kind)
        return one->kind < other->kind ? -1 : 1;
    int order = text_compare(one->namespace, other->namespace);
    return order != 0 ? order : text_compare(one->name, other->name);
}

struct store_keys index_referrers(const struct index *index, struct store_key target,
                                  struct arena *arena)
{
    struct builder key CLEANUP(builder_fini) = {0};
    index_key(&key, target);
    const struct index_target *found = map_get(&index->targets, builder_text(&key));
    if (found == NULL)
        return (struct store_keys){0};
    struct store_key *keys = arena_array(arena, struct store_key, found->count);
    for (size_t i = 0; i < found->count; i++) {
        const struct kind_object *object = found->items[i].links->object;
        keys[i] = (struct store_key){object->id, object->meta.namespace, object->meta.name};
    }
    qsort(keys, found->count, sizeof(struct store_key), compare_keys);
    return (struct store_keys){keys, found->count};
}

struct store_keys index_references(const struct index_links *links, struct arena *arena)
{
    struct store_key *keys = arena_array(arena, struct store_key, links->count);
    for (size_t i = 0; i < links->count; i++)
        keys[i] = links->items[i].key;
    return (struct store_keys){keys, links->count};
}
