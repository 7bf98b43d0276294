/* The life of a compiled rule; the table that finds it is route_table.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/snapshot/route.h"

#include "base/regex.h"

struct route *route_ref(struct route *route)
{
    if (route != NULL)
        atomic_fetch_add_explicit(&route->refs, 1, memory_order_relaxed);
    return route;
}

static void free_fields(const struct field_match *fields, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        regex_free(fields[i].regex);
}

void route_unref(struct route *route)
{
    if (route == NULL || atomic_fetch_sub_explicit(&route->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (route->release != NULL)
        route->release(route);
    for (uint32_t i = 0; i < route->match_count; i++) {
        struct route_match *match = &route->matches[i];
        regex_free(match->path_regex);
        free_fields(match->headers, match->header_count);
        free_fields(match->query, match->query_count);
    }
    struct arena arena = route->arena; /* the route stands in it */
    arena_fini(&arena);
}
