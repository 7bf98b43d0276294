/* How a worker tells others that they should look at their limited pools: it rings, they look.
 * Nothing is said with it, so that a ring too many does no harm. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "event/loop.h"

/* All bells of a process. */
struct pool_bells;

struct pool_bells *pool_bells_new(void);
struct pool_bells *pool_bells_ref(struct pool_bells *bells); /* NULL is fine, below too */
void pool_bells_unref(struct pool_bells *bells);
/* Rings those of the threads in `mask` (base/shared_room.h); from any thread. */
void pool_bells_ring(struct pool_bells *bells, uint64_t mask);

struct pool_bell {
    struct pool_bells *bells; /* shares; NULL: hangs nowhere */
    struct watch watch;
    struct loop *loop;
    uint64_t me;
    void (*on_ring)(void *owner); /* on the thread of `loop` */
    void *owner;
    struct pool_bell *next;
};

/* Hangs it up: bells, me, on_ring and owner are set. False: the kernel has no descriptor. */
MUST_USE bool pool_bell_hang(struct pool_bell *bell, struct loop *loop, struct pool_bells *bells);
void pool_bell_fini(struct pool_bell *bell);
