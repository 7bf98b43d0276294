/* Names are looked up off the loop's thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "data/upstream/resolve.h"
#include "test.h"

typedef int (*thread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static int no_threads; /* so many are refused: the machine has no more */

/* Stands before the system's own. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument)
{
    union {
        void *found;
        thread_create create;
    } real = {.found = dlsym(RTLD_NEXT, "pthread_create")};
    if (no_threads == 0)
        return real.create(thread, attributes, run, argument);
    no_threads--;
    return EAGAIN;
}

struct heard {
    uint32_t answers;
    size_t addresses;
    bool is_loopback;
};

static void on_answer(void *owner, struct text key, const struct address *addresses, size_t count)
{
    struct heard *heard = owner;
    struct address v4, v6, first = addresses[0];
    assert_true(text_is(key, "backend"));
    heard->answers++;
    heard->addresses = count;
    if (!address_parse(TEXT("127.0.0.1"), 0, &v4) || !address_parse(TEXT("::1"), 0, &v6))
        return;
    address_set_port(&first, 0);
    heard->is_loopback = address_equal(&first, &v4) || address_equal(&first, &v6);
}

static void localhost_is_found_and_told_once(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct loop *loop = loop_new(NULL);
    struct resolve *resolve = resolve_new(loop, on_answer, &heard);
    uint64_t until = clock_monotonic_ns() + UINT64_C(10000000000);
    resolve_begin(resolve);
    resolve_want(resolve, TEXT("backend"), TEXT("localhost"));
    resolve_commit(resolve);
    while (heard.answers == 0) {
        assert_true(clock_monotonic_ns() < until);
        loop_turn(loop, 10);
    }
    assert_true(heard.addresses >= 1);
    assert_true(heard.is_loopback);
    resolve_begin(resolve);
    resolve_want(resolve, TEXT("backend"), TEXT("localhost"));
    resolve_commit(resolve);
    loop_turn(loop, 0);
    assert_int_equal(heard.answers, 1);
    resolve_free(resolve);
    loop_free(loop);
}

static void leaving_in_the_middle_is_safe(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct loop *loop = loop_new(NULL);
    struct resolve *resolve = resolve_new(loop, on_answer, &heard);
    resolve_begin(resolve);
    resolve_want(resolve, TEXT("backend"), TEXT("localhost"));
    resolve_commit(resolve);
    resolve_free(resolve);
    loop_free(loop);
    assert_int_equal(heard.answers, 0);
}

static void a_name_without_a_thread_is_asked_for_later(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct loop *loop = loop_new(NULL);
    struct resolve *resolve = resolve_new(loop, on_answer, &heard);
    uint64_t until = clock_monotonic_ns() + UINT64_C(30000000000);
    no_threads = 1;
    resolve_begin(resolve);
    resolve_want(resolve, TEXT("backend"), TEXT("localhost"));
    resolve_commit(resolve);
    assert_int_equal(no_threads, 0);
    while (heard.answers == 0) { /* LIMIT_RESOLVE_RETRY_MS later */
        assert_true(clock_monotonic_ns() < until);
        loop_turn(loop, 10);
    }
    resolve_free(resolve);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(localhost_is_found_and_told_once),
        cmocka_unit_test(leaving_in_the_middle_is_safe),
        cmocka_unit_test(a_name_without_a_thread_is_asked_for_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
