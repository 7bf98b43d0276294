/* When an endpoint goes out, for how long, and how it comes back. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/health.h"
#include "test.h"

#define S UINT64_C(1000000000)

static const struct ejection POLICY = {
    .server_errors = 5, .gateway_errors = 3, .connect_errors = 2, .base_ms = 1000, .max_ms = 5000};

static void each_kind_of_error_has_a_run_of_its_own(void **state)
{
    (void)state;
    static const uint32_t RUNS[] = {
        [HEALTH_SERVER_ERROR] = 5, [HEALTH_GATEWAY_ERROR] = 3, [HEALTH_CONNECT_ERROR] = 2};
    for (int result = HEALTH_SERVER_ERROR; result <= HEALTH_CONNECT_ERROR; result++) {
        struct health health = {0};
        for (uint32_t i = 1; i < RUNS[result]; i++)
            assert_false(health_report(&health, &POLICY, (enum health_result)result));
        assert_true(health_report(&health, &POLICY, (enum health_result)result));
    }
}

static void worse_errors_count_for_the_milder_runs(void **state)
{
    (void)state;
    struct health health = {0};
    assert_false(health_report(&health, &POLICY, HEALTH_CONNECT_ERROR));
    assert_false(health_report(&health, &POLICY, HEALTH_GATEWAY_ERROR));
    assert_true(health_report(&health, &POLICY, HEALTH_GATEWAY_ERROR));
    health = (struct health){0};
    assert_false(health_report(&health, &POLICY, HEALTH_GATEWAY_ERROR));
    assert_false(health_report(&health, &POLICY, HEALTH_GATEWAY_ERROR));
    assert_false(health_report(&health, &POLICY, HEALTH_SERVER_ERROR));
    assert_false(health_report(&health, &POLICY, HEALTH_GATEWAY_ERROR));
    assert_true(health_report(&health, &POLICY, HEALTH_SERVER_ERROR)); /* five in a row */
}

static void one_good_answer_ends_a_run(void **state)
{
    (void)state;
    struct health health = {0};
    for (int i = 0; i < 100; i++) {
        assert_false(health_report(&health, &POLICY, HEALTH_CONNECT_ERROR));
        assert_false(health_report(&health, &POLICY, HEALTH_GOOD));
    }
}

static void a_kind_that_is_not_named_never_counts(void **state)
{
    (void)state;
    const struct ejection none = {.connect_errors = 1, .base_ms = 1};
    struct health health = {0};
    for (int i = 0; i < 100; i++)
        assert_false(health_report(&health, &none, HEALTH_GATEWAY_ERROR));
    assert_true(health_report(&health, &none, HEALTH_CONNECT_ERROR));
}

static void times_grow_up_to_a_bound_and_start_anew_after_a_good_while(void **state)
{
    (void)state;
    struct health health = {0};
    uint64_t now = 100 * S;
    static const uint64_t WANTED[] = {1000, 2000, 4000, 5000, 5000};
    for (size_t i = 0; i < 5; i++) {
        uint64_t ms = health_eject(&health, &POLICY, now);
        assert_int_equal(ms, WANTED[i]);
        now += ms * 1000000;
        health_return(&health, now);
        now += S / 2;
    }
    now += 5 * S;
    assert_int_equal(health_eject(&health, &POLICY, now), 1000);
}

static void a_slow_start_goes_from_a_tenth_to_all(void **state)
{
    (void)state;
    assert_int_equal(health_weight(3, 0, 5 * S, 5 * S), 3);
    assert_int_equal(health_weight(3, 10000, 0, 5 * S), 300);
    assert_int_equal(health_weight(3, 10000, 5 * S, 5 * S), 30);
    assert_int_equal(health_weight(3, 10000, 5 * S, 10 * S), 150);
    assert_int_equal(health_weight(3, 10000, 5 * S, 15 * S), 300);
    assert_int_equal(health_weight(3, 10000, 5 * S, 100 * S), 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_error_has_a_run_of_its_own),
        cmocka_unit_test(worse_errors_count_for_the_milder_runs),
        cmocka_unit_test(one_good_answer_ends_a_run),
        cmocka_unit_test(a_kind_that_is_not_named_never_counts),
        cmocka_unit_test(times_grow_up_to_a_bound_and_start_anew_after_a_good_while),
        cmocka_unit_test(a_slow_start_goes_from_a_tenth_to_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
