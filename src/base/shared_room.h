/* So many of something at once, in all threads together, for those who wait when there is no more:
 * who they are, and who keeps some that nobody uses. Atomics alone; how threads are told is their
 * own matter. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

/* A thread is a bit. Two may share one: what is told to the bit is told to both. */
#define SHARED_ROOM_BIT(thread) (UINT64_C(1) << ((thread) % 64))

struct shared_room;

struct shared_room *shared_room_new(void);
struct shared_room *shared_room_ref(struct shared_room *room); /* NULL is fine, below too */
void shared_room_unref(struct shared_room *room);

/* One more, unless there are `max` already; who got one gives it back. */
MUST_USE bool shared_room_take(struct shared_room *room, uint64_t max);
void shared_room_give(struct shared_room *room);

/* Notes that `me` waits, since now if nobody did; after that one more try is due, for what was
 * given back meanwhile. True: it was not noted before, so those who keep some are to be told. */
bool shared_room_wait(struct shared_room *room, uint64_t me, uint64_t now_ns);
/* Those who wait, but for `me`, and since when anybody has. */
uint64_t shared_room_waiting(const struct shared_room *room, uint64_t me);
uint64_t shared_room_since_ns(const struct shared_room *room);
/* One of them, in turn, to be told that there is room; it is not noted any more. 0: nobody. */
uint64_t shared_room_call(struct shared_room *room, uint64_t me, uint64_t now_ns);

/* Whether `me` keeps some that it could do without. Who begins to looks for waiting ones after. */
void shared_room_keep(struct shared_room *room, uint64_t me, bool keeps);
uint64_t shared_room_keepers(const struct shared_room *room, uint64_t me);
