/* Retries as a share of all requests, shared by threads. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include "base/shared_budget.h"
#include "test.h"

#define SECOND UINT64_C(1000000000)
#define HOUR   (3600 * SECOND)
#define NOW    (7 * HOUR)

static struct shared_budget *budget_of(uint32_t percent, uint32_t min_count)
{
    return shared_budget_new(&(struct shared_budget_options){
        .percent = percent,
        .window_ns = 10 * SECOND,
        .min_count = min_count,
        .min_window_ns = HOUR,
    });
}

static uint32_t take_all(struct shared_budget *budget, uint64_t now_ns)
{
    uint32_t taken = 0;
    while (taken < 100000 && shared_budget_take(budget, now_ns))
        taken++;
    return taken;
}

static void count(struct shared_budget *budget, uint32_t requests, uint64_t now_ns)
{
    for (uint32_t i = 0; i < requests; i++)
        shared_budget_count(budget, now_ns);
}

static void a_share_of_all_requests_may_be_retries(void **state)
{
    (void)state;
    struct shared_budget *budget = budget_of(20, 1);
    count(budget, 800, NOW);
    assert_int_equal(take_all(budget, NOW), 200);
    count(budget, 4, NOW + SECOND);
    assert_int_equal(take_all(budget, NOW + SECOND), 1);
    shared_budget_unref(budget);
}

static void what_is_older_than_the_window_counts_no_more(void **state)
{
    (void)state;
    struct shared_budget *budget = budget_of(50, 1);
    count(budget, 100, NOW);
    assert_int_equal(take_all(budget, NOW + 9 * SECOND), 100);
    assert_int_equal(take_all(budget, NOW + 10 * SECOND), 0);
    count(budget, 200, NOW + 10 * SECOND);
    assert_int_equal(take_all(budget, NOW + 10 * SECOND), 100);
    /* Nothing is left of it hours later, whatever slices it then stands in. */
    assert_int_equal(take_all(budget, NOW + 2 * HOUR), 1);
    shared_budget_unref(budget);
}

static void a_minimum_is_allowed_in_any_case(void **state)
{
    (void)state;
    struct shared_budget *budget = budget_of(0, 3);
    count(budget, 1000, NOW);
    assert_int_equal(take_all(budget, NOW), 3);
    assert_int_equal(take_all(budget, NOW + HOUR / 3 + 1), 1);
    shared_budget_unref(budget);
}

static void a_hundred_percent_is_no_bound(void **state)
{
    (void)state;
    struct shared_budget *budget = budget_of(100, 1);
    count(budget, 1, NOW);
    assert_int_equal(take_all(budget, NOW), 100000);
    shared_budget_unref(budget);
}

static void *take_on_a_thread(void *argument)
{
    return (void *)(uintptr_t)take_all(argument, NOW);
}

static void threads_together_take_no_more_than_one_may(void **state)
{
    (void)state;
    struct shared_budget *budget = budget_of(20, 1);
    count(budget, 40000, NOW);
    pthread_t threads[4];
    uintptr_t sum = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_on_a_thread, budget), 0);
    for (int i = 0; i < 4; i++) {
        void *taken;
        pthread_join(threads[i], &taken);
        sum += (uintptr_t)taken;
    }
    /* Who is refused at the edge may have been beside another who was, too. */
    sum += take_all(budget, NOW);
    assert_int_equal(sum, 10000);
    shared_budget_unref(budget);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_of_all_requests_may_be_retries),
        cmocka_unit_test(what_is_older_than_the_window_counts_no_more),
        cmocka_unit_test(a_minimum_is_allowed_in_any_case),
        cmocka_unit_test(a_hundred_percent_is_no_bound),
        cmocka_unit_test(threads_together_take_no_more_than_one_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
