/* Chooses one of a backend's endpoints: the algorithms, over plain items; the pool owns them. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/random.h"
#include "data/snapshot/hash_table.h"

#define BALANCER_TRIED_MAX 8 /* items remembered as tried in one exchange */

struct balancer_item {
    uint32_t weight; /* at least 1; against the others of the same balancer only */
    uint32_t active; /* requests under way, counted by the pool's users */
    int64_t current; /* of the smooth weighted round robin */
    bool is_out;     /* not to be chosen while enough others can be */
    bool is_far;     /* the same, as long as enough of the others are in */
};

struct balancer_options {
    enum balance kind;
    const struct hash_table *table; /* borrows; over the items, by index. NULL: not by hash */
    uint32_t panic_percent;         /* fewer than this many in a hundred in: all are chosen from */
};

struct balancer {
    struct balancer_options options;
    struct random *random;        /* borrows: the loop's */
    struct balancer_item **items; /* borrows the array of the pool */
    struct balancer_item **ready; /* owns: those that are in; all of them in a panic */
    uint32_t count, ready_count;
    uint32_t next; /* of the plain round robin */
    bool equal;    /* all weights of the ready ones are */
    bool is_panic;
    bool is_near;        /* the far ones are left out */
    uint64_t weight_sum; /* of the ready ones */
};

/* What one exchange asks for. */
struct balancer_ask {
    struct balancer_item *tried[BALANCER_TRIED_MAX]; /* never one of these */
    uint32_t tried_count;
    bool has_wish; /* for the endpoint of that id, if it can be had */
    uint64_t wish;
    bool has_hash; /* false: consistent hashing takes any */
    uint64_t hash;
};

void balancer_init(struct balancer *balancer, struct random *random);
void balancer_fini(struct balancer *balancer);
/* New items, in the pool's array; the round robin begins anywhere, so that workers spread. */
void balancer_set(struct balancer *balancer, const struct balancer_options *options,
                  struct balancer_item **items, uint32_t count);
/* Weights, or who is out, have changed. */
void balancer_refresh(struct balancer *balancer);
bool balancer_is_usable(const struct balancer *balancer, const struct balancer_item *item,
                        const struct balancer_ask *ask);
/* NULL: all were tried, are out (and panic_percent is 0), or there are none. */
struct balancer_item *balancer_pick(struct balancer *balancer, const struct balancer_ask *ask);
