/* What changed since the last cycle, one entry an object. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/map.h"
#include "control/store/store.h"

struct changes {
    struct store_change *items; /* owns */
    size_t count, cap;
    struct map places;  /* index_key -> index + 1, as a number in the pointer */
    struct arena arena; /* the keys' texts */
};

void changes_init(struct changes *changes);
void changes_fini(struct changes *changes);
void changes_clear(struct changes *changes);
/* Joins with what is known of the object: added and removed is nothing, and so on. */
void changes_add(struct changes *changes, enum store_change_type type, struct store_key key);
