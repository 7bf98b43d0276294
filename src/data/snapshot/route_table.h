/* Which rule serves a request on one listener, in Gateway API precedence with fall-through:
 * host specificity of the route's own hostname; exact path, regex, longest prefix; method; number
 * of headers; number of query parameters; age; namespace/name; rule order. The table is persistent:
 * a change makes a new table that shares all but the touched parts. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/snapshot/route.h"

struct route_table;

struct route_hit {
    struct route *route;
    const struct route_match *match;
    size_t prefix_len; /* bytes of the path that a prefix match took */
};

/* Told of each candidate in the order tried: how `nantian explain` sees what the proxy sees. */
struct route_recorder {
    void *owner;
    /* `lost` is NULL for the winner, else static words: "header x-beta absent"-style reasons are
     * built from `lost` and `detail`. Candidates behind the winner that would match come with lost
     * = "lower rank".
     */
    void (*on_candidate)(void *owner, const struct route *route, const struct route_match *match,
                         struct text hostname, const char *lost, struct text detail);
};

struct route_table *route_table_new(void);
struct route_table *route_table_ref(struct route_table *table);
void route_table_unref(struct route_table *table);
size_t route_table_count(const struct route_table *table);

/* A new table with `count` removals and additions applied; NULL entries are skipped. Takes no
 * reference away: the caller still owns what it passes. */
struct route_edit {
    struct route *remove, *add; /* borrows */
};
struct route_table *route_table_edit(const struct route_table *table,
                                     const struct route_edit *edits, size_t count);

/* False: no rule matches (404). `recorder` is NULL on the request path. */
bool route_table_match(const struct route_table *table, const struct message *request,
                       const struct route_recorder *recorder, struct route_hit *ret_hit);
/* Every route in match order, for `nantian routes`; calls back once per (hostname, match). */
void route_table_walk(const struct route_table *table, void *owner,
                      void (*on_entry)(void *owner, const struct route *route,
                                       const struct route_match *match, struct text hostname));
