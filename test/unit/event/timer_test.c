/* Timers of a loop whose clock the test holds: order, lateness, lazy moves, levels of the wheel. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory.h"
#include "event/loop.h"
#include "event/timer.h"
#include "test.h"

#define START_MS 123456789ull

struct probe {
    struct timer timer;
    struct bench *bench;
    uint64_t expected_ms; /* 0: must not fire */
    uint32_t fired;
};

struct bench {
    struct timer_wheel wheel;
    uint64_t now_ms, last_ms;
    uint32_t fired;
    struct random random;
};

static void on_due(void *owner)
{
    struct probe *probe = owner;
    struct bench *bench = probe->bench;
    assert_true(probe->expected_ms != 0);
    assert_true(probe->expected_ms <= bench->now_ms);
    assert_true(probe->expected_ms >= bench->last_ms); /* none was overtaken */
    bench->last_ms = probe->expected_ms;
    probe->expected_ms = 0;
    probe->fired++;
    bench->fired++;
}

static void bench_init(struct bench *bench)
{
    *bench = (struct bench){.now_ms = START_MS};
    timer_wheel_init(&bench->wheel, START_MS);
    random_seed(&bench->random, 7);
}

static void arm(struct probe *probe, uint64_t delay_ms)
{
    probe->expected_ms = probe->bench->now_ms + delay_ms;
    timer_wheel_arm(&probe->bench->wheel, &probe->timer, probe->expected_ms);
}

static void turn_to(struct bench *bench, uint64_t now_ms)
{
    bench->now_ms = now_ms;
    timer_wheel_turn(&bench->wheel, now_ms);
}

static void thousands_of_timers_fire_in_order_and_on_time(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct bench bench;
    bench_init(&bench);
    struct probe *probes = memory_alloc(COUNT * sizeof(*probes));
    for (size_t i = 0; i < COUNT; i++) {
        probes[i].bench = &bench;
        timer_init(&probes[i].timer, &probes[i], on_due);
        /* All magnitudes, from a millisecond to two weeks. */
        uint64_t bound = 1ull << (1 + random_below(&bench.random, 30));
        arm(&probes[i], 1 + random_below(&bench.random, bound));
    }
    uint32_t turns = 0;
    for (;;) {
        uint64_t next = timer_wheel_next(&bench.wheel);
        if (next == UINT64_MAX)
            break;
        assert_true(next > bench.now_ms);
        turn_to(&bench, next);
        bench.last_ms = 0;
        for (size_t i = 0; turns % 4096 == 0 && i < COUNT; i++)
            assert_true(probes[i].expected_ms == 0 || probes[i].expected_ms > next);
        turns++;
    }
    assert_int_equal(bench.fired, COUNT);
    free(probes);
}

static void a_late_turn_fires_all_in_the_order_of_time(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    struct bench bench;
    bench_init(&bench);
    struct probe *probes = memory_alloc(COUNT * sizeof(*probes));
    for (size_t i = 0; i < COUNT; i++) {
        probes[i].bench = &bench;
        timer_init(&probes[i].timer, &probes[i], on_due);
        arm(&probes[i], 1 + random_below(&bench.random, 500000));
    }
    turn_to(&bench, START_MS + 250000);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(probes[i].expected_ms == 0 || probes[i].expected_ms > bench.now_ms);
    turn_to(&bench, START_MS + 500000);
    assert_int_equal(bench.fired, COUNT);
    free(probes);
}

static void a_timer_moved_later_fires_once_and_later(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    struct probe probe = {.bench = &bench};
    timer_init(&probe.timer, &probe, on_due);
    for (int i = 0; i < 1000; i++) { /* an idle timeout that traffic keeps moving */
        arm(&probe, 75000);
        assert_true(timer_is_armed(&probe.timer));
        turn_to(&bench, bench.now_ms + 100);
        assert_int_equal(probe.fired, 0);
    }
    turn_to(&bench, probe.expected_ms - 1);
    assert_int_equal(probe.fired, 0);
    turn_to(&bench, probe.expected_ms);
    assert_int_equal(probe.fired, 1);
    assert_false(timer_is_armed(&probe.timer));
    turn_to(&bench, bench.now_ms + 1000000);
    assert_int_equal(probe.fired, 1);
}

