/* Objects by key, a list per kind that is sorted when it is asked for, and counters. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/store/store.h"

#include <stdlib.h>

#include "base/memory.h"
#include "control/store/changes.h"
#include "control/store/index.h"

struct entry {
    struct kind_object *object; /* shares */
    char *key;                  /* owns */
    size_t key_len;
    bool is_listed;  /* in its shelf's objects, else in `added` */
    size_t added_at; /* where there */
    struct index_links links;
};

/* The sorted objects of one kind, and what came and went since they were sorted. */
struct shelf {
    struct kind_object **objects; /* owns the array; removed ones stay until the next sorting */
    size_t count;
    struct entry **added; /* owns the array */
    size_t added_count, added_cap;
    struct kind_object **removed; /* shares; they stand in objects as well */
    size_t removed_count, removed_cap;
    uint64_t revision;
};

struct store {
    struct map entries; /* by index_key */
    struct shelf shelves[KIND_COUNT];
    struct index index;
    struct changes changes;
    uint64_t revision;
};

struct store *store_new(void)
{
    struct store *store = memory_new(struct store);
    map_init(&store->entries);
    index_init(&store->index);
    changes_init(&store->changes);
    return store;
}

static void free_entry(struct entry *entry)
{
    kind_object_unref(entry->object);
    free(entry->links.items);
    free(entry->key);
    free(entry);
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    size_t at = 0;
    struct map_entry *item;
    while (map_next(&store->entries, &at, &item))
        free_entry(item->value);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        struct shelf *shelf = &store->shelves[i];
        for (size_t k = 0; k < shelf->removed_count; k++)
            kind_object_unref(shelf->removed[k]);
        free(shelf->objects);
        free(shelf->added);
        free(shelf->removed);
    }
    index_fini(&store->index);
    changes_fini(&store->changes);
    map_fini(&store->entries);
    free(store);
}

static struct store_key key_of(const struct kind_object *object)
{
    return (struct store_key){object->id, object->meta.namespace, object->meta.name};
}

static struct entry *find(const struct store *store, struct store_key key)
{
    struct builder bytes CLEANUP(builder_fini) = {0};
    index_key(&bytes, key);
    return map_get(&store->entries, builder_text(&bytes));
}

static void note(struct store *store, enum store_change_type type, struct store_key key)
{
    changes_add(&store->changes, type, key);
    if (type == STORE_MOVED)
        return;
    store->revision++;
    store->shelves[key.kind].revision++;
}

static void add_new(struct store *store, struct kind_object *object)
{
    struct builder bytes CLEANUP(builder_fini) = {0};
    index_key(&bytes, key_of(object));
    struct entry *entry = memory_new(struct entry);
    entry->object = object;
    entry->key = memory_string(builder_text(&bytes));
    entry->key_len = bytes.len;
    map_put(&store->entries, text_from(entry->key, entry->key_len), entry);
    struct shelf *shelf = &store->shelves[object->id];
    shelf->added =
        memory_grow(shelf->added, shelf->added_count, &shelf->added_cap, sizeof(struct entry *));
    entry->added_at = shelf->added_count;
    shelf->added[shelf->added_count++] = entry;
    index_add(&store->index, &entry->links, object);
    note(store, STORE_ADDED, key_of(object));
}

static int compare(const struct kind_object *a, const struct kind_object *b)
{
    int order = text_compare(a->meta.namespace, b->meta.namespace);
    return order != 0 ? order : text_compare(a->meta.name, b->meta.name);
}

