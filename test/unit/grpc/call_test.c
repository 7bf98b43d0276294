/* Calls between our two ends: one message, streams, sizes, flow control, every kind of end. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/rig.h"

static void one_message_comes_back(void **state)
{
    (void)state;
    for (int local = 0; local < 2; local++) {
        struct test_rig *rig = test_rig_new(local);
        struct test_call *call = test_start(rig, "/test.Echo/Echo");
        test_send(call, "hello");
        grpc_finish(call->call, GRPC_OK, "");
        TEST_UNTIL(rig, call->ended);
        assert_int_equal(call->status, GRPC_OK);
        assert_int_equal(call->messages, 1);
        assert_int_equal(call->bytes, 5);
        assert_int_equal(call->sum, test_sum(0, TEXT("hello")));
        TEST_UNTIL(rig, rig->served[0].ended);
        assert_int_equal(rig->served[0].status, GRPC_OK);
        test_rig_free(rig);
    }
}

static void a_stream_carries_messages_both_ways_while_it_is_open(void **state)
{
    (void)state;
    struct test_rig *rig = test_rig_new(true);
    struct test_call *call = test_start(rig, "/test.Echo/Echo");
    char text[32];
    for (uint32_t i = 1; i <= 300; i++) {
        snprintf(text, sizeof(text), "message %u", i);
        test_send(call, text);
        if (i % 3 == 0)
            TEST_UNTIL(rig, call->messages == i);
    }
    assert_int_equal(call->ended, 0);
    test_send(call, ""); /* an empty message is one */
    TEST_UNTIL(rig, call->messages == 301);
    grpc_finish(call->call, GRPC_OK, "");
    TEST_UNTIL(rig, call->ended);
    assert_int_equal(call->status, GRPC_OK);
    assert_int_equal(call->sum, rig->served[0].sum);
    test_rig_free(rig);
}

static void many_calls_share_one_connection(void **state)
{
    (void)state;
    struct test_rig *rig = test_rig_new(false);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < TEST_CALLS; i++) {
            struct test_call *call = test_start(rig, "/test.Echo/Echo");
            test_send(call, "one of many");
            grpc_finish(call->call, GRPC_OK, "");
        }
        for (int i = 0; i < TEST_CALLS; i++) {
            TEST_UNTIL(rig, rig->client[i].ended);
            assert_int_equal(rig->client[i].status, GRPC_OK);
            assert_int_equal(rig->client[i].messages, 1);
        }
    }
    assert_int_equal(grpc_server_connections(rig->server), 1);
    assert_int_equal(rig->asked, 1);
    test_rig_free(rig);
}

static void large_messages_go_through_small_windows(void **state)
{
    (void)state;
    struct test_rig *rig = test_rig_new(false);
    struct test_call *call = test_start(rig, "/test.Echo/Echo");
    size_t len = 3500000;
    char *bytes = memory_alloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 2654435761u >> 11);
    for (int i = 0; i < 3; i++)
        assert_int_equal(grpc_send(call->call, text_from(bytes, len), 0), ERR_NONE);
    assert_true(call->call->queued_bytes > 2 * len);
    grpc_finish(call->call, GRPC_OK, "");
    TEST_UNTIL(rig, call->ended);
    assert_int_equal(call->status, GRPC_OK);
    assert_int_equal(call->bytes, 3 * len);
    uint32_t sum = 0;
    for (int i = 0; i < 3; i++)
        sum = test_sum(sum, text_from(bytes, len));
    assert_int_equal(call->sum, sum);
    free(bytes);
    test_rig_free(rig);
}

static void a_sender_is_held_back_by_the_receiver(void **state)
{
    (void)state;
    struct test_rig *rig = test_rig_new(true);
    struct test_call *call = test_start(rig, "/test.Echo/Flood");
    test_send(call, "200 100000");
    TEST_UNTIL(rig, call->ended);
    assert_int_equal(call->status, GRPC_OK);
    assert_int_equal(call->messages, 200);
    struct test_call *served = &rig->served[0];
    assert_int_equal(call->sum, served->sum);
    assert_true(served->sent_events > 10);
    assert_true(served->queued_max <= 100005);
    test_rig_free(rig);
}

