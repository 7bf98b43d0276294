/* Virtual hosts: see route_host.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/snapshot/route_host.h"

#include <stdlib.h>

#include "base/memory.h"

/* ---- what the maps must know ---- */

void *route_host_share_set(void *value)
{
    return route_set_ref(value);
}

void route_host_drop_set(void *value)
{
    route_set_unref(value);
}

void route_host_brief_set(const void *value, struct shard_brief *ret_brief)
{
    const struct route_candidate *first = ((const struct route_set *)value)->items;
    if (first->method == METHOD_OTHER && first->plain) {
        ret_brief->words[0] = first->route;
        ret_brief->words[1] = (void *)(uintptr_t)first->match;
    }
}

void route_host_brief(const void *value, struct shard_brief *ret_brief)
{
    const struct route_host *host = value;
    if (host->form == HOST_LONE) {
        route_host_brief_set(route_host_lone(host), ret_brief);
        ret_brief->rest = route_set_path(route_host_lone(host));
        ret_brief->mark = host->lone_kind == PLACE_PREFIX;
    } else if (host->form == HOST_PREFIXES && route_host_paths(host)->one_depth != 0) {
        const struct route_host_paths *paths = route_host_paths(host);
        ret_brief->words[1] = paths->prefix;
        ret_brief->rest = text_from((const char *)&paths->one_depth, sizeof(paths->one_depth));
        ret_brief->mark = (paths->depths & 1) != 0;
    }
}

void *route_host_share(void *value)
{
    struct route_host *host = value;
    atomic_fetch_add_explicit(&host->refs, 1, memory_order_relaxed);
    return host;
}

void route_host_drop(void *value)
{
    route_host_unref(value);
}

static void paths_fini(const struct route_host_paths *paths)
{
    shard_map_unref(paths->exact, &route_set_ops);
    shard_map_unref(paths->prefix, &route_set_ops);
    route_set_unref(paths->regexes);
    route_set_unref(paths->deep);
}

/* What stands behind the host, before its name. */
static void *tail_of(const struct route_host *host)
{
    return (void *)(uintptr_t)(host + 1);
}

void route_host_unref(struct route_host *host)
{
    if (host == NULL || atomic_fetch_sub_explicit(&host->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (host->form == HOST_LONE) {
        route_set_fini(tail_of(host));
        free(host);
    } else {
        paths_fini(route_host_paths(host));
        free((void *)(uintptr_t)route_host_paths(host));
    }
}

uint32_t route_host_depth(struct text prefix)
{
    uint32_t depth = 0;
    for (size_t at = 0; at < prefix.len; at = text_find(prefix, '/', at + 1))
        depth++;
    return depth;
}

/* ---- places: sorted by kind, then by path ---- */

static bool same_place(const struct route_place *a, const struct route_place *b)
{
    if (a->kind != b->kind || a->path_hash != b->path_hash)
        return false;
    return a->kind == PLACE_REGEX || a->kind == PLACE_DEEP ||
           text_equal(a->match->path, b->match->path);
}

int route_host_compare(const struct route_place *a, const struct route_place *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->path_hash != b->path_hash)
        return a->path_hash < b->path_hash ? -1 : 1;
    if (a->kind == PLACE_REGEX || a->kind == PLACE_DEEP)
        return 0;
    return text_compare(a->match->path, b->match->path);
}

static size_t kind_end(const struct route_place *places, size_t count, size_t from, uint8_t kind)
{
    while (from < count && places[from].kind == kind)
        from++;
    return from;
}

/* ---- edits, of the parts of a host ---- */

/* The parts while they change: what they share is counted. */
struct parts {
    struct route_host_paths paths;
    uint32_t counts[ROUTE_DEPTH_MAX + 1]; /* of prefixes, by elements */
};

/* `places` are of one kind, EXACT or PREFIX; `counts` (of prefixes by depth) may be NULL. */
static struct shard_map *edit_paths(const struct shard_map *old, const struct route_place *places,
                                    size_t count, uint32_t *counts)
{
    if (count == 0)
        return shard_map_ref((struct shard_map *)(uintptr_t)old);
    struct shard_edit *edits = memory_alloc(sizeof(*edits) * count);
    size_t edit_count = 0;
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && same_place(&places[from], &places[to]); to++)
            continue;
        struct text path = places[from].match->path;
        uint64_t hash = places[from].path_hash;
        const struct route_set *before = shard_map_get(old, &route_set_ops, hash, path);
        struct route_set *set = route_set_edit(before, path, places + from, to - from);
        edits[edit_count++] = (struct shard_edit){hash, path, set};
        if (counts != NULL) {
            uint32_t *counter = &counts[route_host_depth(path)];
            *counter = *counter + (set != NULL) - (before != NULL);
        }
    }
    struct shard_map *made = shard_map_edit(old, &route_set_ops, edits, edit_count);
    for (size_t i = 0; i < edit_count; i++)
        route_set_unref(edits[i].value);
    free(edits);
    return made;
}

