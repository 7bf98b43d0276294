/* What a turn does that comes much later than it should: the clock jumped, or the process slept. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "event/loop.h"
#include "test.h"

enum { CLIENTS = 4 * LIMIT_READY_BATCH - 24, IDLE_MS = 60000, DAY_MS = 86400000 };

struct world;

/* A connection with an idle timer. */
struct client {
    struct world *world;
    struct watch watch;
    struct timer idle;
    bool ready, again; /* bytes lie unread; more come at once */
    uint32_t told, closed;
};

/* A kernel of which the test says everything. */
struct world {
    struct io io;
    struct loop *loop;
    uint64_t now_ms;
    uint32_t at, waits, cuts; /* next to tell; waits so far; waits yet to be cut short */
    uint64_t jump_after_wait_ms;
    struct client clients[CLIENTS];
};

static uint64_t world_now(void *state)
{
    return ((struct world *)state)->now_ms * 1000000;
}

static uint64_t world_seed(void *state)
{
    (void)state;
    return 1;
}

static int world_watch(void *state, int fd, void *owner)
{
    (void)state;
    (void)fd;
    (void)owner;
    return 0;
}

static int world_unwatch(void *state, int fd)
{
    (void)state;
    (void)fd;
    return 0;
}

/* Tells in turn, as epoll does: who was told comes last. */
static int world_wait(void *state, struct io_ready *ready, int max, int timeout_ms)
{
    struct world *world = state;
    world->waits++;
    if (world->cuts > 0) {
        world->cuts--;
        errno = EINTR;
        return -1;
    }
    int count = 0;
    for (uint32_t i = 0; i < CLIENTS && count < max; i++) {
        struct client *client = &world->clients[world->at];
        world->at = (world->at + 1) % CLIENTS;
        if (client->ready)
            ready[count++] = (struct io_ready){&client->watch, IO_READ};
        client->ready = client->again;
    }
    if (count == 0 && timeout_ms > 0)
        world->now_ms += (uint64_t)timeout_ms;
    if (world->jump_after_wait_ms != 0) {
        world->now_ms += world->jump_after_wait_ms;
        world->jump_after_wait_ms = 0;
        world->clients[0].ready = true;
    }
    return count;
}

static void on_ready(void *owner, uint32_t events)
{
    (void)events;
    struct client *client = owner;
    client->told++;
    if (!client->again)
        loop_disarm(client->world->loop, &client->idle);
}

static void on_idle(void *owner)
{
    ((struct client *)owner)->closed++;
}

/* All clients idle from now on. */
static void world_init(struct world *world)
{
    *world = (struct world){.now_ms = 1000};
    world->io = (struct io){.state = world,
                            .now_ns = world_now,
                            .wall_ns = world_now,
                            .seed = world_seed,
                            .watch = world_watch,
                            .unwatch = world_unwatch,
                            .wait = world_wait};
    world->loop = loop_new(&world->io);
    for (int i = 0; i < CLIENTS; i++) {
        struct client *client = &world->clients[i];
        *client = (struct client){.world = world};
        client->watch = (struct watch){.fd = 1000 + i, .owner = client, .on_ready = on_ready};
        timer_init(&client->idle, client, on_idle);
        assert_true(loop_watch(world->loop, &client->watch));
        loop_arm(world->loop, &client->idle, IDLE_MS);
    }
}

static void world_fini(struct world *world)
{
    for (int i = 0; i < CLIENTS; i++) {
        loop_unwatch(world->loop, &world->clients[i].watch);
        loop_disarm(world->loop, &world->clients[i].idle);
    }
    loop_free(world->loop);
}

static uint32_t count_closed(const struct world *world)
{
    uint32_t closed = 0;
    for (int i = 0; i < CLIENTS; i++)
        closed += world->clients[i].closed;
    return closed;
}

static void more_than_a_batch_is_told_before_timers_of_a_day_fire(void **state)
{
    (void)state;
    struct world *world = memory_new(struct world);
    world_init(world);
    for (int i = 1; i < CLIENTS; i++)
        world->clients[i].ready = true;
    world->now_ms += DAY_MS;
    for (int turns = 0; turns < 6; turns++)
        loop_turn(world->loop, 0);
    for (int i = 1; i < CLIENTS; i++)
        assert_int_equal(world->clients[i].told, 1);
    assert_int_equal(count_closed(world), 1); /* who was idle indeed */
    assert_int_equal(world->clients[0].closed, 1);
    world_fini(world);
    free(world);
}

static void a_wait_that_was_cut_short_lets_no_timer_overtake_bytes(void **state)
{
    (void)state;
    struct world *world = memory_new(struct world);
    world_init(world);
    world->clients[0].ready = true;
    world->cuts = 2; /* as SIGCONT does it */
    world->now_ms += DAY_MS;
    for (int turns = 0; turns < 4; turns++)
        loop_turn(world->loop, 0);
    assert_int_equal(world->clients[0].told, 1);
    assert_int_equal(count_closed(world), CLIENTS - 1);
    world_fini(world);
    free(world);
}

static void a_sleep_between_the_wait_and_the_clock_lets_no_timer_overtake_bytes(void **state)
{
    (void)state;
    struct world *world = memory_new(struct world);
    world_init(world);
    world->jump_after_wait_ms = DAY_MS;
    for (int turns = 0; turns < 3; turns++)
        loop_turn(world->loop, 0);
    assert_int_equal(world->clients[0].told, 1);
    assert_int_equal(count_closed(world), CLIENTS - 1);
    world_fini(world);
    free(world);
}

static void timers_fire_although_every_batch_is_full(void **state)
{
    (void)state;
    struct world *world = memory_new(struct world);
    world_init(world);
    for (int i = 0; i < CLIENTS; i++)
        world->clients[i].again = world->clients[i].ready = true;
    for (uint32_t ms = 0; ms < IDLE_MS; ms += 10) { /* on time, as long as turns are short */
        assert_int_equal(count_closed(world), 0);
        world->now_ms += 10;
        loop_turn(world->loop, -1);
    }
    assert_int_equal(count_closed(world), CLIENTS);

    loop_arm(world->loop, &world->clients[0].idle, IDLE_MS);
    world->now_ms += DAY_MS;
    for (uint32_t ms = 0; ms <= IDLE_MS; ms += LIMIT_TIMER_STEP_MS)
        loop_turn(world->loop, -1);
    assert_int_equal(count_closed(world), CLIENTS + 1); /* and later, if not */
    world_fini(world);
    free(world);
}

static void a_long_sleep_that_was_meant_ends_on_time(void **state)
{
    (void)state;
    struct world *world = memory_new(struct world);
    world_init(world);
    uint64_t began = world->now_ms;
    while (count_closed(world) == 0 && world->waits < 20)
        loop_turn(world->loop, -1);
    assert_int_equal(count_closed(world), CLIENTS);
    assert_int_equal(world->now_ms, began + IDLE_MS);
    assert_true(world->waits <= 6);
    world_fini(world);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_than_a_batch_is_told_before_timers_of_a_day_fire),
        cmocka_unit_test(a_wait_that_was_cut_short_lets_no_timer_overtake_bytes),
        cmocka_unit_test(a_sleep_between_the_wait_and_the_clock_lets_no_timer_overtake_bytes),
        cmocka_unit_test(timers_fire_although_every_batch_is_full),
        cmocka_unit_test(a_long_sleep_that_was_meant_ends_on_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