static void a_queue_has_a_bound(void **state)
{
    (void)state;
    struct test_rig *rig = test_rig_new(true);
    struct test_call *call = test_start(rig, "/test.Echo/Silent");
    char *bytes = memory_alloc(1000000);
    enum err err = ERR_NONE;
    for (int i = 0; i < 10 && err == ERR_NONE; i++)
        err = grpc_send(call->call, text_from(bytes, 1000000), 2000000);
    assert_int_equal(err, ERR_LIMIT);
    assert_true(call->call->queued_bytes < 3200000);
    TEST_UNTIL(rig, call->call->queued_bytes == 0);
    assert_int_equal(call->sent_events, 1);
    assert_int_equal(grpc_send(call->call, text_from(bytes, 1000), 2000000), ERR_NONE);
    free(bytes);
    test_rig_free(rig);
}

static void a_status_and_its_words_reach_the_caller(void **state)
{
    (void)state;
    struct test_rig *rig = test_rig_new(true);
    struct test_call *call = test_start(rig, "/test.Echo/Fail");
    test_send(call, "x");
    TEST_UNTIL(rig, call->ended);
    assert_int_equal(call->status, GRPC_NOT_FOUND);
    assert_string_equal(call->text, " 100% \"gone\" \xc3\xbc\r\n");
    call = test_start(rig, "/test.Echo/Reject");
    TEST_UNTIL(rig, call->ended);
    assert_int_equal(call->status, GRPC_INVALID_ARGUMENT);
    assert_string_equal(call->text, "no");
    test_rig_free(rig);
}

/* In the middle of a message that the server does not want to the end. */
static void a_status_behind_a_queue_outlives_what_the_caller_still_says(void **state)
{
    (void)state;
    struct test_rig *rig = test_rig_new(true);
    struct test_call *call = test_start(rig, "/test.Echo/Silent");
    char *bytes = memory_alloc(3000000);
    assert_int_equal(grpc_send(call->call, text_from(bytes, 3000000), 0), ERR_NONE);
    grpc_finish(call->call, GRPC_OK, "");
    TEST_UNTIL(rig, rig->served_count == 1 && rig->served[0].call->stream->bytes_read > 0);
    assert_int_equal(rig->served[0].messages, 0);
    struct grpc_call *served = rig->served[0].call;
    for (int i = 0; i < 4; i++) /* the caller is done first */
        assert_int_equal(grpc_send(served, text_from(bytes, 3000000), 0), ERR_NONE);
    grpc_finish(served, GRPC_NOT_FOUND, "behind it");
    TEST_UNTIL(rig, call->ended && rig->served[0].ended);
    assert_int_equal(call->status, GRPC_NOT_FOUND);
    assert_string_equal(call->text, "behind it");
    assert_int_equal(call->bytes, 4 * 3000000);
    assert_int_equal(rig->served[0].status, GRPC_NOT_FOUND);
    free(bytes);
    test_rig_free(rig);
}

static void an_unknown_method_is_unimplemented(void **state)
{
    (void)state;
    struct test_rig *rig = test_rig_new(true);
    struct test_call *call = test_start(rig, "/test.Echo/Nothing");
    test_send(call, "x");
    TEST_UNTIL(rig, call->ended);
    assert_int_equal(call->status, GRPC_UNIMPLEMENTED);
    call = test_start(rig, "/test.Echo/Echo");
    test_send(call, "the connection lives on");
    grpc_finish(call->call, GRPC_OK, "");
    TEST_UNTIL(rig, call->ended);
    assert_int_equal(call->status, GRPC_OK);
    test_rig_free(rig);
}