static struct route_set *edit_list(struct route_set *old, const struct route_place *places,
                                   size_t count)
{
    return count == 0 ? route_set_ref(old) : route_set_edit(old, TEXT(""), places, count);
}

/* The parts of a host as if it had several places. */
static void take_parts(const struct route_host *host, struct parts *ret_parts)
{
    struct route_host_paths *paths = &ret_parts->paths;
    if (host == NULL)
        return;
    if (host->form != HOST_LONE) {
        const struct route_host_paths *from = route_host_paths(host);
        paths->exact = shard_map_ref(from->exact);
        paths->prefix = shard_map_ref(from->prefix);
        paths->regexes = route_set_ref(from->regexes);
        paths->deep = route_set_ref(from->deep);
        if (from->depth_len > 0)
            memcpy(ret_parts->counts, tail_of(host), sizeof(uint32_t) * from->depth_len);
        return;
    }
    const struct route_set *lone = route_host_lone(host);
    struct text path = route_set_path(lone);
    struct route_set *set = route_set_edit(lone, path, NULL, 0);
    struct shard_edit edit = {hash_front(path), path, set};
    struct shard_map *map = shard_map_edit(NULL, &route_set_ops, &edit, 1);
    if (host->lone_kind == PLACE_EXACT) {
        paths->exact = map;
    } else {
        paths->prefix = map;
        ret_parts->counts[route_host_depth(path)] = 1;
    }
    route_set_unref(set);
}

/* ---- hosts of parts ---- */

static enum host_form form_of(const struct route_host_paths *paths)
{
    if (paths == NULL)
        return HOST_LONE;
    return paths->exact == NULL && paths->regexes == NULL && paths->deep == NULL ? HOST_PREFIXES
                                                                                 : HOST_MIXED;
}

/* `paths`: NULL for a lone one. */
static struct route_host *host_new(struct text name, const struct route_host_paths *paths,
                                   const void *tail, size_t tail_len)
{
    size_t front = paths == NULL ? 0 : sizeof(*paths);
    char *memory = memory_alloc(front + sizeof(struct route_host) + tail_len + name.len + 1);
    if (paths != NULL)
        memcpy(memory, paths, front);
    struct route_host *host = (void *)(memory + front);
    atomic_init(&host->refs, 1);
    host->name_len = (uint16_t)name.len;
    host->form = (uint8_t)form_of(paths);
    host->lone_kind = 0;
    char *own = (char *)tail_of(host) + tail_len;
    host->name = own;
    if (name.len > 0)
        memcpy(own, name.data, name.len);
    own[name.len] = '\0';
    if (tail_len > 0)
        memcpy(tail_of(host), tail, tail_len);
    return host;
}

/* Takes the set over, which nobody else has. */
static struct route_host *lone_new(struct text name, enum place_kind kind, struct route_set *set)
{
    struct route_host *host = host_new(name, NULL, set, route_set_size(set));
    host->lone_kind = (uint8_t)kind;
    free(set);
    return host;
}

static void keep_set(void *owner, void *value)
{
    const struct route_set **only = owner;
    *only = value;
}

