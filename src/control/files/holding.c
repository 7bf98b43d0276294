/* A map from object to the files that hold it, and the list of objects whose provider may have
 * changed, so that settling costs what changed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/files/holding.h"

#include <stdlib.h>

#include "base/builder.h"
#include "base/map.h"
#include "base/memory.h"

struct spot {
    char *key;                    /* owns */
    struct holding *first, *last; /* NULL: nobody holds it any more */
    enum kind_id kind;
    struct text namespace, name; /* views into key */
    bool touched;
};

struct holdings {
    struct map spots; /* key -> spot; owns */
    struct spot **touched;
    size_t touched_count, touched_cap;
};

struct holdings *holdings_new(void)
{
    return memory_new(struct holdings);
}

static void free_holding(struct holding *holding)
{
    kind_object_unref(holding->object);
    free(holding->file);
    free(holding);
}

void holdings_free(struct holdings *holdings)
{
    if (holdings == NULL)
        return;
    struct map_entry *entry = NULL;
    for (size_t at = 0; map_next(&holdings->spots, &at, &entry);) {
        struct spot *spot = entry->value;
        CHECK(spot->first == NULL);
        free(spot->key);
        free(spot);
    }
    map_fini(&holdings->spots);
    free(holdings->touched);
    free(holdings);
}

static void touch(struct holdings *holdings, struct spot *spot)
{
    if (spot->touched)
        return;
    spot->touched = true;
    holdings->touched = memory_grow(holdings->touched, holdings->touched_count,
                                    &holdings->touched_cap, sizeof(*holdings->touched));
    holdings->touched[holdings->touched_count++] = spot;
}

/* "<kind>\0<namespace>\0<name>": names never hold a NUL, so two objects never share a key. */
static void add_key(struct builder *key, const struct kind_object *object)
{
    builder_add_u64(key, object->id);
    builder_add_char(key, '\0');
    builder_add(key, object->meta.namespace);
    builder_add_char(key, '\0');
    builder_add(key, object->meta.name);
}

static struct spot *spot_of(struct holdings *holdings, const struct kind_object *object)
{
    struct builder key = {0};
    add_key(&key, object);
    size_t name_at = key.len - object->meta.name.len;
    size_t namespace_at = name_at - 1 - object->meta.namespace.len;
    struct spot *spot = map_get(&holdings->spots, builder_text(&key));
    if (spot != NULL) {
        builder_fini(&key);
        return spot;
    }
    spot = memory_new(struct spot);
    spot->key = key.data;
    spot->kind = object->id;
    spot->namespace = text_from(key.data + namespace_at, object->meta.namespace.len);
    spot->name = text_from(key.data + name_at, object->meta.name.len);
    map_put(&holdings->spots, builder_text(&key), spot);
    return spot;
}

struct holding *holdings_make(struct holdings *holdings, struct text file,
                              struct kind_object *object)
{
    struct spot *spot = spot_of(holdings, object);
    struct holding *holding = memory_new(struct holding);
    holding->object = kind_object_ref(object);
    holding->file = memory_string(file);
    holding->key = text_from(spot->key, (size_t)(spot->name.data - spot->key) + spot->name.len);
    return holding;
}

static bool goes_before(const struct holding *first, const struct holding *second)
{
    return text_compare(text_of(first->file), text_of(second->file)) < 0;
}

bool holdings_enter(struct holdings *holdings, struct holding *holding)
{
    struct spot *spot = map_get(&holdings->spots, holding->key);
    struct holding **at = spot->last == NULL ? &spot->first : &spot->last->next;
    if (spot->last != NULL && goes_before(holding, spot->last))
        at = &spot->first;
    while (*at != NULL && !goes_before(holding, *at))
        at = &(*at)->next;
    holding->next = *at;
    *at = holding;
    if (holding->next == NULL)
        spot->last = holding;
    touch(holdings, spot);
    return spot->first == holding;
}

struct holding *holdings_find(const struct holdings *holdings, const char *file,
                              const struct kind_object *object)
{
    struct builder key CLEANUP(builder_fini) = {0};
    add_key(&key, object);
    const struct spot *spot = map_get(&holdings->spots, builder_text(&key));
    struct holding *at = spot == NULL ? NULL : spot->first;
    while (at != NULL && strcmp(at->file, file) != 0)
        at = at->next;
    return at;
}

void holdings_withdraw(struct holdings *holdings, struct holding *holding)
{
    struct spot *spot = map_get(&holdings->spots, holding->key);
    struct holding *before = NULL;
    for (struct holding *at = spot->first; at != holding; at = at->next)
        before = at;
    *(before == NULL ? &spot->first : &before->next) = holding->next;
    if (spot->last == holding)
        spot->last = before;
    touch(holdings, spot);
    free_holding(holding);
}

const char *holdings_winner_file(const struct holdings *holdings, const struct holding *holding)
{
    const struct spot *spot = map_get(&holdings->spots, holding->key);
    return spot->first->file;
}

void holdings_settle(struct holdings *holdings, struct store *store, int64_t now)
{
    for (size_t i = 0; i < holdings->touched_count; i++) {
        struct spot *spot = holdings->touched[i];
        spot->touched = false;
        if (spot->first != NULL) {
            store_put(store, kind_object_ref(spot->first->object), now);
            continue;
        }
        store_remove(store, (struct store_key){spot->kind, spot->namespace, spot->name});
        map_remove(&holdings->spots,
                   text_from(spot->key, (size_t)(spot->name.data - spot->key) + spot->name.len));
        free(spot->key);
        free(spot);
    }
    holdings->touched_count = 0;
}