static void a_timer_moved_earlier_fires_earlier(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    struct probe probe = {.bench = &bench};
    timer_init(&probe.timer, &probe, on_due);
    arm(&probe, 60000);
    arm(&probe, 90000);
    arm(&probe, 5);
    turn_to(&bench, START_MS + 4);
    assert_int_equal(probe.fired, 0);
    turn_to(&bench, START_MS + 5);
    assert_int_equal(probe.fired, 1);
    turn_to(&bench, START_MS + 200000);
    assert_int_equal(probe.fired, 1);
}

static void random_arms_moves_and_disarms_keep_the_promise(void **state)
{
    (void)state;
    enum { COUNT = 300, STEPS = 60000 };
    struct bench bench;
    bench_init(&bench);
    struct probe *probes = memory_alloc(COUNT * sizeof(*probes));
    for (size_t i = 0; i < COUNT; i++) {
        probes[i].bench = &bench;
        timer_init(&probes[i].timer, &probes[i], on_due);
    }
    for (int step = 0; step < STEPS; step++) {
        struct probe *probe = &probes[random_below(&bench.random, COUNT)];
        uint64_t dice = random_below(&bench.random, 10);
        if (dice < 6) {
            uint64_t bound = 1ull << (1 + random_below(&bench.random, 20));
            arm(probe, 1 + random_below(&bench.random, bound));
        } else if (dice < 8) {
            timer_wheel_disarm(&probe->timer);
            probe->expected_ms = 0;
        } else {
            bench.last_ms = 0;
            turn_to(&bench, bench.now_ms + random_below(&bench.random, 3000));
            for (size_t i = 0; i < COUNT; i++)
                assert_true(probes[i].expected_ms == 0 || probes[i].expected_ms > bench.now_ms);
        }
    }
    free(probes);
}

/* A timer that ends another one due at the same time. */
struct rival {
    struct timer timer;
    struct rival *other;
    uint32_t fired;
};

static void on_rival(void *owner)
{
    struct rival *rival = owner;
    rival->fired++;
    timer_wheel_disarm(&rival->other->timer);
}

static void a_callback_may_disarm_a_timer_due_at_the_same_time(void **state)
{
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, START_MS);
    struct rival a = {0}, b = {0};
    a.other = &b;
    b.other = &a;
    timer_init(&a.timer, &a, on_rival);
    timer_init(&b.timer, &b, on_rival);
    timer_wheel_arm(&wheel, &a.timer, START_MS + 700);
    timer_wheel_arm(&wheel, &b.timer, START_MS + 700);
    timer_wheel_turn(&wheel, START_MS + 10000);
    assert_int_equal(a.fired, 1); /* armed first, fires first */
    assert_int_equal(b.fired, 0);
    assert_int_equal(timer_wheel_next(&wheel), UINT64_MAX);
}

/* A timer of a real loop that arms itself again. */
struct repeat {
    struct loop *loop;
    struct timer timer;
    uint32_t left;
};

static void on_repeat(void *owner)
{
    struct repeat *repeat = owner;
    if (--repeat->left > 0)
        loop_arm(repeat->loop, &repeat->timer, 0);
    else
        loop_stop(repeat->loop);
}

static void a_timer_armed_again_in_its_callback_fires_in_a_later_turn(void **state)
{
    (void)state;
    struct repeat repeat = {.loop = loop_new(NULL), .left = 3};
    assert_non_null(repeat.loop);
    timer_init(&repeat.timer, &repeat, on_repeat);
    uint64_t began = loop_now_ms(repeat.loop);
    loop_arm(repeat.loop, &repeat.timer, 2);
    loop_run(repeat.loop);
    assert_int_equal(repeat.left, 0);
    assert_true(loop_now_ms(repeat.loop) >= began + 4);
    assert_false(loop_turn(repeat.loop, 0));
    loop_free(repeat.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousands_of_timers_fire_in_order_and_on_time),
        cmocka_unit_test(a_late_turn_fires_all_in_the_order_of_time),
        cmocka_unit_test(a_timer_moved_later_fires_once_and_later),
        cmocka_unit_test(a_timer_moved_earlier_fires_earlier),
        cmocka_unit_test(random_arms_moves_and_disarms_keep_the_promise),
        cmocka_unit_test(a_callback_may_disarm_a_timer_due_at_the_same_time),
        cmocka_unit_test(a_timer_armed_again_in_its_callback_fires_in_a_later_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