/* Takes the parts over. */
static struct route_host *host_of(struct text name, struct parts *parts)
{
    struct route_host_paths *paths = &parts->paths;
    size_t sets = shard_map_count(paths->exact) + shard_map_count(paths->prefix);
    bool lists = paths->regexes != NULL || paths->deep != NULL;
    if (sets == 0 && !lists)
        return NULL;
    if (sets == 1 && !lists) {
        const struct route_set *only = NULL;
        shard_map_walk(paths->exact, &only, keep_set);
        shard_map_walk(paths->prefix, &only, keep_set);
        enum place_kind kind = paths->exact != NULL ? PLACE_EXACT : PLACE_PREFIX;
        struct route_set *own = route_set_edit(only, route_set_path(only), NULL, 0);
        paths_fini(paths);
        return lone_new(name, kind, own);
    }
    for (uint32_t d = 0; d <= ROUTE_DEPTH_MAX; d++) {
        if (parts->counts[d] > 0) {
            paths->depth_len = d + 1;
            paths->depths |= UINT64_C(1) << d;
        }
    }
    uint64_t below = paths->depths & ~UINT64_C(1);
    if (below != 0 && (below & (below - 1)) == 0)
        paths->one_depth = (uint8_t)(paths->depth_len - 1);
    return host_new(name, paths, parts->counts, sizeof(uint32_t) * paths->depth_len);
}

/* All changes are at the one place of a host that has, or will have, no other. */
static bool stays_lone(const struct route_host *old, const struct route_place *places, size_t count)
{
    if (places->kind == PLACE_REGEX || places->kind == PLACE_DEEP ||
        !same_place(&places[0], &places[count - 1])) /* sorted, so all between are the same too */
        return false;
    return old == NULL || (old->form == HOST_LONE && old->lone_kind == places->kind &&
                           text_equal(route_set_path(route_host_lone(old)), places->match->path));
}

struct route_host *route_host_edit(const struct route_host *old, const struct route_place *places,
                                   size_t count)
{
    struct text name = places[0].hostname;
    if (stays_lone(old, places, count)) {
        const struct route_set *before = old == NULL ? NULL : route_host_lone(old);
        struct route_set *set = route_set_edit(before, places->match->path, places, count);
        return set == NULL ? NULL : lone_new(name, places->kind, set);
    }
    size_t exact = kind_end(places, count, 0, PLACE_EXACT);
    size_t regex = kind_end(places, count, exact, PLACE_REGEX);
    size_t deep = kind_end(places, count, regex, PLACE_DEEP);
    struct parts from = {0};
    take_parts(old, &from);
    struct parts made = {
        .paths = {.exact = edit_paths(from.paths.exact, places, exact, NULL),
                  .regexes = edit_list(from.paths.regexes, places + exact, regex - exact),
                  .deep = edit_list(from.paths.deep, places + regex, deep - regex)},
    };
    memcpy(made.counts, from.counts, sizeof(made.counts));
    made.paths.prefix = edit_paths(from.paths.prefix, places + deep, count - deep, made.counts);
    paths_fini(&from.paths);
    return host_of(name, &made);
}

/* ---- the walk ---- */

struct walk {
    void *owner;
    void (*on_set)(void *owner, enum place_kind kind, const struct route_set *set);
    enum place_kind kind;
};

static void walk_set(void *owner, void *value)
{
    struct walk *walk = owner;
    if (value != NULL)
        walk->on_set(walk->owner, walk->kind, value);
}

void route_host_walk(const struct route_host *host, void *owner,
                     void (*on_set)(void *owner, enum place_kind kind, const struct route_set *set))
{
    if (host->form == HOST_LONE) {
        on_set(owner, host->lone_kind, route_host_lone(host));
        return;
    }
    const struct route_host_paths *paths = route_host_paths(host);
    struct walk walk = {owner, on_set, PLACE_EXACT};
    shard_map_walk(paths->exact, &walk, walk_set);
    walk.kind = PLACE_REGEX;
    walk_set(&walk, paths->regexes);
    walk.kind = PLACE_DEEP;
    walk_set(&walk, paths->deep);
    walk.kind = PLACE_PREFIX;
    shard_map_walk(paths->prefix, &walk, walk_set);
}
