/* The balancing algorithms: fair by weight, away from load, never one that was tried. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/balancer.h"
#include "test.h"

#define COUNT 3

struct bench {
    struct random random;
    struct balancer balancer;
    struct balancer_item items[COUNT];
    struct balancer_item *list[COUNT];
    uint32_t picks[COUNT];
};

static void setup(struct bench *bench, enum balance kind, const uint32_t weights[COUNT])
{
    *bench = (struct bench){0};
    random_seed(&bench->random, 7);
    for (int i = 0; i < COUNT; i++) {
        bench->items[i].weight = weights[i];
        bench->list[i] = &bench->items[i];
    }
    balancer_init(&bench->balancer, &bench->random);
    balancer_set(&bench->balancer, kind, bench->list, COUNT);
}

static void pick(struct bench *bench, int times)
{
    for (int i = 0; i < times; i++)
        bench->picks[balancer_pick(&bench->balancer, NULL, 0) - bench->items]++;
}

static void round_robin_with_equal_weights_takes_turns(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench, BALANCE_ROUND_ROBIN, (uint32_t[COUNT]){1, 1, 1});
    pick(&bench, 300);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(bench.picks[i], 100);
}

static void round_robin_with_weights_is_smooth(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench, BALANCE_ROUND_ROBIN, (uint32_t[COUNT]){5, 1, 1});
    for (int i = 0; i < 10; i++) {
        bench.picks[0] = bench.picks[1] = bench.picks[2] = 0;
        pick(&bench, 7);
        assert_int_equal(bench.picks[0], 5);
        assert_int_equal(bench.picks[1], 1);
        assert_int_equal(bench.picks[2], 1);
    }
}

static void random_follows_the_weights(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench, BALANCE_RANDOM, (uint32_t[COUNT]){2, 1, 1});
    pick(&bench, 40000);
    assert_in_range(bench.picks[0], 19000, 21000);
    assert_in_range(bench.picks[1], 9000, 11000);
}

static void least_request_avoids_the_busy(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench, BALANCE_LEAST_REQUEST, (uint32_t[COUNT]){1, 1, 1});
    bench.items[1].active = 100;
    pick(&bench, 1000);
    assert_int_equal(bench.picks[1], 0);
    assert_true(bench.picks[0] > 300 && bench.picks[2] > 300);
}

static void what_was_tried_is_not_picked_again(void **state)
{
    (void)state;
    for (int kind = BALANCE_ROUND_ROBIN; kind <= BALANCE_MAGLEV; kind++) {
        struct bench bench;
        setup(&bench, (enum balance)kind, (uint32_t[COUNT]){1, 2, 3});
        struct balancer_item *tried[COUNT] = {bench.list[0], bench.list[2], bench.list[1]};
        for (int i = 0; i < 50; i++)
            assert_ptr_equal(balancer_pick(&bench.balancer, tried, 2), bench.list[1]);
        assert_null(balancer_pick(&bench.balancer, tried, 3));
    }
}

static void nothing_to_choose_from_is_null(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench, BALANCE_ROUND_ROBIN, (uint32_t[COUNT]){1, 1, 1});
    balancer_set(&bench.balancer, BALANCE_ROUND_ROBIN, NULL, 0);
    assert_null(balancer_pick(&bench.balancer, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_robin_with_equal_weights_takes_turns),
        cmocka_unit_test(round_robin_with_weights_is_smooth),
        cmocka_unit_test(random_follows_the_weights),
        cmocka_unit_test(least_request_avoids_the_busy),
        cmocka_unit_test(what_was_tried_is_not_picked_again),
        cmocka_unit_test(nothing_to_choose_from_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
