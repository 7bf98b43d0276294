/* A set of resources of all types by (type, name), with digests that follow every change, and the
 * edits that lead from one set to another. 100,000 resources are normal. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/map.h"
#include "xds/resource.h"

/* What a commit record says of a set; the entry of RESOURCE_SNAPSHOT itself is not counted. */
struct resource_sums {
    uint64_t count[RESOURCE_TYPES];
    struct digest digest[RESOURCE_TYPES];
};

void resource_sums_add(struct resource_sums *sums, const struct resource *resource);
void resource_sums_remove(struct resource_sums *sums, const struct resource *resource);
/* The digest over all types. */
struct digest resource_sums_digest(const struct resource_sums *sums);

struct resource_set {
    struct map types[RESOURCE_TYPES]; /* name -> struct resource, shares */
    struct resource_sums sums;
    uint64_t bytes; /* names and contents */
};

void resource_set_init(struct resource_set *set);
void resource_set_fini(struct resource_set *set);
void resource_set_clear(struct resource_set *set);
/* Into an empty set: shares every resource. */
void resource_set_copy(struct resource_set *set, const struct resource_set *from);

struct resource *resource_set_get(const struct resource_set *set, enum resource_type type,
                                  struct text name); /* borrowed, or NULL */
/* Shares `resource` (takes a count of its own). */
void resource_set_put(struct resource_set *set, struct resource *resource);
/* False: it was not there. */
bool resource_set_remove(struct resource_set *set, enum resource_type type, struct text name);
static inline size_t resource_set_count(const struct resource_set *set, enum resource_type type)
{
    return set->types[type].count;
}
size_t resource_set_total(const struct resource_set *set); /* the commit record not counted */
/* All of one type in no order: `*at` starts at 0; NULL at the end. */
struct resource *resource_set_next(const struct resource_set *set, enum resource_type type,
                                   size_t *at);

/* One difference: before NULL is new, after NULL is gone; both share. */
struct resource_edit {
    struct resource *before, *after;
};
struct resource_edits {
    struct resource_edit *items; /* owns */
    size_t count, cap;
};

static inline struct resource *resource_edit_either(const struct resource_edit *edit)
{
    return edit->after != NULL ? edit->after : edit->before;
}
void resource_edits_add(struct resource_edits *edits, struct resource *before,
                        struct resource *after);
void resource_edits_fini(struct resource_edits *edits); /* also empties it for the next use */
/* Every difference in bytes, the commit record left out. */
void resource_set_diff(const struct resource_set *before, const struct resource_set *after,
                       struct resource_edits *edits);
void resource_set_apply(struct resource_set *set, const struct resource_edits *edits);
