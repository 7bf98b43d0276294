/* Statuses as trees: members of `wanted` meet those of `live` by what they are called. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/merge.h"

#include "base/limits.h"
#include "control/kind/canonical.h"

/* The types that we ever write: of these, one that is not wanted is a leftover of ours, or the
 * "Pending" that the schema filled in. */
static const char *const OUR_TYPES[] = {
    "Accepted",     "Conflicted",           "InsecureFrontendValidationMode",
    "Programmed",   "OverlappingTLSConfig", "PartiallyInvalid",
    "ResolvedRefs", "SupportedVersion",
};

struct merge {
    struct arena *arena;
    struct text controller, now;
};

/* ---- building ---- */

static struct value *new_string(struct arena *arena, struct text text)
{
    struct value *value = arena_new(arena, struct value);
    value->kind = VALUE_STRING;
    value->string = text;
    return value;
}

static struct value *new_list(struct arena *arena, size_t room)
{
    struct value *value = arena_new(arena, struct value);
    value->kind = VALUE_LIST;
    value->list.items = arena_array(arena, struct value *, room);
    return value;
}

static void add_item(struct value *list, const struct value *item)
{
    list->list.items[list->list.count++] = (struct value *)(uintptr_t)item;
}

static struct value *new_map(struct arena *arena, size_t room)
{
    struct value *value = arena_new(arena, struct value);
    value->kind = VALUE_MAP;
    value->map.members = arena_array(arena, struct value_member, room);
    return value;
}

static void add_member(struct value *map, struct text key, const struct value *value)
{
    map->map.members[map->map.count++] =
        (struct value_member){.key = key, .value = (struct value *)(uintptr_t)value};
}

static size_t count_of(const struct value *list)
{
    return list != NULL && list->kind == VALUE_LIST ? list->list.count : 0;
}

static size_t members_of(const struct value *map)
{
    return map != NULL && map->kind == VALUE_MAP ? map->map.count : 0;
}

static bool is_equal(const struct value *a, const struct value *b)
{
    if (a == NULL || b == NULL) /* a list that is empty may as well be away */
        return (a == NULL || (a->kind == VALUE_LIST && a->list.count == 0)) &&
               (b == NULL || (b->kind == VALUE_LIST && b->list.count == 0));
    return canonical_equal(a, b);
}

/* The item whose member `key` is this text. */
static const struct value *find(const struct value *list, const char *key, struct text text)
{
    for (size_t i = 0; i < count_of(list); i++)
        if (text_equal(value_string(value_get(list->list.items[i], key)), text))
            return list->list.items[i];
    return NULL;
}

/* ---- conditions ---- */

static bool is_our_type(struct text type)
{
    for (size_t i = 0; i < ARRAY_LEN(OUR_TYPES); i++)
        if (text_is(type, OUR_TYPES[i]))
            return true;
    return false;
}

/* What was confirmed of this generation stays so while data planes take up something that it refers
 * to, a certificate for one: the object asks for nothing new, and what is there is served on. */
static bool is_still_programmed(const struct value *live, const struct value *wanted)
{
    return text_is(value_string(value_get(wanted, "type")), "Programmed") &&
           text_is(value_string(value_get(wanted, "reason")), "Pending") &&
           text_is(value_string(value_get(live, "status")), "True") &&
           value_int(value_get(live, "observedGeneration"), -1) ==
               value_int(value_get(wanted, "observedGeneration"), 0);
}

static const struct value *merge_condition(const struct merge *merge, const struct value *live,
                                           const struct value *wanted)
{
    if (is_still_programmed(live, wanted))
        return live;
    struct value *made = new_map(merge->arena, wanted->map.count + 1);
    struct text since = value_string(value_get(live, "lastTransitionTime"));
    bool is_same = text_equal(value_string(value_get(live, "status")),
                              value_string(value_get(wanted, "status")));
    for (size_t i = 0; i < wanted->map.count; i++)
        add_member(made, wanted->map.members[i].key, wanted->map.members[i].value);
    add_member(made, TEXT("lastTransitionTime"),
               new_string(merge->arena, is_same && since.len > 0 ? since : merge->now));
    return is_equal(live, made) ? live : made;
}

static const struct value *merge_conditions(const struct merge *merge, const struct value *live,
                                            const struct value *wanted)
{
    struct value *made = new_list(merge->arena, count_of(live) + count_of(wanted));
    for (size_t i = 0; i < count_of(live); i++) {
        const struct value *item = live->list.items[i];
        struct text type = value_string(value_get(item, "type"));
        const struct value *ours = find(wanted, "type", type);
        if (ours != NULL)
            add_item(made, merge_condition(merge, item, ours));
        else if (!is_our_type(type))
            add_item(made, item);
    }
    for (size_t i = 0; i < count_of(wanted); i++) {
        const struct value *ours = wanted->list.items[i];
        if (find(live, "type", value_string(value_get(ours, "type"))) == NULL)
            add_item(made, merge_condition(merge, NULL, ours));
    }
    return made;
}

