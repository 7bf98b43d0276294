/* The rules that stand at one place of a route table, in the order in which they are tried.
 * Immutable, counted. Used by route_table.c alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/snapshot/route.h"

/* What tells most candidates apart stands here, so that a match reads no other memory for it. */
struct route_candidate {
    struct route *route; /* shares */
    const struct route_match *match;
    uint8_t method; /* enum method; METHOD_OTHER: not told here */
    bool plain;     /* with the method all is said: the match itself need not be read */
};

struct route_set {
    _Atomic uint32_t refs;
    uint32_t count;    /* never 0 */
    uint32_t path_len; /* of the place, behind the items; 0 for a list */
    struct route_candidate items[];
};

static inline struct text route_set_path(const struct route_set *set)
{
    return text_from((const char *)&set->items[set->count], set->path_len);
}

/* Bytes of the whole. */
static inline size_t route_set_size(const struct route_set *set)
{
    return sizeof(*set) + sizeof(struct route_candidate) * set->count + set->path_len + 1;
}

struct route_set *route_set_ref(struct route_set *set);
void route_set_unref(struct route_set *set);
/* For one that stands in other memory: gives back its routes alone. */
void route_set_fini(struct route_set *set);

/* One candidate that comes or goes at a place of the table. */
struct route_place {
    struct route *route;
    const struct route_match *match;
    struct text hostname;
    uint64_t host_hash, path_hash;
    uint8_t kind; /* of place: route_table.c */
    bool remove;
};

/* NULL when nothing is left. `old` may be NULL; `path` is copied. */
struct route_set *route_set_edit(const struct route_set *old, struct text path,
                                 const struct route_place *places, size_t count);
/* Gateway API precedence between matches of one host name and one kind of path. */
int route_set_compare(const struct route_candidate *a, const struct route_candidate *b);
