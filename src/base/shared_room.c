/* A count and two sets of threads. The order of all that touches them is one (seq_cst): either who
 * gives back sees who waits, or who waits sees what was given back. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/shared_room.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/memory.h"

struct shared_room {
    _Atomic uint32_t refs;
    _Atomic uint64_t count;
    _Atomic uint64_t waiting, keepers; /* SHARED_ROOM_BIT */
    _Atomic uint64_t since_ns;         /* some have waited, or one was called last */
    _Atomic uint64_t last;             /* the one called last */
};

struct shared_room *shared_room_new(void)
{
    struct shared_room *room = memory_new(struct shared_room);
    atomic_init(&room->refs, 1);
    return room;
}

struct shared_room *shared_room_ref(struct shared_room *room)
{
    if (room != NULL)
        atomic_fetch_add_explicit(&room->refs, 1, memory_order_relaxed);
    return room;
}

void shared_room_unref(struct shared_room *room)
{
    if (room != NULL && atomic_fetch_sub_explicit(&room->refs, 1, memory_order_acq_rel) == 1)
        free(room);
}

bool shared_room_take(struct shared_room *room, uint64_t max)
{
    uint64_t count = atomic_load(&room->count);
    while (count < max)
        if (atomic_compare_exchange_weak(&room->count, &count, count + 1))
            return true;
    return false;
}

void shared_room_give(struct shared_room *room)
{
    CHECK(atomic_fetch_sub(&room->count, 1) > 0);
}

bool shared_room_wait(struct shared_room *room, uint64_t me, uint64_t now_ns)
{
    uint64_t before = atomic_fetch_or(&room->waiting, me);
    if (before == 0)
        atomic_store(&room->since_ns, now_ns);
    return (before & me) == 0;
}

uint64_t shared_room_waiting(const struct shared_room *room, uint64_t me)
{
    return atomic_load(&room->waiting) & ~me;
}

uint64_t shared_room_since_ns(const struct shared_room *room)
{
    return atomic_load(&room->since_ns);
}

uint64_t shared_room_call(struct shared_room *room, uint64_t me, uint64_t now_ns)
{
    for (;;) {
        uint64_t others = shared_room_waiting(room, me);
        if (others == 0)
            return 0;
        uint64_t last = atomic_load(&room->last);
        uint64_t after = others & ~(last | (last - 1)); /* the bits above the last one first */
        uint64_t from = after != 0 ? after : others;
        uint64_t next = from & -from;
        if ((atomic_fetch_and(&room->waiting, ~next) & next) == 0)
            continue; /* another thread has called it */
        atomic_store(&room->last, next);
        atomic_store(&room->since_ns, now_ns);
        return next;
    }
}

void shared_room_keep(struct shared_room *room, uint64_t me, bool keeps)
{
    if (keeps)
        atomic_fetch_or(&room->keepers, me);
    else
        atomic_fetch_and(&room->keepers, ~me);
}

uint64_t shared_room_keepers(const struct shared_room *room, uint64_t me)
{
    return atomic_load(&room->keepers) & ~me;
}
