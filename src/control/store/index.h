/* Both directions of "A names B": kept up to date with every object that comes or goes. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/builder.h"
#include "base/map.h"
#include "control/store/store.h"

/* An object's own links; stands in the store's entry and does not move. */
struct index_links {
    struct index_link *items; /* owns */
    size_t count, cap;
    const struct kind_object *object; /* borrows; the referrer */
};

struct index {
    struct map targets; /* by index_key; owns struct index_target */
};

void index_init(struct index *index);
void index_fini(struct index *index);
/* Links all that `object` names; `links` was empty. */
void index_add(struct index *index, struct index_links *links, const struct kind_object *object);
/* Takes them out again and frees them. */
void index_remove(struct index *index, struct index_links *links);

/* Appends an unambiguous byte string: lengths stand before names. */
void index_key(struct builder *out, struct store_key key);

struct store_keys index_referrers(const struct index *index, struct store_key target,
                                  struct arena *arena);
struct store_keys index_references(const struct index_links *links, struct arena *arena);
