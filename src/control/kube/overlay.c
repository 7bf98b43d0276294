/* Follows k8s.io/apimachinery/pkg/util/strategicpatch; the merge keys are those of the types that
 * data planes are made of. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/overlay.h"

#include <string.h>

#include "base/builder.h"
#include "control/kind/canonical.h"

#define DIRECTIVE "$patch"
#define RETAIN    "$retainKeys"
#define DELETE    "$deleteFromPrimitiveList/"

struct overlay {
    struct arena *arena;
    bool is_service; /* the kind, where the same word is a list of something else */
    struct text why;
};

enum directive {
    DIRECTIVE_MERGE,
    DIRECTIVE_REPLACE,
    DIRECTIVE_DELETE,
};

static const struct {
    const char *field, *key;
} MERGE_KEYS[] = {
    {"conditions", "type"},
    {"containers", "name"},
    {"env", "name"},
    {"ephemeralContainers", "name"},
    {"hostAliases", "ip"},
    {"imagePullSecrets", "name"},
    {"initContainers", "name"},
    {"ownerReferences", "uid"},
    {"resourceClaims", "name"},
    {"schedulingGates", "name"},
    {"secrets", "name"},
    {"topologySpreadConstraints", "topologyKey"},
    {"volumeDevices", "devicePath"},
    {"volumeMounts", "mountPath"},
    {"volumes", "name"},
};

static const char *merge_key(const struct overlay *overlay, struct text field)
{
    if (text_is(field, "ports"))
        return overlay->is_service ? "port" : "containerPort";
    for (size_t i = 0; i < ARRAY_LEN(MERGE_KEYS); i++)
        if (text_is(field, MERGE_KEYS[i].field))
            return MERGE_KEYS[i].key;
    return NULL;
}

static void complain(struct overlay *overlay, struct text path, const char *what)
{
    if (overlay->why.len == 0)
        overlay->why = arena_printf(overlay->arena, TEXT_FMT " %s", TEXT_ARG(path), what);
}

static struct text below(struct overlay *overlay, struct text path, struct text name)
{
    if (path.len == 0)
        return name;
    return arena_printf(overlay->arena, TEXT_FMT "." TEXT_FMT, TEXT_ARG(path), TEXT_ARG(name));
}

static bool is_equal(const struct value *a, const struct value *b)
{
    struct builder one CLEANUP(builder_fini) = {0}, other CLEANUP(builder_fini) = {0};
    canonical_add(&one, a);
    canonical_add(&other, b);
    return text_equal(builder_text(&one), builder_text(&other));
}

static struct value *new_value(struct overlay *overlay, enum value_kind kind)
{
    struct value *value = arena_new(overlay->arena, struct value);
    value->kind = kind;
    return value;
}

/* ---- maps ---- */

static struct value *lay(struct overlay *overlay, struct value *from, struct value *patch,
                         struct text path, struct text field);

static enum directive directive_of(struct overlay *overlay, const struct value *patch,
                                   struct text path)
{
    const struct value *word = value_get(patch, DIRECTIVE);
    if (word == NULL || text_is(value_string(word), "merge"))
        return DIRECTIVE_MERGE;
    if (text_is(value_string(word), "replace"))
        return DIRECTIVE_REPLACE;
    if (!text_is(value_string(word), "delete"))
        complain(overlay, below(overlay, path, TEXT(DIRECTIVE)),
                 "must be merge, replace or delete");
    return DIRECTIVE_DELETE;
}

static void set_member(struct value *map, struct text key, struct value *value)
{
    for (size_t i = 0; i < map->map.count; i++) {
        if (!text_equal(map->map.members[i].key, key))
            continue;
        if (value != NULL)
            map->map.members[i].value = value;
        else
            map->map.members[i] = map->map.members[--map->map.count];
        return;
    }
    if (value != NULL)
        map->map.members[map->map.count++] = (struct value_member){.key = key, .value = value};
}

static bool is_in(const struct value *list, const struct value *item)
{
    for (size_t i = 0; list->kind == VALUE_LIST && i < list->list.count; i++)
        if (is_equal(list->list.items[i], item))
            return true;
    return false;
}

static void retain_keys(struct value *map, const struct value *keys)
{
    for (size_t i = 0; i < map->map.count;) {
        const struct value key = {.kind = VALUE_STRING, .string = map->map.members[i].key};
        if (is_in(keys, &key))
            i++;
        else
            map->map.members[i] = map->map.members[--map->map.count];
    }
}

static void delete_items(struct overlay *overlay, struct value *map, struct text field,
                         const struct value *gone)
{
    const struct value *list = value_get(map, arena_string(overlay->arena, field));
    if (list == NULL || list->kind != VALUE_LIST)
        return;
    struct value *left = new_value(overlay, VALUE_LIST);
    left->list.items = arena_array(overlay->arena, struct value *, list->list.count);
    for (size_t i = 0; i < list->list.count; i++)
        if (!is_in(gone, list->list.items[i]))
            left->list.items[left->list.count++] = list->list.items[i];
    set_member(map, field, left);
}

