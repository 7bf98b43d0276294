/* One thread's loop: descriptors, timers, work put off to the end of the turn.
 * Order of a turn: ready descriptors, due timers, deferred work (which flushes sockets). */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/random.h"
#include "base/spares.h"
#include "event/io.h"

struct loop;

/* A descriptor's place in the loop; stands in its owner, who outlives the registration. */
struct watch {
    int fd; /* -1: not watched */
    void *owner;
    void (*on_ready)(void *owner, uint32_t events); /* enum io_events */
};

/* Fires once. Arming again moves it; moving later is nearly free (lazy). */
struct timer {
    struct timer *next, **slot; /* of the wheel; slot NULL = not in it */
    uint64_t due_ms, placed_ms;
    void *owner;
    void (*on_due)(void *owner);
};

/* Runs once at the end of the turn; deferring what is deferred already does nothing. */
struct defer {
    struct defer *next, *prev;
    bool queued;
    void *owner;
    void (*run)(void *owner);
};

struct loop *loop_new(struct io *io); /* borrows io; NULL io means the kernel, owned */
void loop_free(struct loop *loop);
struct io *loop_io(struct loop *loop);
struct buffer_pool *loop_buffers(struct loop *loop);
struct spares *loop_spares(struct loop *loop);
struct random *loop_random(struct loop *loop);

/* Time at the start of this turn. */
uint64_t loop_now_ms(const struct loop *loop);
uint64_t loop_now_ns(const struct loop *loop);
uint64_t loop_wall_ns(const struct loop *loop);
/* Reads the clock now (and moves the turn's time). */
uint64_t loop_tick(struct loop *loop);

MUST_USE bool loop_watch(struct loop *loop, struct watch *watch);       /* edge, both ways */
MUST_USE bool loop_watch_level(struct loop *loop, struct watch *watch); /* level, read */
/* Forgets the descriptor, also events of this turn not told yet; does not close it. */
void loop_unwatch(struct loop *loop, struct watch *watch);

void timer_init(struct timer *timer, void *owner, void (*on_due)(void *owner));
void loop_arm(struct loop *loop, struct timer *timer, uint64_t delay_ms);
void loop_disarm(struct loop *loop, struct timer *timer);
static inline bool timer_is_armed(const struct timer *timer)
{
    return timer->slot != NULL && timer->due_ms != 0;
}

void defer_init(struct defer *defer, void *owner, void (*run)(void *owner));
void loop_defer(struct loop *loop, struct defer *defer);
/* At the end of the next turn: what may have more to do than its share of one. */
void loop_defer_next(struct loop *loop, struct defer *defer);
void loop_undefer(struct loop *loop, struct defer *defer); /* of either */

/* One turn; waits at most `max_wait_ms` (-1: until something happens). False once stopped. */
bool loop_turn(struct loop *loop, int max_wait_ms);
void loop_run(struct loop *loop); /* until loop_stop */
void loop_stop(struct loop *loop);
/* Runs what was put off, and nothing else; also on a stopped loop. Ends what was closed in it. */
void loop_settle(struct loop *loop);
