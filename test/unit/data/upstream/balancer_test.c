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
    struct endpoint endpoints[COUNT];
    struct arena arena;
};

static const struct balancer_ask ANY;

static void setup(struct bench *bench, enum balance kind, const uint32_t weights[COUNT])
{
    *bench = (struct bench){0};
    random_seed(&bench->random, 7);
    for (int i = 0; i < COUNT; i++) {
        bench->items[i].weight = weights[i];
        bench->list[i] = &bench->items[i];
    }
    balancer_init(&bench->balancer, &bench->random);
    arena_init(&bench->arena, 0);
    for (int i = 0; i < COUNT; i++)
        bench->endpoints[i] = (struct endpoint){
            .text = arena_printf(&bench->arena, "10.0.0.%d:80", i), .weight = weights[i]};
    struct balancer_options options = {.kind = kind};
    if (kind == BALANCE_RING_HASH || kind == BALANCE_MAGLEV)
        options.table = hash_table_new(kind, bench->endpoints, COUNT, &bench->arena);
    balancer_set(&bench->balancer, &options, bench->list, COUNT);
}

static void finish(struct bench *bench)
{
    balancer_fini(&bench->balancer);
    arena_fini(&bench->arena);
}

static void pick(struct bench *bench, int times)
{
    for (int i = 0; i < times; i++)
        bench->picks[balancer_pick(&bench->balancer, &ANY) - bench->items]++;
}

static void round_robin_with_equal_weights_takes_turns(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench, BALANCE_ROUND_ROBIN, (uint32_t[COUNT]){1, 1, 1});
    pick(&bench, 300);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(bench.picks[i], 100);
    finish(&bench);
}

static void far_ones_serve_when_too_few_near_ones_are_in(void **state)
{
    (void)state;
    static const enum balance KINDS[] = {BALANCE_ROUND_ROBIN, BALANCE_LEAST_REQUEST, BALANCE_RANDOM,
                                         BALANCE_RING_HASH, BALANCE_MAGLEV};
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        struct bench bench;
        setup(&bench, KINDS[i], (uint32_t[COUNT]){1, 1, 1});
        bench.items[2].is_far = true;
        balancer_refresh(&bench.balancer);
        pick(&bench, 300);
        assert_true(bench.picks[0] > 0 && bench.picks[1] > 0);
        assert_int_equal(bench.picks[2], 0);
        bench.items[0].is_out = true; /* half of the near ones are enough */
        balancer_refresh(&bench.balancer);
        bench.picks[0] = 0;
        pick(&bench, 300);
        assert_int_equal(bench.picks[0], 0);
        assert_int_equal(bench.picks[2], 0);
        bench.items[1].is_out = true;
        balancer_refresh(&bench.balancer);
        pick(&bench, 300);
        assert_int_equal(bench.picks[2], 300);
        finish(&bench);
    }
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
    finish(&bench);
}

static void random_follows_the_weights(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench, BALANCE_RANDOM, (uint32_t[COUNT]){2, 1, 1});
    pick(&bench, 40000);
    assert_in_range(bench.picks[0], 19000, 21000);
    assert_in_range(bench.picks[1], 9000, 11000);
    finish(&bench);
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
    finish(&bench);
}

static void least_request_shares_an_idle_backend_by_weight(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench, BALANCE_LEAST_REQUEST, (uint32_t[COUNT]){8, 1, 1});
    pick(&bench, 10000);
    assert_true(bench.picks[0] > 7500);
    assert_true(bench.picks[1] > 100 && bench.picks[2] > 100);
    finish(&bench);
}

static void a_hash_always_means_the_same_endpoint(void **state)
{
    (void)state;
    for (int kind = BALANCE_RING_HASH; kind <= BALANCE_MAGLEV; kind++) {
        struct bench bench;
        setup(&bench, (enum balance)kind, (uint32_t[COUNT]){1, 1, 1});
        for (uint64_t key = 0; key < 100; key++) {
            struct balancer_ask ask = {.has_hash = true, .hash = key * 0x9e3779b97f4a7c15};
            const struct balancer_item *first = balancer_pick(&bench.balancer, &ask);
            for (int i = 0; i < 5; i++)
                assert_ptr_equal(balancer_pick(&bench.balancer, &ask), first);
        }
        finish(&bench);
    }
}