static void lay_member(struct overlay *overlay, struct value *map,
                       const struct value_member *member, struct text path)
{
    struct text key = member->key;
    struct text here = below(overlay, path, key);
    if (text_is(key, DIRECTIVE) || text_is(key, RETAIN))
        return;
    if (text_starts_with(key, TEXT(DELETE))) {
        delete_items(overlay, map, text_slice(key, strlen(DELETE), key.len), member->value);
        return;
    }
    if (key.len > 0 && key.data[0] == '$') {
        complain(overlay, here, "is no directive that can be used here");
        return;
    }
    struct value *from = value_get(map, arena_string(overlay->arena, key));
    bool is_gone = member->value->kind == VALUE_NULL;
    set_member(map, key, is_gone ? NULL : lay(overlay, from, member->value, here, key));
}

static struct value *lay_map(struct overlay *overlay, const struct value *from,
                             const struct value *patch, struct text path)
{
    enum directive directive = directive_of(overlay, patch, path);
    struct value *map = new_value(overlay, VALUE_MAP);
    size_t kept = from == NULL || directive != DIRECTIVE_MERGE ? 0 : from->map.count;
    map->map.members =
        arena_array(overlay->arena, struct value_member, kept + patch->map.count + 1);
    map->map.count = kept;
    if (kept > 0)
        memcpy(map->map.members, from->map.members, kept * sizeof(struct value_member));
    if (directive == DIRECTIVE_DELETE)
        return map;
    const struct value *retained = value_get(patch, RETAIN);
    if (retained != NULL)
        retain_keys(map, retained);
    for (size_t i = 0; i < patch->map.count; i++)
        lay_member(overlay, map, &patch->map.members[i], path);
    return map;
}

/* ---- lists ---- */

static size_t find_item(const struct value *list, const char *key, const struct value *wanted)
{
    size_t i = 0;
    for (; i < list->list.count; i++) {
        const struct value *has = value_get(list->list.items[i], key);
        if (has != NULL && is_equal(has, wanted))
            break;
    }
    return i;
}

static void lay_item(struct overlay *overlay, struct value *list, struct value *item,
                     const char *key, struct text path)
{
    const struct value *name = value_get(item, key);
    if (name == NULL) {
        complain(overlay, path, arena_printf(overlay->arena, "has no %s", key).data);
        return;
    }
    size_t at = find_item(list, key, name);
    if (directive_of(overlay, item, path) == DIRECTIVE_DELETE) {
        if (at == list->list.count)
            return;
        list->list.count--;
        memmove(&list->list.items[at], &list->list.items[at + 1],
                (list->list.count - at) * sizeof(struct value *));
        return;
    }
    struct value *from = at < list->list.count ? list->list.items[at] : NULL;
    list->list.items[at] = lay_map(overlay, from, item, path);
    list->list.count += at == list->list.count;
}

/* An item that is nothing but "$patch: replace": the list is replaced by the other ones. */
static bool is_replacement(const struct value *patch)
{
    for (size_t i = 0; i < patch->list.count; i++) {
        const struct value *item = patch->list.items[i];
        if (item->kind == VALUE_MAP && item->map.count == 1 &&
            text_is(value_string(value_get(item, DIRECTIVE)), "replace"))
            return true;
    }
    return false;
}

static struct value *lay_list(struct overlay *overlay, const struct value *from,
                              const struct value *patch, struct text path, struct text field)
{
    const char *key = merge_key(overlay, field);
    bool is_set = text_is(field, "finalizers");
    bool is_replaced = (key == NULL && !is_set) || is_replacement(patch);
    struct value *list = new_value(overlay, VALUE_LIST);
    size_t kept = from == NULL || is_replaced ? 0 : from->list.count;
    list->list.items = arena_array(overlay->arena, struct value *, kept + patch->list.count + 1);
    list->list.count = kept;
    if (kept > 0)
        memcpy(list->list.items, from->list.items, kept * sizeof(struct value *));
    for (size_t i = 0; i < patch->list.count; i++) {
        struct value *item = patch->list.items[i];
        struct text here = arena_printf(overlay->arena, TEXT_FMT "[%zu]", TEXT_ARG(path), i);
        if (item->kind == VALUE_MAP && item->map.count == 1 && value_get(item, DIRECTIVE) != NULL &&
            directive_of(overlay, item, here) == DIRECTIVE_REPLACE)
            continue;
        if (key != NULL)
            lay_item(overlay, list, item, key, here);
        else if (!is_set || !is_in(list, item))
            list->list.items[list->list.count++] = lay(overlay, NULL, item, here, TEXT_NONE);
    }
    return list;
}

static struct value *lay(struct overlay *overlay, struct value *from, struct value *patch,
                         struct text path, struct text field)
{
    if (from != NULL && from->kind != patch->kind)
        from = NULL;
    if (patch->kind == VALUE_MAP)
        return lay_map(overlay, from, patch, path);
    if (patch->kind == VALUE_LIST)
        return lay_list(overlay, from, patch, path, field);
    return patch;
}

struct overlay_result overlay_lay(const char *kind, struct value *object, struct value *patch,
                                  struct arena *arena)
{
    struct overlay overlay = {.arena = arena, .is_service = strcmp(kind, "Service") == 0};
    struct overlay_result result = {0};
    if (text_is(value_string(value_get(patch, DIRECTIVE)), "delete")) {
        result.is_deleted = true;
        return result;
    }
    struct value *merged = lay_map(&overlay, object, patch, TEXT_NONE);
    if (overlay.why.len > 0)
        result.why = overlay.why;
    else
        result.object = merged;
    return result;
}
