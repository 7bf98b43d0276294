/* What the cluster looks like now, by (kind, namespace, name), and who refers to whom.
 * Whole objects come and go; what changed since the last cycle is kept as a list. One thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/kind.h"

struct store;

/* Names an object that may or may not be there. */
struct store_key {
    enum kind_id kind;
    struct text namespace, name; /* namespace empty for cluster-scoped kinds */
};

enum store_change_type {
    STORE_ADDED,
    STORE_CHANGED, /* its spec, labels or annotations */
    STORE_MOVED,   /* the same content from another place in a file: only messages change */
    STORE_REMOVED,
};

/* Several changes of one object in one cycle are joined into one. */
struct store_change {
    enum store_change_type type;
    struct store_key key; /* its texts live until store_changes_clear */
};

struct store_changes {
    const struct store_change *items;
    size_t count;
};

struct store *store_new(void);
void store_free(struct store *store);

/* Takes one count of `object` (and gives it back at once when nothing differs). `now` (seconds)
 * becomes the creation time of an object that brings none, its predecessor's is kept. Generation is
 * counted here when the source gives none. True: something changed. */
bool store_put(struct store *store, struct kind_object *object, int64_t now);
/* True: it was there. */
bool store_remove(struct store *store, struct store_key key);

/* NULL: not there. Borrowed until it is replaced or removed. */
const struct kind_object *store_get(const struct store *store, enum kind_id kind,
                                    struct text namespace, struct text name);
size_t store_count(const struct store *store, enum kind_id kind);

/* All objects of a kind, sorted by namespace, then name; borrowed until the next put or remove. */
struct store_list {
    const struct kind_object *const *items;
    size_t count;
};
struct store_list store_list(struct store *store, enum kind_id kind);
/* Those of one namespace: a part of the same array. */
struct store_list store_list_namespace(struct store *store, enum kind_id kind,
                                       struct text namespace);

/* Who names this object: routes their parents and backends, Gateways their class and secrets,
 * policies their targets, EndpointSlices their Service, ... The object need not exist. Sorted;
 * the keys point into the referrers; the array is in `arena`. */
struct store_keys {
    const struct store_key *items;
    size_t count;
};
struct store_keys store_referrers(const struct store *store, struct store_key target,
                                  struct arena *arena);
/* What this object names, in the order of its fields, each once. */
struct store_keys store_references(const struct store *store, struct store_key key,
                                   struct arena *arena);

/* Rises with every change of that kind; the vector of a snapshot version is made of these. */
uint64_t store_revision(const struct store *store, enum kind_id kind);
uint64_t store_total_revision(const struct store *store);

struct store_changes store_changes(const struct store *store);
void store_changes_clear(struct store *store);
