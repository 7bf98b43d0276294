/* Consistent hashing over a backend's endpoints: which one a hash means, and who comes next if that
 * one cannot be had. Made with the backend; every data plane makes the same of the same endpoints,
 * and a change of a few endpoints moves few keys. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/snapshot/backend.h"

struct hash_table {
    uint64_t *points; /* of the ring, ascending; NULL: Maglev, where the place is hash % count */
    uint16_t *owners; /* by place: index of the endpoint */
    uint32_t count;
};

/* A ring of LIMIT_RING_POINTS points for each unit of weight (fewer each when they would be more
 * than LIMIT_RING_MAX together), or a Maglev table of LIMIT_MAGLEV_SIZE places (Eisenbud et al.,
 * NSDI 2016, 3.4; endpoints take turns by weight). NULL: no endpoints. In `arena`. */
struct hash_table *hash_table_new(enum balance balance, const struct endpoint *endpoints,
                                  uint32_t count, struct arena *arena);
/* The place that a hash (hash_stable) means; the next ones are at (place + i) % count. */
uint32_t hash_table_place(const struct hash_table *table, uint64_t hash);
