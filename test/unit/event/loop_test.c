/* Descriptors and deferred work in a turn of the loop. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/socket.h>
#include <unistd.h>

#include "event/loop.h"
#include "test.h"

struct side {
    struct loop *loop;
    struct watch watch;
    struct side *other;
    uint32_t told;
    uint32_t events;
};

static void on_ready(void *owner, uint32_t events)
{
    struct side *side = owner;
    side->told++;
    side->events = events;
    if (side->other != NULL)
        loop_unwatch(side->loop, &side->other->watch);
}

static void an_unwatched_descriptor_is_not_told_even_in_the_same_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(write(fds[0], "x", 1), 1);
    assert_int_equal(write(fds[1], "x", 1), 1);
    struct side a = {.loop = loop}, b = {.loop = loop};
    a.watch = (struct watch){.fd = fds[0], .owner = &a, .on_ready = on_ready};
    b.watch = (struct watch){.fd = fds[1], .owner = &b, .on_ready = on_ready};
    a.other = &b;
    b.other = &a;
    assert_true(loop_watch(loop, &a.watch));
    assert_true(loop_watch(loop, &b.watch));
    assert_true(loop_turn(loop, 1000));
    assert_int_equal(a.told + b.told, 1); /* both were ready; the first ended the second */
    assert_true((a.events | b.events) == (IO_READ | IO_WRITE));
    assert_true(loop_turn(loop, 0));
    assert_int_equal(a.told + b.told, 1); /* edge triggered: nothing new */
    loop_unwatch(loop, &a.watch);
    loop_unwatch(loop, &b.watch);
    loop_unwatch(loop, &b.watch);
    close(fds[0]);
    close(fds[1]);
    loop_free(loop);
}

static void the_peers_end_is_told_apart_from_bytes(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    struct side a = {.loop = loop};
    a.watch = (struct watch){.fd = fds[0], .owner = &a, .on_ready = on_ready};
    assert_true(loop_watch(loop, &a.watch));
    loop_turn(loop, 1000);
    assert_int_equal(a.events, IO_WRITE);
    assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
    loop_turn(loop, 1000);
    assert_int_equal(a.events, IO_WRITE | IO_READ | IO_END);
    close(fds[1]);
    loop_turn(loop, 1000);
    assert_true((a.events & IO_ERROR) != 0);
    loop_unwatch(loop, &a.watch);
    close(fds[0]);
    loop_free(loop);
}

struct job {
    struct loop *loop;
    struct defer defer;
    struct job *then, *cancels;
    uint32_t runs, *count, order;
};

static void run(void *owner)
{
    struct job *job = owner;
    job->runs++;
    job->order = ++*job->count;
    if (job->then != NULL)
        loop_defer(job->loop, &job->then->defer);
    if (job->cancels != NULL)
        loop_undefer(job->loop, &job->cancels->defer);
}

static void deferred_work_runs_once_in_order_and_chains_within_the_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    uint32_t count = 0;
    struct job jobs[5] = {0};
    for (size_t i = 0; i < 5; i++) {
        jobs[i].loop = loop;
        jobs[i].count = &count;
        defer_init(&jobs[i].defer, &jobs[i], run);
    }
    jobs[0].then = &jobs[3];
    jobs[1].cancels = &jobs[2];
    loop_defer(loop, &jobs[0].defer);
    loop_defer(loop, &jobs[1].defer);
    loop_defer(loop, &jobs[2].defer);
    loop_defer(loop, &jobs[0].defer);
    loop_defer(loop, &jobs[4].defer);
    loop_undefer(loop, &jobs[4].defer);
    loop_undefer(loop, &jobs[4].defer);
    assert_true(loop_turn(loop, -1)); /* does not wait: work is queued */
    assert_int_equal(jobs[0].runs, 1);
    assert_int_equal(jobs[0].order, 1);
    assert_int_equal(jobs[1].order, 2);
    assert_int_equal(jobs[2].runs, 0);
    assert_int_equal(jobs[3].order, 3);
    assert_int_equal(jobs[4].runs, 0);
    loop_free(loop);
}

static void work_that_defers_itself_for_ever_does_not_hold_the_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    uint32_t count = 0;
    struct job job = {.loop = loop, .count = &count};
    job.then = &job;
    defer_init(&job.defer, &job, run);
    loop_defer(loop, &job.defer);
    assert_true(loop_turn(loop, -1));
    uint32_t first = job.runs;
    assert_true(first >= 1);
    assert_true(loop_turn(loop, -1)); /* the rest goes on, without a wait */
    assert_true(job.runs > first);
    loop_undefer(loop, &job.defer);
    loop_free(loop);
}

static void work_for_the_next_turn_waits_for_it_and_is_not_waited_for(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    uint32_t count = 0;
    struct job jobs[3] = {0};
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i].loop = loop;
        jobs[i].count = &count;
        defer_init(&jobs[i].defer, &jobs[i], run);
    }
    loop_defer_next(loop, &jobs[0].defer);
    loop_defer_next(loop, &jobs[1].defer);
    loop_defer_next(loop, &jobs[2].defer);
    loop_undefer(loop, &jobs[1].defer);
    loop_defer(loop, &jobs[0].defer); /* it stays where it is */
    assert_true(loop_turn(loop, -1)); /* does not wait */
    assert_int_equal(count, 0);
    loop_undefer(loop, &jobs[2].defer);
    assert_true(loop_turn(loop, -1));
    assert_int_equal(jobs[0].runs, 1);
    assert_int_equal(count, 1);
    loop_defer_next(loop, &jobs[1].defer);
    loop_settle(loop);
    assert_int_equal(jobs[1].runs, 1);
    loop_free(loop);
}

static void the_clock_moves_with_turns_and_ticks_only(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    uint64_t began = loop_now_ns(loop);
    assert_int_equal(loop_now_ns(loop), began);
    assert_true(loop_tick(loop) >= began);
    assert_int_equal(loop_now_ms(loop), loop_now_ns(loop) / 1000000);
    assert_true(loop_wall_ns(loop) > 1600000000ull * 1000000000ull);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unwatched_descriptor_is_not_told_even_in_the_same_turn),
        cmocka_unit_test(the_peers_end_is_told_apart_from_bytes),
        cmocka_unit_test(deferred_work_runs_once_in_order_and_chains_within_the_turn),
        cmocka_unit_test(work_that_defers_itself_for_ever_does_not_hold_the_turn),
        cmocka_unit_test(work_for_the_next_turn_waits_for_it_and_is_not_waited_for),
        cmocka_unit_test(the_clock_moves_with_turns_and_ticks_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
