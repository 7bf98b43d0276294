/* Chooses one of a backend's endpoints: the algorithms, over plain items; the pool owns them. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/random.h"
#include "data/snapshot/backend.h"

struct balancer_item {
    uint32_t weight; /* at least 1 */
    uint32_t active; /* requests under way, counted by the pool's users */
    int64_t current; /* of the smooth weighted round robin */
};

struct balancer {
    enum balance kind;
    struct random *random;        /* borrows: the loop's */
    struct balancer_item **items; /* borrows the array of the pool */
    uint32_t count;
    uint32_t next; /* of the plain round robin */
    bool equal;    /* all weights are */
    uint64_t weight_sum;
};

void balancer_init(struct balancer *balancer, struct random *random);
/* New items, in the pool's array; the round robin begins anywhere, so that workers spread. */
void balancer_set(struct balancer *balancer, enum balance kind, struct balancer_item **items,
                  uint32_t count);
/* One that is not in `tried`, or NULL when all are (or there are none). */
struct balancer_item *balancer_pick(struct balancer *balancer, struct balancer_item *const *tried,
                                    uint32_t tried_count);
