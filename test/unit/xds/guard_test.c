/* Calls that are held until their token was judged. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "raw.h"
#include "xds/guard.h"

#define METHOD "/a.B/C"

struct world {
    struct loop *loop;
    struct listener listener;
    struct grpc_server *server;
    struct grpc_channel *channel;
    struct guard *guard;
    struct raw raw, taken; /* the caller's end, and ours */
    uint64_t ticket;
    bool is_ready, is_full;
};

static void on_ask(void *owner, uint64_t ticket, struct text token)
{
    (void)token;
    ((struct world *)owner)->ticket = ticket;
}

static void take(void *owner, struct grpc_call *call)
{
    struct world *world = owner;
    assert_string_equal(call->identity, "somebody");
    if (world->is_full) {
        grpc_finish(call, GRPC_RESOURCE_EXHAUSTED, "too many streams");
        return;
    }
    world->taken.call = call;
    call->receive_max = LIMIT_GRPC_RECEIVE;
    call->events = raw_events();
    call->owner = &world->taken;
}

static void on_call(void *owner, struct grpc_call *call)
{
    struct world *world = owner;
    guard_hold(world->guard, call, take, world);
}

static void on_accept(void *owner, int fd, const struct address *peer)
{
    grpc_server_accept(((struct world *)owner)->server, fd, peer, NULL);
}

static void on_ready(void *owner, struct grpc_channel *channel)
{
    (void)channel;
    ((struct world *)owner)->is_ready = true;
}

static void on_closed(void *owner, struct grpc_channel *channel, const char *why)
{
    (void)owner;
    (void)channel;
    (void)why;
}

static int setup(void **state)
{
    static const struct grpc_method METHODS[] = {{METHOD, on_call}};
    static const struct grpc_server_events SERVING = {0};
    static const struct grpc_channel_events CALLING = {on_ready, on_closed};
    struct world *world = memory_new(struct world);
    struct address any;
    world->loop = loop_new(NULL);
    world->guard = guard_new(on_ask, world);
    world->server = grpc_server_new(world->loop, METHODS, 1, &SERVING, world);
    assert_true(address_parse(TEXT("127.0.0.1"), 0, &any));
    int fd = listener_open(&any, false);
    struct address at = listener_local(fd);
    world->listener.owner = world;
    world->listener.on_accept = on_accept;
    assert_true(listener_start(&world->listener, world->loop, fd));
    world->channel =
        grpc_channel_open(world->loop, &at, NULL, TEXT_NONE, TEXT("localhost"), &CALLING, world);
    WAIT_FOR(world->loop, world->is_ready);
    world->raw.call = grpc_start(world->channel, METHOD, raw_events(), &world->raw);
    assert_non_null(world->raw.call);
    assert_int_equal(grpc_send(world->raw.call, TEXT("one"), 0), ERR_NONE);
    assert_int_equal(grpc_send(world->raw.call, TEXT("two"), 0), ERR_NONE);
    WAIT_FOR(world->loop, world->ticket != 0);
    settle(world->loop);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    guard_free(world->guard);
    listener_close(&world->listener);
    grpc_channel_free(world->channel);
    grpc_server_free(world->server);
    settle(world->loop);
    raw_clear(&world->raw);
    raw_clear(&world->taken);
    loop_free(world->loop);
    free(world);
    return 0;
}

static void who_is_admitted_is_heard_from_the_first_message_on(void **state)
{
    struct world *world = *state;
    assert_int_equal(world->taken.count, 0);
    guard_answer(world->guard, world->ticket, TEXT("somebody"), "");
    assert_int_equal(world->taken.count, 2);
    assert_true(text_is(builder_text(&world->taken.messages[0]), "one"));
    assert_true(text_is(builder_text(&world->taken.messages[1]), "two"));
}

static void who_is_not_admitted_hears_why(void **state)
{
    struct world *world = *state;
    guard_answer(world->guard, world->ticket, TEXT_NONE, "the token is old");
    WAIT_FOR(world->loop, world->raw.ends == 1);
    assert_int_equal(world->raw.status, GRPC_UNAUTHENTICATED);
    assert_string_equal(world->raw.words, "the token is old");
}

