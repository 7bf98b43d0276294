/* Candidates of one place, sorted by precedence: see route_set.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/snapshot/route_set.h"

#include <stdlib.h>

#include "base/memory.h"

struct route_set *route_set_ref(struct route_set *set)
{
    if (set != NULL)
        atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

void route_set_unref(struct route_set *set)
{
    if (set == NULL || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) > 1)
        return;
    route_set_fini(set);
    free(set);
}

void route_set_fini(struct route_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        route_unref(set->items[i].route);
}

/* The byte at `at` of "<namespace>/<name>", or -1 behind its end. */
static int object_byte(const struct route *route, size_t at)
{
    if (at < route->namespace.len)
        return (unsigned char)route->namespace.data[at];
    if (at == route->namespace.len)
        return '/';
    at -= route->namespace.len + 1;
    return at < route->name.len ? (unsigned char)route->name.data[at] : -1;
}

/* By "<namespace>/<name>" as one string, as the Gateway API says: "a-b/x" comes before "a/x". */
static int object_compare(const struct route *a, const struct route *b)
{
    if (text_equal(a->namespace, b->namespace))
        return text_compare(a->name, b->name);
    for (size_t i = 0;; i++) {
        int left = object_byte(a, i), right = object_byte(b, i);
        if (left != right || left < 0)
            return left < right ? -1 : left > right;
    }
}

#define LESS_FIRST(a, b)                                                                           \
    do {                                                                                           \
        if ((a) != (b))                                                                            \
            return (a) < (b) ? -1 : 1;                                                             \
    } while (0)

int route_set_compare(const struct route_candidate *a, const struct route_candidate *b)
{
    LESS_FIRST(b->match->path.len, a->match->path.len); /* longest first */
    LESS_FIRST(b->match->method.len > 0, a->match->method.len > 0);
    LESS_FIRST(b->match->header_count, a->match->header_count);
    LESS_FIRST(b->match->query_count, a->match->query_count);
    if (a->route != b->route) {
        LESS_FIRST(a->route->created, b->route->created);
        int order = object_compare(a->route, b->route);
        if (order != 0)
            return order;
        LESS_FIRST(a->route->rule, b->route->rule);
        order = text_compare(a->route->resource, b->route->resource);
        if (order != 0)
            return order;
    }
    LESS_FIRST((uintptr_t)a->match, (uintptr_t)b->match); /* one array: by index */
    return 0;
}

static int compare_items(const void *a, const void *b)
{
    return route_set_compare(a, b);
}

static size_t set_size(size_t count)
{
    return sizeof(struct route_set) + sizeof(struct route_candidate) * count;
}

static void add(struct route_set *set, struct route *route, const struct route_match *match)
{
    enum method method = message_method(match->method);
    set->items[set->count++] = (struct route_candidate){
        .route = route_ref(route),
        .match = match,
        .method = (uint8_t)method,
        .plain = (match->method.len == 0 || method != METHOD_OTHER) && match->header_count == 0 &&
                 match->query_count == 0,
    };
}

static bool is_removed(const struct route_candidate *item, const struct route_place *places,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (places[i].remove && places[i].route == item->route)
            return true;
    }
    return false;
}

struct route_set *route_set_edit(const struct route_set *old, struct text path,
                                 const struct route_place *places, size_t count)
{
    uint32_t before = old == NULL ? 0 : old->count;
    struct route_set *set = memory_alloc(set_size(before + count) + path.len + 1);
    atomic_init(&set->refs, 1);
    for (uint32_t i = 0; i < before; i++) {
        if (!is_removed(&old->items[i], places, count))
            add(set, old->items[i].route, old->items[i].match);
    }
    for (size_t i = 0; i < count; i++) {
        if (!places[i].remove)
            add(set, places[i].route, places[i].match);
    }
    if (set->count == 0) {
        free(set);
        return NULL;
    }
    if (set->count > 1)
        qsort(set->items, set->count, sizeof(set->items[0]), compare_items);
    set->path_len = (uint32_t)path.len;
    set = memory_resize(set, route_set_size(set));
    char *copy = (char *)&set->items[set->count];
    if (path.len > 0)
        memcpy(copy, path.data, path.len);
    copy[path.len] = '\0';
    return set;
}
