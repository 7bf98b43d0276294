/* The loop: one wait, one reading of the clock, then descriptors, timers, deferred work. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "event/loop.h"

#include <limits.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "event/defer.h"
#include "event/timer.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

struct loop {
    struct io *io; /* borrows, or owns if `io_owned` */
    bool io_owned, stopped;
    int ready_at, ready_count; /* what is being told this turn */
    uint64_t now_ns;
    uint64_t wall_offset_ns; /* wall minus monotonic, read once a second */
    uint64_t wall_read_ns;
    struct timer_wheel wheel;
    struct defer_queue defers, next_defers;
    struct buffer_pool buffers;
    struct spares spares;
    struct random random;
    struct io_ready ready[LIMIT_READY_BATCH];
};

uint64_t loop_tick(struct loop *loop)
{
    uint64_t now = loop->io->now_ns(loop->io->state);
    loop->now_ns = MAX(now, loop->now_ns);
    if (loop->now_ns - loop->wall_read_ns >= NS_PER_S || loop->wall_read_ns == 0) {
        loop->wall_offset_ns = loop->io->wall_ns(loop->io->state) - loop->now_ns;
        loop->wall_read_ns = loop->now_ns;
    }
    return loop->now_ns;
}

struct loop *loop_new(struct io *io)
{
    bool owned = io == NULL;
    if (owned)
        io = io_kernel_new();
    if (io == NULL)
        return NULL;
    struct loop *loop = memory_new(struct loop);
    loop->io = io;
    loop->io_owned = owned;
    loop_tick(loop);
    timer_wheel_init(&loop->wheel, loop_now_ms(loop));
    defer_queue_init(&loop->defers);
    defer_queue_init(&loop->next_defers);
    buffer_pool_init(&loop->buffers, LIMIT_BLOCKS_KEPT);
    random_seed(&loop->random, io->seed(io->state));
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    loop_settle(loop);
    spares_fini(&loop->spares);
    buffer_pool_fini(&loop->buffers);
    if (loop->io_owned)
        io_kernel_free(loop->io);
    free(loop);
}

struct io *loop_io(struct loop *loop)
{
    return loop->io;
}

struct buffer_pool *loop_buffers(struct loop *loop)
{
    return &loop->buffers;
}

struct spares *loop_spares(struct loop *loop)
{
    return &loop->spares;
}

struct random *loop_random(struct loop *loop)
{
    return &loop->random;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ns / NS_PER_MS;
}

uint64_t loop_now_ns(const struct loop *loop)
{
    return loop->now_ns;
}

uint64_t loop_wall_ns(const struct loop *loop)
{
    return loop->now_ns + loop->wall_offset_ns;
}

bool loop_watch(struct loop *loop, struct watch *watch)
{
    return loop->io->watch(loop->io->state, watch->fd, watch) == 0;
}

bool loop_watch_level(struct loop *loop, struct watch *watch)
{
    return loop->io->watch_level(loop->io->state, watch->fd, watch) == 0;
}

void loop_unwatch(struct loop *loop, struct watch *watch)
{
    if (watch->fd < 0)
        return;
    (void)loop->io->unwatch(loop->io->state, watch->fd);
    watch->fd = -1;
    for (int i = loop->ready_at; i < loop->ready_count; i++) {
        if (loop->ready[i].owner == watch)
            loop->ready[i].owner = NULL;
    }
}

void loop_arm(struct loop *loop, struct timer *timer, uint64_t delay_ms)
{
    uint64_t now_ms = loop_now_ms(loop);
    uint64_t delay = MIN(MAX(delay_ms, 1), UINT64_MAX / 2); /* never in the same turn */
    timer_wheel_arm(&loop->wheel, timer, now_ms + delay);
}

void loop_disarm(struct loop *loop, struct timer *timer)
{
    (void)loop;
    timer_wheel_disarm(timer);
}

void loop_defer(struct loop *loop, struct defer *defer)
{
    defer_queue_add(&loop->defers, defer);
}

void loop_defer_next(struct loop *loop, struct defer *defer)
{
    defer_queue_add(&loop->next_defers, defer);
}

void loop_undefer(struct loop *loop, struct defer *defer)
{
    (void)loop;
    defer_queue_remove(defer);
}

static int wait_ms(struct loop *loop, int max_wait_ms)
{
    if (!defer_queue_is_empty(&loop->defers) || !defer_queue_is_empty(&loop->next_defers))
        return 0;
    uint64_t next = timer_wheel_next(&loop->wheel);
    if (next == UINT64_MAX)
        return max_wait_ms;
    uint64_t now_ms = loop_now_ms(loop);
    uint64_t wait = next > now_ms ? next - now_ms : 0;
    if (max_wait_ms >= 0 && wait > (uint64_t)max_wait_ms)
        return max_wait_ms;
    return (int)MIN(wait, (uint64_t)INT_MAX);
}

/* The time that timers have. After a sleep or a jump of the clock much is due at once, and what its
 * owner waited for may lie in a socket: up to when a wait began that told all there was, everybody
 * was told, and timers go ahead of that by a step at most. A wait that was cut short, or a batch
 * that is full, tells nothing of the rest; a step a turn keeps the rest from holding timers up. */
static uint64_t timers_ms(const struct loop *loop, uint64_t asked_ms, int count)
{
    bool told_all = count >= 0 && count < LIMIT_READY_BATCH;
    uint64_t told_ms = told_all ? asked_ms : loop->wheel.now_ms;
    return MIN(told_ms + LIMIT_TIMER_STEP_MS, loop_now_ms(loop));
}

bool loop_turn(struct loop *loop, int max_wait_ms)
{
    if (loop->stopped)
        return false;
    struct io *io = loop->io;
    uint64_t asked_ms = loop_now_ms(loop);
    int count = io->wait(io->state, loop->ready, LIMIT_READY_BATCH, wait_ms(loop, max_wait_ms));
    loop_tick(loop);

    loop->ready_count = MAX(count, 0); /* a signal may cut the wait short */
    for (loop->ready_at = 0; loop->ready_at < loop->ready_count;) {
        struct io_ready ready = loop->ready[loop->ready_at++];
        struct watch *watch = ready.owner;
        if (watch != NULL)
            watch->on_ready(watch->owner, ready.events);
    }
    loop->ready_count = 0;

    timer_wheel_turn(&loop->wheel, timers_ms(loop, asked_ms, count));
    defer_queue_run(&loop->defers);
    defer_queue_move(&loop->next_defers, &loop->defers);
    return !loop->stopped;
}

void loop_run(struct loop *loop)
{
    while (loop_turn(loop, -1)) {
    }
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

void loop_settle(struct loop *loop)
{
    for (int rounds = 0; rounds < LIMIT_SETTLE_ROUNDS; rounds++) {
        defer_queue_move(&loop->next_defers, &loop->defers);
        if (defer_queue_is_empty(&loop->defers))
            return;
        defer_queue_run(&loop->defers);
    }
}