/* The first place at or after `from` whose object does not stand before this one. */
static size_t place_of(const struct shelf *shelf, const struct kind_object *object, size_t from)
{
    size_t low = from, high = shelf->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(shelf->objects[middle], object) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool same_place(const struct kind_meta *a, const struct kind_meta *b)
{
    return a->place.line == b->place.line && a->place.column == b->place.column &&
           text_equal(a->file, b->file);
}

bool store_put(struct store *store, struct kind_object *object, int64_t now)
{
    struct entry *entry = find(store, key_of(object));
    const struct kind_object *old = entry == NULL ? NULL : entry->object;
    struct kind_meta *meta = &object->meta;
    bool same = old != NULL && digest_equal(old->digest, object->digest);
    if (same && same_place(&old->meta, meta)) {
        kind_object_unref(object);
        return false;
    }
    if (meta->created == 0)
        meta->created = old == NULL ? now : old->meta.created;
    if (meta->generation == 0)
        meta->generation = old == NULL ? 1
                           : digest_equal(old->spec_digest, object->spec_digest)
                               ? old->meta.generation
                               : old->meta.generation + 1;
    if (entry == NULL) {
        add_new(store, object);
        return true;
    }
    struct shelf *shelf = &store->shelves[object->id];
    index_remove(&store->index, &entry->links);
    if (entry->is_listed)
        shelf->objects[place_of(shelf, object, 0)] = object;
    kind_object_unref(entry->object);
    entry->object = object;
    index_add(&store->index, &entry->links, object);
    note(store, same ? STORE_MOVED : STORE_CHANGED, key_of(object));
    return true;
}

/* Out of the lists; the entry's count of the object goes to `removed`, or is given back. */
static void unlist(struct shelf *shelf, struct entry *entry)
{
    if (!entry->is_listed) {
        struct entry *last = shelf->added[--shelf->added_count];
        shelf->added[entry->added_at] = last;
        last->added_at = entry->added_at;
        return;
    }
    shelf->removed = memory_grow(shelf->removed, shelf->removed_count, &shelf->removed_cap,
                                 sizeof(struct kind_object *));
    shelf->removed[shelf->removed_count++] = kind_object_ref(entry->object);
}

bool store_remove(struct store *store, struct store_key key)
{
    struct entry *entry = find(store, key);
    if (entry == NULL)
        return false;
    note(store, STORE_REMOVED, key);
    map_remove(&store->entries, text_from(entry->key, entry->key_len));
    index_remove(&store->index, &entry->links);
    unlist(&store->shelves[key.kind], entry);
    free_entry(entry); /* last: the caller's key may point into its object */
    return true;
}

const struct kind_object *store_get(const struct store *store, enum kind_id kind,
                                    struct text namespace, struct text name)
{
    const struct entry *entry = find(store, (struct store_key){kind, namespace, name});
    return entry == NULL ? NULL : entry->object;
}

size_t store_count(const struct store *store, enum kind_id kind)
{
    const struct shelf *shelf = &store->shelves[kind];
    return shelf->count + shelf->added_count - shelf->removed_count;
}

static int compare_added(const void *a, const void *b)
{
    const struct entry *const *one = a, *const *other = b;
    return compare((*one)->object, (*other)->object);
}

static int compare_removed(const void *a, const void *b)
{
    const struct kind_object *const *one = a, *const *other = b;
    return compare(*one, *other);
}

/* The array being written: `from` is what of the old one was taken. */
struct merge {
    struct kind_object **out;
    size_t count, from;
};

static void take_until(struct merge *merge, const struct shelf *shelf, size_t to)
{
    if (to > merge->from)
        memcpy(merge->out + merge->count, shelf->objects + merge->from,
               (to - merge->from) * sizeof(struct kind_object *));
    merge->count += to - merge->from;
    merge->from = to;
}

/* Copies the stretches between what came and went: a change costs a copy of pointers, and looks at
 * no more objects than a search does. */
static void sort(struct shelf *shelf)
{
    size_t removed = 0, added = 0;
    if (shelf->removed_count + shelf->added_count == 0)
        return;
    if (shelf->removed_count > 0)
        qsort(shelf->removed, shelf->removed_count, sizeof(struct kind_object *), compare_removed);
    if (shelf->added_count > 0)
        qsort(shelf->added, shelf->added_count, sizeof(struct entry *), compare_added);
    struct merge merge = {
        .out = memory_alloc(sizeof(struct kind_object *) * (shelf->count + shelf->added_count))};
    while (removed < shelf->removed_count || added < shelf->added_count) {
        const struct kind_object *gone =
            removed < shelf->removed_count ? shelf->removed[removed] : NULL;
        struct entry *entry = added < shelf->added_count ? shelf->added[added] : NULL;
        /* Of two of one key the old one goes first, so that the new one takes its place. */
        if (gone != NULL && (entry == NULL || compare(gone, entry->object) <= 0)) {
            take_until(&merge, shelf, place_of(shelf, gone, merge.from));
            merge.from++;
            removed++;
        } else if (entry != NULL) {
            take_until(&merge, shelf, place_of(shelf, entry->object, merge.from));
            merge.out[merge.count++] = entry->object;
            entry->is_listed = true;
            added++;
        }
    }
    take_until(&merge, shelf, shelf->count);
    for (size_t i = 0; i < shelf->removed_count; i++)
        kind_object_unref(shelf->removed[i]);
    shelf->removed_count = shelf->added_count = 0;
    free(shelf->objects);
    shelf->objects = merge.out;
    shelf->count = merge.count;
}

struct store_list store_list(struct store *store, enum kind_id kind)
{
    struct shelf *shelf = &store->shelves[kind];
    sort(shelf);
    return (struct store_list){(const struct kind_object *const *)shelf->objects, shelf->count};
}

/* The first object whose namespace is not below, or (after) above, the wanted one. */
static size_t bound(struct store_list list, struct text namespace, bool after)
{
    size_t low = 0, high = list.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = text_compare(list.items[middle]->meta.namespace, namespace);
        if (order < 0 || (after && order == 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct store_list store_list_namespace(struct store *store, enum kind_id kind,
                                       struct text namespace)
{
    struct store_list all = store_list(store, kind);
    if (all.count == 0)
        return all;
    size_t from = bound(all, namespace, false), to = bound(all, namespace, true);
    return (struct store_list){all.items + from, to - from};
}

struct store_keys store_referrers(const struct store *store, struct store_key target,
                                  struct arena *arena)
{
    return index_referrers(&store->index, target, arena);
}

struct store_keys store_references(const struct store *store, struct store_key key,
                                   struct arena *arena)
{
    const struct entry *entry = find(store, key);
    return entry == NULL ? (struct store_keys){0} : index_references(&entry->links, arena);
}

uint64_t store_revision(const struct store *store, enum kind_id kind)
{
    return store->shelves[kind].revision;
}

uint64_t store_total_revision(const struct store *store)
{
    return store->revision;
}

struct store_changes store_changes(const struct store *store)
{
    return (struct store_changes){store->changes.items, store->changes.count};
}

void store_changes_clear(struct store *store)
{
    changes_clear(&store->changes);
}