static void a_request_without_a_hash_goes_anywhere(void **state)
{
    (void)state;
    for (int kind = BALANCE_RING_HASH; kind <= BALANCE_MAGLEV; kind++) {
        struct bench bench;
        setup(&bench, (enum balance)kind, (uint32_t[COUNT]){1, 1, 1});
        pick(&bench, 3000);
        for (int i = 0; i < COUNT; i++)
            assert_in_range(bench.picks[i], 700, 1300);
        finish(&bench);
    }
}

static void who_is_out_is_not_chosen_and_moves_no_other_key(void **state)
{
    (void)state;
    for (int kind = BALANCE_ROUND_ROBIN; kind <= BALANCE_MAGLEV; kind++) {
        struct bench bench;
        struct balancer_item *before[1000];
        setup(&bench, (enum balance)kind, (uint32_t[COUNT]){1, 2, 1});
        bool is_hash = kind >= BALANCE_RING_HASH;
        struct balancer_ask ask = {.has_hash = true};
        for (uint64_t i = 0; i < 1000; i++) {
            ask.hash = i * 0x9e3779b97f4a7c15;
            before[i] = balancer_pick(&bench.balancer, &ask);
        }
        bench.items[1].is_out = true;
        balancer_refresh(&bench.balancer);
        for (uint64_t i = 0; i < 1000; i++) {
            ask.hash = i * 0x9e3779b97f4a7c15;
            const struct balancer_item *now = balancer_pick(&bench.balancer, &ask);
            assert_ptr_not_equal(now, &bench.items[1]);
            if (is_hash && before[i] != &bench.items[1])
                assert_ptr_equal(now, before[i]);
        }
        finish(&bench);
    }
}

static void with_too_few_in_all_are_chosen_from(void **state)
{
    (void)state;
    for (int kind = BALANCE_ROUND_ROBIN; kind <= BALANCE_MAGLEV; kind++) {
        struct bench bench;
        setup(&bench, (enum balance)kind, (uint32_t[COUNT]){1, 1, 1});
        bench.balancer.options.panic_percent = 50;
        bench.items[0].is_out = bench.items[1].is_out = true;
        balancer_refresh(&bench.balancer);
        pick(&bench, 3000);
        for (int i = 0; i < COUNT; i++)
            assert_true(bench.picks[i] > 500);
        bench.items[0].is_out = false;
        balancer_refresh(&bench.balancer);
        bench.picks[1] = 0;
        pick(&bench, 3000);
        assert_int_equal(bench.picks[1], 0);
        bench.balancer.options.panic_percent = 0;
        bench.items[0].is_out = bench.items[2].is_out = true;
        balancer_refresh(&bench.balancer);
        assert_null(balancer_pick(&bench.balancer, &ANY));
        finish(&bench);
    }
}

static void what_was_tried_is_not_picked_again(void **state)
{
    (void)state;
    for (int kind = BALANCE_ROUND_ROBIN; kind <= BALANCE_MAGLEV; kind++) {
        struct bench bench;
        setup(&bench, (enum balance)kind, (uint32_t[COUNT]){1, 2, 3});
        struct balancer_ask ask = {.tried = {bench.list[0], bench.list[2], bench.list[1]},
                                   .tried_count = 2};
        for (int i = 0; i < 50; i++)
            assert_ptr_equal(balancer_pick(&bench.balancer, &ask), bench.list[1]);
        ask.tried_count = 3;
        assert_null(balancer_pick(&bench.balancer, &ask));
        finish(&bench);
    }
}

static void nothing_to_choose_from_is_null(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench, BALANCE_ROUND_ROBIN, (uint32_t[COUNT]){1, 1, 1});
    balancer_set(&bench.balancer, &(struct balancer_options){.panic_percent = 50}, NULL, 0);
    assert_null(balancer_pick(&bench.balancer, &ANY));
    finish(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_robin_with_equal_weights_takes_turns),
        cmocka_unit_test(round_robin_with_weights_is_smooth),
        cmocka_unit_test(far_ones_serve_when_too_few_near_ones_are_in),
        cmocka_unit_test(random_follows_the_weights),
        cmocka_unit_test(least_request_avoids_the_busy),
        cmocka_unit_test(least_request_shares_an_idle_backend_by_weight),
        cmocka_unit_test(a_hash_always_means_the_same_endpoint),
        cmocka_unit_test(a_request_without_a_hash_goes_anywhere),
        cmocka_unit_test(who_is_out_is_not_chosen_and_moves_no_other_key),
        cmocka_unit_test(with_too_few_in_all_are_chosen_from),
        cmocka_unit_test(what_was_tried_is_not_picked_again),
        cmocka_unit_test(nothing_to_choose_from_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