static void who_is_admitted_where_there_is_no_room_hears_so(void **state)
{
    struct world *world = *state;
    world->is_full = true;
    guard_answer(world->guard, world->ticket, TEXT("somebody"), "");
    WAIT_FOR(world->loop, world->raw.ends == 1);
    assert_int_equal(world->raw.status, GRPC_RESOURCE_EXHAUSTED);
    assert_string_equal(world->raw.words, "too many streams");
    assert_int_equal(world->taken.count, 0);
}

static void what_leaves_before_the_judgement_is_forgotten(void **state)
{
    struct world *world = *state;
    grpc_cancel(world->raw.call);
    settle(world->loop);
    guard_answer(world->guard, world->ticket, TEXT("somebody"), "");
    assert_null(world->taken.call);
}

/* What a data plane holds already, it states in one message. */
static void a_large_message_is_heard_whole_after_the_judgement(void **state)
{
    struct world *world = *state;
    size_t len = 3 * LIMIT_GRPC_MESSAGE;
    char *much = memory_alloc(len);
    memset(much, 'x', len);
    assert_int_equal(grpc_send(world->raw.call, text_from(much, len), 0), ERR_NONE);
    free(much);
    settle(world->loop);
    assert_int_equal(world->raw.ends, 0);
    assert_true(world->raw.call->queued_bytes > LIMIT_GRPC_MESSAGE); /* it is not read yet */
    guard_answer(world->guard, world->ticket, TEXT("somebody"), "");
    WAIT_FOR(world->loop, world->taken.count == 3 || world->raw.ends > 0);
    assert_int_equal(world->raw.ends, 0);
    assert_int_equal(world->taken.messages[2].len, len);
}

static int count_ended(const struct raw *raws, size_t count)
{
    int ended = 0;
    for (size_t i = 0; i < count; i++) {
        ended += raws[i].ends;
        assert_true(raws[i].ends == 0 || raws[i].status == GRPC_UNAVAILABLE);
    }
    return ended;
}

static void too_many_that_wait_for_a_judgement_are_sent_away(void **state)
{
    static const struct grpc_channel_events CALLING = {on_ready, on_closed};
    struct world *world = *state;
    struct address at = listener_local(world->listener.watch.fd);
    struct grpc_channel *channels[4];
    struct raw *others = calloc(400, sizeof(*others));
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(channels); i++) {
        struct grpc_call *call;
        world->is_ready = false;
        channels[i] = grpc_channel_open(world->loop, &at, NULL, TEXT_NONE, TEXT("localhost"),
                                        &CALLING, world);
        WAIT_FOR(world->loop, world->is_ready);
        while (count < 300 &&
               (call = grpc_start(channels[i], METHOD, raw_events(), &others[count])) != NULL)
            others[count++].call = call;
    }
    assert_int_equal(count, 300);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(grpc_send(others[i].call, TEXT("x"), 0), ERR_NONE);
    WAIT_FOR(world->loop, count_ended(others, count) == 300 + 1 - 256);
    settle(world->loop);
    assert_int_equal(count_ended(others, count), 300 + 1 - 256);
    assert_int_equal(world->raw.ends, 0);
    for (size_t i = 0; i < ARRAY_LEN(channels); i++)
        grpc_channel_free(channels[i]);
    settle(world->loop);
    for (size_t i = 0; i < count; i++)
        raw_clear(&others[i]);
    free(others);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(who_is_admitted_is_heard_from_the_first_message_on),
        WORLD(who_is_not_admitted_hears_why),
        WORLD(who_is_admitted_where_there_is_no_room_hears_so),
        WORLD(what_leaves_before_the_judgement_is_forgotten),
        WORLD(a_large_message_is_heard_whole_after_the_judgement),
        WORLD(too_many_that_wait_for_a_judgement_are_sent_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
