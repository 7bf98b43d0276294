/* Objects by key, a sorted list per kind that is put right when it is asked for, and counters. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/store/store.h"

#include <stdlib.h>

#include "base/memory.h"
#include "control/store/changes.h"
#include "control/store/index.h"

struct entry {
    struct kind_object *object; /* shares; NULL: removed, and freed with the next sorting */
    char *key;                  /* owns */
    size_t key_len;
    size_t place; /* in the sorted list, unless that is dirty */
    struct index_links links;
};

/* The objects of one kind. `sorted` entries come first, later ones in the order they came. */
struct shelf {
    struct entry **entries; /* owns */
    size_t count, cap, sorted;
    const struct kind_object **objects; /* owns; what store_list shows, of live entries */
    size_t live;
    bool is_dirty;
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
    for (size_t i = 0; i < KIND_COUNT; i++) {
        struct shelf *shelf = &store->shelves[i];
        for (size_t k = 0; k < shelf->count; k++)
            free_entry(shelf->entries[k]);
        free(shelf->entries);
        free(shelf->objects);
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
    shelf->entries = memory_grow(shelf->entries, shelf->count, &shelf->cap, sizeof(struct entry *));
    shelf->entries[shelf->count++] = entry;
    shelf->live++;
    shelf->is_dirty = true;
    index_add(&store->index, &entry->links, object);
    note(store, STORE_ADDED, key_of(object));
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
    kind_object_unref(entry->object);
    entry->object = object;
    if (!shelf->is_dirty)
        shelf->objects[entry->place] = object;
    index_add(&store->index, &entry->links, object);
    note(store, same ? STORE_MOVED : STORE_CHANGED, key_of(object));
    return true;
}

bool store_remove(struct store *store, struct store_key key)
{
    struct entry *entry = find(store, key);
    if (entry == NULL)
        return false;
    note(store, STORE_REMOVED, key);
    map_remove(&store->entries, text_from(entry->key, entry->key_len));
    index_remove(&store->index, &entry->links);
    store->shelves[key.kind].is_dirty = true;
    store->shelves[key.kind].live--;
    kind_object_unref(entry->object); /* last: the caller's key may point into it */
    entry->object = NULL;
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
    return store->shelves[kind].live;
}

static int compare_objects(const struct kind_object *a, const struct kind_object *b)
{
    int order = text_compare(a->meta.namespace, b->meta.namespace);
    return order != 0 ? order : text_compare(a->meta.name, b->meta.name);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *const *one = a, *const *other = b;
    return compare_objects((*one)->object, (*other)->object);
}

/* Frees what was removed; returns how many sorted ones are left. */
static void compact(struct shelf *shelf)
{
    size_t kept = 0, sorted = 0;
    for (size_t i = 0; i < shelf->count; i++) {
        if (shelf->entries[i]->object == NULL) {
            free_entry(shelf->entries[i]);
            continue;
        }
        sorted += i < shelf->sorted;
        shelf->entries[kept++] = shelf->entries[i];
    }
    shelf->count = kept;
    shelf->sorted = sorted;
}

/* The few new ones are sorted and merged in: a change costs a pass, not a sorting of all. */
static void merge(struct shelf *shelf)
{
    size_t news = shelf->count - shelf->sorted;
    if (news == 0)
        return;
    struct entry **tail = memory_alloc(sizeof(struct entry *) * news);
    memcpy(tail, shelf->entries + shelf->sorted, sizeof(struct entry *) * news);
    qsort(tail, news, sizeof(struct entry *), compare_entries);
    size_t old = shelf->sorted, out = shelf->count;
    while (news > 0) { /* from the end, so that nothing is overwritten before it is moved */
        bool take_old = old > 0 && compare_entries(&shelf->entries[old - 1], &tail[news - 1]) > 0;
        shelf->entries[--out] = take_old ? shelf->entries[--old] : tail[--news];
    }
    free(tail);
    shelf->sorted = shelf->count;
}

struct store_list store_list(struct store *store, enum kind_id kind)
{
    struct shelf *shelf = &store->shelves[kind];
    if (shelf->is_dirty) {
        compact(shelf);
        merge(shelf);
        shelf->objects =
            memory_resize(shelf->objects, sizeof(struct kind_object *) * (shelf->count + 1));
        for (size_t i = 0; i < shelf->count; i++) {
            shelf->objects[i] = shelf->entries[i]->object;
            shelf->entries[i]->place = i;
        }
        shelf->is_dirty = false;
    }
    return (struct store_list){shelf->objects, shelf->live};
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
