/* A map from object to the files that hold it, and the list of objects whose provider may have
 * changed, so that settling costs what changed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/files/claim.h"

#include <stdlib.h>

#include "base/builder.h"
#include "base/map.h"
#include "base/memory.h"

struct spot {
    char *key;           /* owns */
    struct claim *first; /* NULL: nobody claims it any more */
    enum kind_id kind;
    struct text namespace, name; /* views into key */
    bool touched;
};

struct claims {
    struct map spots; /* key -> spot; owns */
    struct spot **touched;
    size_t touched_count, touched_cap;
};

struct claims *claims_new(void)
{
    return memory_new(struct claims);
}

static void free_claim(struct claim *claim)
{
    kind_object_unref(claim->object);
    free(claim->file);
    free(claim);
}

void claims_free(struct claims *claims)
{
    if (claims == NULL)
        return;
    struct map_entry *entry = NULL;
    for (size_t at = 0; map_next(&claims->spots, &at, &entry);) {
        struct spot *spot = entry->value;
        CHECK(spot->first == NULL);
        free(spot->key);
        free(spot);
    }
    map_fini(&claims->spots);
    free(claims->touched);
    free(claims);
}

static void touch(struct claims *claims, struct spot *spot)
{
    if (spot->touched)
        return;
    spot->touched = true;
    claims->touched = memory_grow(claims->touched, claims->touched_count, &claims->touched_cap,
                                  sizeof(*claims->touched));
    claims->touched[claims->touched_count++] = spot;
}

/* "<kind>\0<namespace>\0<name>": names never hold a NUL, so two objects never share a key. */
static struct spot *spot_of(struct claims *claims, const struct kind_object *object)
{
    struct builder key = {0};
    builder_add_u64(&key, object->id);
    builder_add_char(&key, '\0');
    size_t namespace_at = key.len;
    builder_add(&key, object->meta.namespace);
    builder_add_char(&key, '\0');
    size_t name_at = key.len;
    builder_add(&key, object->meta.name);
    struct spot *spot = map_get(&claims->spots, builder_text(&key));
    if (spot != NULL) {
        builder_fini(&key);
        return spot;
    }
    spot = memory_new(struct spot);
    spot->key = key.data;
    spot->kind = object->id;
    spot->namespace = text_from(key.data + namespace_at, object->meta.namespace.len);
    spot->name = text_from(key.data + name_at, object->meta.name.len);
    map_put(&claims->spots, builder_text(&key), spot);
    return spot;
}

struct claim *claims_make(struct claims *claims, struct text file, struct kind_object *object)
{
    struct spot *spot = spot_of(claims, object);
    struct claim *claim = memory_new(struct claim);
    claim->object = kind_object_ref(object);
    claim->file = memory_string(file);
    claim->key = text_from(spot->key, (size_t)(spot->name.data - spot->key) + spot->name.len);
    return claim;
}

bool claims_enter(struct claims *claims, struct claim *claim)
{
    struct spot *spot = map_get(&claims->spots, claim->key);
    struct claim **at = &spot->first;
    while (*at != NULL && text_compare(text_of((*at)->file), text_of(claim->file)) <= 0)
        at = &(*at)->next;
    claim->next = *at;
    *at = claim;
    touch(claims, spot);
    return spot->first == claim;
}

void claims_withdraw(struct claims *claims, struct claim *claim)
{
    struct spot *spot = map_get(&claims->spots, claim->key);
    for (struct claim **at = &spot->first; *at != NULL; at = &(*at)->next) {
        if (*at == claim) {
            *at = claim->next;
            break;
        }
    }
    touch(claims, spot);
    free_claim(claim);
}

const char *claims_winner_file(const struct claims *claims, const struct claim *claim)
{
    const struct spot *spot = map_get(&claims->spots, claim->key);
    return spot->first->file;
}

void claims_settle(struct claims *claims, struct store *store, int64_t now)
{
    for (size_t i = 0; i < claims->touched_count; i++) {
        struct spot *spot = claims->touched[i];
        spot->touched = false;
        if (spot->first != NULL) {
            store_put(store, spot->first->object, now);
            continue;
        }
        store_remove(store, (struct store_key){spot->kind, spot->namespace, spot->name});
        map_remove(&claims->spots,
                   text_from(spot->key, (size_t)(spot->name.data - spot->key) + spot->name.len));
        free(spot->key);
        free(spot);
    }
    claims->touched_count = 0;
}