static void a_message_over_the_limit_exhausts_the_resource(void **state)
{
    (void)state;
    struct test_rig *rig = test_rig_new(true);
    struct test_call *call = test_start(rig, "/test.Echo/Silent");
    size_t len = LIMIT_GRPC_MESSAGE + 1;
    char *bytes = memory_alloc(len);
    assert_int_equal(grpc_send(call->call, text_from(bytes, len), 0), ERR_NONE);
    TEST_UNTIL(rig, call->ended);
    assert_int_equal(call->status, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(rig->served[0].messages, 0);
    call = test_start(rig, "/test.Echo/Flood");
    call->call->receive_max = 1000;
    test_send(call, "2 1001");
    TEST_UNTIL(rig, call->ended);
    assert_int_equal(call->status, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(call->messages, 0);
    free(bytes);
    test_rig_free(rig);
}

static void a_cancelled_call_ends_on_both_sides(void **state)
{
    (void)state;
    struct test_rig *rig = test_rig_new(true);
    struct test_call *call = test_start(rig, "/test.Echo/Silent");
    test_send(call, "x");
    TEST_UNTIL(rig, rig->served_count == 1 && rig->served[0].messages == 1);
    grpc_cancel(call->call);
    TEST_UNTIL(rig, call->ended && rig->served[0].ended);
    assert_int_equal(call->status, GRPC_CANCELLED);
    assert_int_equal(rig->served[0].status, GRPC_CANCELLED);
    call = test_start(rig, "/test.Echo/Silent");
    test_send(call, "x");
    TEST_UNTIL(rig, rig->served_count == 2);
    grpc_cancel(rig->served[1].call);
    TEST_UNTIL(rig, call->ended && rig->served[1].ended);
    assert_int_equal(rig->served[1].status, GRPC_CANCELLED);
    test_rig_free(rig);
}

static void a_lost_connection_makes_calls_unavailable_before_the_channel_ends(void **state)
{
    (void)state;
    struct test_rig *rig = test_rig_new(false);
    struct test_call *call = test_start(rig, "/test.Echo/Silent");
    test_send(call, "x");
    TEST_UNTIL(rig, rig->served_count == 1);
    grpc_server_free(rig->server);
    rig->server = NULL;
    TEST_UNTIL(rig, rig->closed);
    assert_int_equal(call->ended, 1);
    assert_int_equal(call->status, GRPC_UNAVAILABLE);
    assert_int_equal(rig->served[0].ended, 1);
    assert_null(grpc_start(rig->channel, "/test.Echo/Echo", &TEST_CLIENT, call));
    test_rig_free(rig);
}

static void a_connection_that_may_not_call_is_told_so(void **state)
{
    (void)state;
    struct test_rig *rig = test_rig_new(true);
    rig->allow = false;
    struct test_call *call = test_start(rig, "/test.Echo/Echo");
    test_send(call, "x");
    TEST_UNTIL(rig, call->ended);
    assert_int_equal(call->status, GRPC_PERMISSION_DENIED);
    TEST_UNTIL(rig, rig->closed);
    assert_int_equal(rig->served_count, 0);
    test_rig_free(rig);
}

static void nobody_listening_closes_the_channel(void **state)
{
    (void)state;
    struct test_rig *rig = test_rig_new(false);
    grpc_channel_free(rig->channel);
    listener_close(&rig->listener);
    loop_turn(rig->loop, 0);
    rig->ready = rig->closed = false;
    rig->channel = grpc_channel_open(rig->loop, &rig->address, NULL, TEXT_NONE, TEXT("test"),
                                     &TEST_CHANNEL, rig);
    assert_null(grpc_start(rig->channel, "/test.Echo/Echo", &TEST_CLIENT, NULL));
    TEST_UNTIL(rig, rig->closed);
    assert_false(rig->ready);
    test_rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_message_comes_back),
        cmocka_unit_test(a_stream_carries_messages_both_ways_while_it_is_open),
        cmocka_unit_test(many_calls_share_one_connection),
        cmocka_unit_test(large_messages_go_through_small_windows),
        cmocka_unit_test(a_sender_is_held_back_by_the_receiver),
        cmocka_unit_test(a_queue_has_a_bound),
        cmocka_unit_test(a_status_and_its_words_reach_the_caller),
        cmocka_unit_test(a_status_behind_a_queue_outlives_what_the_caller_still_says),
        cmocka_unit_test(an_unknown_method_is_unimplemented),
        cmocka_unit_test(a_message_over_the_limit_exhausts_the_resource),
        cmocka_unit_test(a_cancelled_call_ends_on_both_sides),
        cmocka_unit_test(a_lost_connection_makes_calls_unavailable_before_the_channel_ends),
        cmocka_unit_test(a_connection_that_may_not_call_is_told_so),
        cmocka_unit_test(nobody_listening_closes_the_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
