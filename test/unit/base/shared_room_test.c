/* Room that threads share: never more than there is, and nobody who waits is forgotten. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/shared_room.h"
#include "test.h"

static void there_is_so_much_and_no_more(void **state)
{
    (void)state;
    struct shared_room *room = shared_room_new();
    assert_true(shared_room_take(room, 2));
    assert_true(shared_room_take(room, 2));
    assert_false(shared_room_take(room, 2));
    assert_true(shared_room_take(room, 3));
    shared_room_give(room);
    assert_false(shared_room_take(room, 2));
    shared_room_give(room);
    assert_true(shared_room_take(room, 2));
    shared_room_give(room);
    shared_room_give(room);
    shared_room_unref(room);
}

static void those_who_wait_are_called_in_turn(void **state)
{
    (void)state;
    struct shared_room *room = shared_room_new();
    uint64_t a = SHARED_ROOM_BIT(0), b = SHARED_ROOM_BIT(5), c = SHARED_ROOM_BIT(63);
    assert_true(shared_room_wait(room, b, 100));
    assert_false(shared_room_wait(room, b, 200));
    assert_true(shared_room_wait(room, c, 300));
    assert_true(shared_room_wait(room, a, 400));
    assert_int_equal(shared_room_since_ns(room), 100);
    assert_true(shared_room_waiting(room, a) == (b | c));
    assert_true(shared_room_call(room, a, 500) == b);
    assert_true(shared_room_wait(room, b, 600));
    assert_int_equal(shared_room_since_ns(room), 500);
    assert_true(shared_room_call(room, 0, 700) == c);
    assert_true(shared_room_call(room, 0, 700) == a);
    assert_true(shared_room_call(room, b, 700) == 0);
    assert_true(shared_room_call(room, a, 700) == b);
    assert_true(shared_room_call(room, a, 700) == 0);
    shared_room_keep(room, a, true);
    shared_room_keep(room, b, true);
    assert_true(shared_room_keepers(room, a) == b);
    shared_room_keep(room, b, false);
    assert_true(shared_room_keepers(room, a) == 0);
    shared_room_unref(room);
}

struct crowd {
    struct shared_room *room;
    _Atomic uint64_t inside, most, called;
};

struct person {
    struct crowd *crowd;
    uint64_t me;
};

static void enter(struct crowd *crowd, uint64_t me)
{
    while (!shared_room_take(crowd->room, 2)) {
        (void)shared_room_wait(crowd->room, me, 1);
        if (shared_room_take(crowd->room, 2))
            return;
        while ((atomic_load(&crowd->called) & me) == 0)
            sched_yield();
        atomic_fetch_and(&crowd->called, ~me);
    }
}

static void *come_and_go(void *argument)
{
    struct person *person = argument;
    struct crowd *crowd = person->crowd;
    for (int i = 0; i < 3000; i++) {
        enter(crowd, person->me);
        uint64_t inside = atomic_fetch_add(&crowd->inside, 1) + 1;
        uint64_t most = atomic_load(&crowd->most);
        while (inside > most && !atomic_compare_exchange_weak(&crowd->most, &most, inside))
            continue;
        atomic_fetch_sub(&crowd->inside, 1);
        shared_room_give(crowd->room);
        /* All of them: one that got in meanwhile passes nothing on. */
        for (uint64_t next; (next = shared_room_call(crowd->room, person->me, 1)) != 0;)
            atomic_fetch_or(&crowd->called, next);
    }
    return NULL;
}

/* It ends: each who found no room was called when there was some. */
static void threads_pass_room_on(void **state)
{
    (void)state;
    struct crowd crowd = {.room = shared_room_new()};
    struct person people[4];
    pthread_t threads[4];
    for (uint32_t i = 0; i < 4; i++) {
        people[i] = (struct person){&crowd, SHARED_ROOM_BIT(i)};
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &people[i]), 0);
    }
    for (uint32_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_true(crowd.most >= 1 && crowd.most <= 2);
    assert_true(shared_room_take(crowd.room, 1));
    shared_room_give(crowd.room);
    shared_room_unref(crowd.room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_so_much_and_no_more),
        cmocka_unit_test(those_who_wait_are_called_in_turn),
        cmocka_unit_test(threads_pass_room_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