/* A listener, parent or ancestor: the conditions merged, the other members as they are wanted. */
static const struct value *merge_entry(const struct merge *merge, const struct value *live,
                                       const struct value *wanted)
{
    struct value *made = new_map(merge->arena, wanted->map.count);
    for (size_t i = 0; i < wanted->map.count; i++) {
        const struct value_member *member = &wanted->map.members[i];
        const struct value *value = member->value;
        if (text_is(member->key, "conditions"))
            value = merge_conditions(merge, value_get(live, "conditions"), value);
        add_member(made, member->key, value);
    }
    return made;
}

/* ---- lists ---- */

static const struct value *merge_listeners(const struct merge *merge, const struct value *live,
                                           const struct value *wanted)
{
    struct value *made = new_list(merge->arena, count_of(wanted));
    for (size_t i = 0; i < count_of(wanted); i++) {
        const struct value *ours = wanted->list.items[i];
        struct text name = value_string(value_get(ours, "name"));
        add_item(made, merge_entry(merge, find(live, "name", name), ours));
    }
    return made;
}

static const struct value *ref_of(const struct value *entry)
{
    const struct value *parent = value_get(entry, "parentRef");
    return parent != NULL ? parent : value_get(entry, "ancestorRef");
}

static bool is_ours(const struct merge *merge, const struct value *entry)
{
    return text_equal(value_string(value_get(entry, "controllerName")), merge->controller);
}

static const struct value *find_entry(const struct merge *merge, const struct value *list,
                                      const struct value *like)
{
    for (size_t i = 0; i < count_of(list); i++) {
        const struct value *entry = list->list.items[i];
        if (is_ours(merge, entry) && is_equal(ref_of(entry), ref_of(like)))
            return entry;
    }
    return NULL;
}

static const struct value *merge_entries(const struct merge *merge, const struct value *live,
                                         const struct value *wanted, size_t max)
{
    struct value *made = new_list(merge->arena, count_of(live) + count_of(wanted));
    for (size_t i = 0; i < count_of(live); i++) {
        const struct value *entry = live->list.items[i];
        const struct value *ours = is_ours(merge, entry) ? find_entry(merge, wanted, entry) : NULL;
        bool is_first = find_entry(merge, live, entry) == entry;
        if (!is_ours(merge, entry))
            add_item(made, entry);
        else if (ours != NULL && is_first)
            add_item(made, merge_entry(merge, entry, ours));
    }
    for (size_t i = 0; i < count_of(wanted) && made->list.count < max; i++) {
        const struct value *ours = wanted->list.items[i];
        if (find_entry(merge, live, ours) == NULL)
            add_item(made, merge_entry(merge, NULL, ours));
    }
    return made;
}

static const struct value *merge_member(const struct merge *merge, struct text key,
                                        const struct value *live, const struct value *wanted)
{
    if (text_is(key, "conditions"))
        return merge_conditions(merge, live, wanted);
    if (text_is(key, "listeners"))
        return merge_listeners(merge, live, wanted);
    if (text_is(key, "parents"))
        return merge_entries(merge, live, wanted, LIMIT_STATUS_PARENTS);
    if (text_is(key, "ancestors"))
        return merge_entries(merge, live, wanted, LIMIT_STATUS_ANCESTORS);
    return wanted;
}

/* Members that translation writes for every object of a kind need no word here when it writes
 * none; lists of entries do, since entries of ours may be left over in them. */
static void take_back(const struct merge *merge, const struct value *live, struct value *made)
{
    static const char *const LISTS[] = {"parents", "ancestors"};
    for (size_t i = 0; i < ARRAY_LEN(LISTS); i++) {
        const struct value *list = value_get(live, LISTS[i]);
        const struct value *rest = merge_entries(merge, list, NULL, count_of(list));
        if (count_of(rest) != count_of(list))
            add_member(made, text_of(LISTS[i]), rest);
    }
}

/* The addresses that clients were told stay until a data plane confirms what is wanted: before, it
 * may be that nobody can be reached at another one. */
static bool keeps_addresses(const struct value *live, const struct value *wanted)
{
    const struct value *programmed =
        find(value_get(wanted, "conditions"), "type", TEXT("Programmed"));
    return text_is(value_string(value_get(programmed, "reason")), "Pending") &&
           count_of(value_get(live, "addresses")) > 0;
}

struct value *merge_status(const struct value *live, const struct value *wanted,
                           struct text controller, struct text now, struct arena *arena)
{
    const struct merge merge = {.arena = arena, .controller = controller, .now = now};
    struct value *made = new_map(arena, members_of(wanted) + 2);
    if (wanted == NULL)
        take_back(&merge, live, made);
    bool is_kept = keeps_addresses(live, wanted);
    for (size_t i = 0; i < members_of(wanted); i++) {
        const struct value_member *member = &wanted->map.members[i];
        if (is_kept && text_is(member->key, "addresses"))
            continue;
        const struct value *old = live == NULL ? NULL : value_get(live, member->key.data);
        const struct value *new = merge_member(&merge, member->key, old, member->value);
        if (!is_equal(old, new))
            add_member(made, member->key, new);
    }
    return made->map.count > 0 ? made : NULL;
}
