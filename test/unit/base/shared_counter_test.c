/* Rates shared by threads: exact for one key, bounded for many. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/shared_counter.h"
#include "test.h"

#define SECOND UINT64_C(1000000000)

static void a_bucket_gives_its_burst_then_its_rate(void **state)
{
    (void)state;
    struct shared_rate rate = {.requests = 10, .window_ns = SECOND, .burst = 5};
    struct shared_counter *counter = shared_counter_new(&rate, false);
    for (uint64_t i = 0; i < 5; i++) {
        struct shared_verdict verdict = shared_counter_take(counter, 0, SECOND);
        assert_true(verdict.allowed);
        assert_int_equal(verdict.remaining, 4 - i);
        assert_int_equal(verdict.full_ns, (i + 1) * SECOND / 10);
    }
    struct shared_verdict verdict = shared_counter_take(counter, 0, SECOND);
    assert_false(verdict.allowed);
    assert_int_equal(verdict.retry_ns, SECOND / 10);
    assert_false(shared_counter_take(counter, 0, SECOND + SECOND / 10 - 1).allowed);
    assert_true(shared_counter_take(counter, 0, SECOND + SECOND / 10).allowed);
    assert_false(shared_counter_take(counter, 0, SECOND / 2).allowed); /* an earlier clock */
    shared_counter_unref(counter);
}

struct work {
    struct shared_counter *counter;
    uint64_t keys;
    uint64_t allowed;
};

static void *take_many(void *argument)
{
    struct work *work = argument;
    for (uint64_t i = 0; i < 40000; i++) {
        uint64_t key = hash_stable(text_from((const char *)&(uint64_t){i % work->keys}, 8));
        work->allowed += shared_counter_take(work->counter, key, SECOND).allowed;
    }
    return NULL;
}

static uint64_t take_on_threads(struct shared_counter *counter, uint64_t keys)
{
    pthread_t threads[4];
    struct work works[4];
    uint64_t sum = 0;
    for (int i = 0; i < 4; i++) {
        works[i] = (struct work){.counter = counter, .keys = keys};
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &works[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        sum += works[i].allowed;
    }
    return sum;
}

static void threads_together_get_one_burst(void **state)
{
    (void)state;
    struct shared_rate rate = {.requests = 1000, .window_ns = 3600 * SECOND, .burst = 1000};
    struct shared_counter *counter = shared_counter_new(&rate, false);
    assert_int_equal(take_on_threads(counter, 1), 1000);
    shared_counter_unref(counter);
}

static void threads_share_the_keys_as_well(void **state)
{
    (void)state;
    struct shared_rate rate = {.requests = 10, .window_ns = 3600 * SECOND, .burst = 10};
    struct shared_counter *counter = shared_counter_new(&rate, true);
    uint64_t allowed = take_on_threads(counter, 100);
    /* A key that two threads bring at the same moment may gain one burst. */
    assert_in_range(allowed, 1000, 1300);
    shared_counter_unref(counter);
}

static void the_longest_idle_key_goes_when_there_are_too_many(void **state)
{
    (void)state;
    struct shared_rate rate = {.requests = 1, .window_ns = 1000 * SECOND, .burst = 1};
    struct shared_counter *counter = shared_counter_new(&rate, true);
    uint64_t kept = 0;
    for (uint64_t i = 0; i < 4 * LIMIT_RATE_KEYS; i++) {
        uint64_t key = hash_stable(text_from((const char *)&i, sizeof(i)));
        assert_true(shared_counter_take(counter, key, SECOND + i).allowed);
    }
    for (uint64_t i = 0; i < 4 * LIMIT_RATE_KEYS; i++) {
        uint64_t key = hash_stable(text_from((const char *)&i, sizeof(i)));
        bool recent = i >= 4 * LIMIT_RATE_KEYS - 1000;
        kept += recent && !shared_counter_take(counter, key, 2 * SECOND).allowed;
    }
    assert_in_range(kept, 900, 1000);
    shared_counter_unref(counter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_gives_its_burst_then_its_rate),
        cmocka_unit_test(threads_together_get_one_burst),
        cmocka_unit_test(threads_share_the_keys_as_well),
        cmocka_unit_test(the_longest_idle_key_goes_when_there_are_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
