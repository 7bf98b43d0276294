/* Serving over HTTP/1: reuse, pipelining, continuation, framing of answers, tunnels, draining,
 * timeouts, and what an idle connection costs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h1_rig.h"

static struct loop *loop;

static bool got(const struct rig *rig, const char *bytes)
{
    return rig->got.len > 0 && memmem(rig->got.data, rig->got.len, bytes, strlen(bytes)) != NULL;
}

static void send_settle(struct rig *rig, const char *bytes)
{
    rig_send(rig, text_of(bytes));
    rig_settle(rig);
}

static void a_connection_serves_one_request_after_another(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, loop);
    rig.body = TEXT("hello");
    rig.framing = FRAMING_LENGTH;
    for (uint32_t i = 1; i <= 5; i++) {
        builder_clear(&rig.got);
        send_settle(&rig, "GET /a?b HTTP/1.1\r\nHost: a\r\nCookie: c\r\n\r\n");
        assert_true(
            text_is(builder_text(&rig.got), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"));
        assert_int_equal(rig.complete, i);
        assert_int_equal(rig.streams_closed, i);
    }
    assert_true(rig_saw(&rig, TEXT("GET /a?b HTTP/1.1 host=a\nCookie: c\n")));
    rig_close(&rig);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct rig rig;
    struct builder many = {0};
    rig_open(&rig, loop);
    rig.body = TEXT("hello");
    rig.framing = FRAMING_CHUNKED;
    for (int i = 0; i < 100; i++)
        builder_printf(&many, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", i);
    rig_send(&rig, builder_text(&many));
    for (int i = 0; i < 20 && rig.complete < 100; i++)
        rig_settle(&rig);
    assert_int_equal(rig.complete, 100);
    assert_int_equal(rig.streams_closed, 100);
    size_t one = sizeof("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
                        "5\r\nhello\r\n0\r\n\r\n") -
                 1;
    assert_int_equal(rig.got.len, 100 * one);
    builder_fini(&many);
    rig_close(&rig);
}

static void unread_pipelined_bytes_are_bounded(void **state)
{
    (void)state;
    struct rig rig;
    static char block[65536];
    rig_open(&rig, loop);
    rig.hold = true;
    send_settle(&rig, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    memset(block, 'x', sizeof(block));
    for (int i = 0; i < 64; i++) {
        (void)!send(rig.fd, block, sizeof(block), MSG_NOSIGNAL | MSG_DONTWAIT);
        loop_turn(loop, 0);
    }
    assert_true(loop_buffers(loop)->lent_bytes <= 4 * 65536);
    rig_answer(&rig, rig.stream);
    rig_turn_until(&rig, &rig.fd_ended);
    assert_true(got(&rig, "HTTP/1.1 200 OK") && got(&rig, "HTTP/1.1 501 Not Implemented"));
    rig_close(&rig);
}

static void the_client_is_told_to_continue_only_when_its_body_is_wanted(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, loop);
    send_settle(&rig, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                      "Content-Length: 5\r\n\r\n");
    assert_true(text_is(builder_text(&rig.got), "HTTP/1.1 100 Continue\r\n\r\n"));
    send_settle(&rig, "hello");
    assert_true(got(&rig, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    assert_int_equal(rig.complete, 1);
    assert_false(rig.fd_ended);
    rig_close(&rig);
}

static void answered_before_its_body_came_the_connection_closes(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, loop);
    send_settle(&rig, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nhello");
    rig_answer(&rig, rig.stream);
    rig_turn_until(&rig, &rig.fd_ended);
    assert_true(got(&rig, "connection: close\r\n"));
    assert_int_equal(rig.aborted, 0);
    assert_int_equal(rig.streams_closed, 1);
    rig_close(&rig);
}

static void answers_to_head_have_a_length_and_no_body(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, loop);
    rig.body = TEXT("hello");
    rig.framing = FRAMING_LENGTH;
    send_settle(&rig, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(text_is(builder_text(&rig.got), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"));
    assert_int_equal(rig.streams_closed, 1);
    rig_close(&rig);
}

static void old_clients_get_no_chunks(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, loop);
    rig.body = TEXT("hello");
    rig.framing = FRAMING_CHUNKED;
    send_settle(&rig, "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    assert_true(
        text_is(builder_text(&rig.got), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello"));
    assert_true(rig.fd_ended);
    rig_close(&rig);

    rig_open(&rig, loop);
    rig.body = TEXT("hello");
    rig.framing = FRAMING_LENGTH;
    send_settle(&rig, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_true(got(&rig, "connection: keep-alive\r\n"));
    assert_false(rig.fd_ended);
    rig_close(&rig);
}

static void a_body_that_differs_from_its_length_is_cut(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, loop);
    rig.hold = true;
    send_settle(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    struct message head;
    message_init(&head);
    head.status = 200;
    head.framing = FRAMING_LENGTH;
    head.content_length = 10;
    http_stream_send_head(rig.stream, &head, false);
    assert_int_equal(http_stream_write(rig.stream, TEXT("hello"), true), 5);
    rig_turn_until(&rig, &rig.fd_ended);
    assert_true(got(&rig, "content-length: 10\r\n\r\nhello"));
    rig_close(&rig);
}

static void fields_that_could_end_a_line_are_not_written(void **state)
{
    (void)state;
    struct rig rig;
    struct arena arena;
    struct message head;
    arena_init(&arena, 0);
    rig_open(&rig, loop);
    rig.hold = true;
    send_settle(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    message_init(&head);
    head.status = 200;
    message_add(&head, &arena, TEXT("x-good"), TEXT("a\tb\xc3\xa9"));
    message_add(&head, &arena, TEXT("x-bad"), TEXT("some longer value\r\nx-evil: 1"));
    message_add(&head, &arena, TEXT("connection"), TEXT("x-good"));
    message_add(&head, &arena, TEXT("content-length"), TEXT("77"));
    http_stream_send_head(rig.stream, &head, true);
    rig_settle(&rig);
    assert_true(got(&rig, "x-good: a\tb\xc3\xa9\r\n"));
    assert_false(got(&rig, "evil") || got(&rig, "connection") || got(&rig, "77"));
    arena_fini(&arena);
    rig_close(&rig);
}

/* RFC 9110 5.6.2 */
static void every_byte_of_a_token_may_stand_in_a_name(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, loop);
    rig.framing = FRAMING_LENGTH;
    send_settle(&rig, "GET / HTTP/1.1\r\nHost: a\r\nx!#$%&'*+-.^_`|~9: y\r\n\r\n");
    assert_true(rig_saw(&rig, TEXT("x!#$%&'*+-.^_`|~9: y\n")));
    rig_close(&rig);
}

static void after_a_switch_both_directions_are_raw_until_both_end(void **state)
{
    (void)state;
    struct rig rig;
    struct message head;
    rig_open(&rig, loop);
    rig.hold = true;
    send_settle(&rig, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                      "Sec-WebSocket-Version: 13\r\n\r\n");
    assert_true(rig.stream->head.wants_upgrade);
    message_init(&head);
    head.status = 101;
    head.upgrade = TEXT("websocket");
    http_stream_send_head(rig.stream, &head, false);
    assert_int_equal(http_stream_write(rig.stream, TEXT("raw1"), false), 4);
    send_settle(&rig, "raw2");
    assert_true(got(&rig, "connection: upgrade\r\nupgrade: websocket\r\n\r\nraw1"));
    assert_true(rig_saw(&rig, TEXT("raw2")));
    assert_int_equal(http_stream_write(rig.stream, TEXT("raw3"), true), 4);
    rig_turn_until(&rig, &rig.fd_ended); /* our half only */
    assert_int_equal(rig.streams_closed, 0);
    shutdown(rig.fd, SHUT_WR);
    rig_turn_until(&rig, &rig.closed);
    assert_int_equal(rig.streams_closed, 1);
    assert_int_equal(rig.aborted, 0);
    rig_close(&rig);
}

static void draining_ends_with_the_answer(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, loop);
    rig.hold = true;
    send_settle(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    http_drain(rig.connection, 0);
    rig_settle(&rig);
    assert_false(rig.fd_ended);
    rig_answer(&rig, rig.stream);
    rig_turn_until(&rig, &rig.fd_ended);
    assert_true(got(&rig, "connection: close\r\n"));
    rig_close(&rig);

    rig_open(&rig, loop);
    send_settle(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    http_drain(rig.connection, 0);
    rig_turn_until(&rig, &rig.closed);
    rig_close(&rig);
}

/* It was on its way when the draining began. */
static void a_request_behind_the_drain_is_answered_and_the_last(void **state)
{
    (void)state;
    struct rig rig;
    for (int used = 0; used < 2; used++) {
        rig_open(&rig, loop);
        if (used > 0)
            send_settle(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        http_drain(rig.connection, 0);
        rig_settle(&rig);
        assert_false(rig.fd_ended);
        send_settle(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        rig_turn_until(&rig, &rig.fd_ended);
        assert_true(got(&rig, "connection: close\r\n"));
        rig_close(&rig);
    }
}

static void a_body_that_does_not_come_is_a_408(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, loop);
    rig.settings.body_ms = 20;
    send_settle(&rig, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
    rig_turn_until(&rig, &rig.fd_ended);
    assert_true(got(&rig, "HTTP/1.1 408 "));
    assert_int_equal(rig.aborted, 1);
    rig_close(&rig);
}

static void an_idle_connection_closes_without_a_word(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, loop);
    rig.settings.idle_ms = 30;
    send_settle(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    builder_clear(&rig.got);
    rig_turn_until(&rig, &rig.closed);
    rig_settle(&rig);
    assert_int_equal(rig.got.len, 0);
    rig_close(&rig);
}

static void an_idle_connection_holds_no_buffers(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, loop);
    send_settle(&rig, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(rig.complete, 1);
    assert_int_equal(loop_buffers(loop)->lent_bytes, 0);
    rig_close(&rig);
}

static void a_client_that_leaves_in_the_middle_is_an_abort(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, loop);
    rig.hold = true;
    send_settle(&rig, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe");
    close(rig.fd);
    rig.fd = -1;
    rig.fd_ended = true;
    rig_turn_until(&rig, &rig.closed);
    assert_int_equal(rig.aborted, 1);
    assert_int_equal(rig.streams_closed, 1);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_serves_one_request_after_another),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(unread_pipelined_bytes_are_bounded),
        cmocka_unit_test(the_client_is_told_to_continue_only_when_its_body_is_wanted),
        cmocka_unit_test(answered_before_its_body_came_the_connection_closes),
        cmocka_unit_test(answers_to_head_have_a_length_and_no_body),
        cmocka_unit_test(old_clients_get_no_chunks),
        cmocka_unit_test(a_body_that_differs_from_its_length_is_cut),
        cmocka_unit_test(fields_that_could_end_a_line_are_not_written),
        cmocka_unit_test(every_byte_of_a_token_may_stand_in_a_name),
        cmocka_unit_test(after_a_switch_both_directions_are_raw_until_both_end),
        cmocka_unit_test(draining_ends_with_the_answer),
        cmocka_unit_test(a_request_behind_the_drain_is_answered_and_the_last),
        cmocka_unit_test(a_body_that_does_not_come_is_a_408),
        cmocka_unit_test(an_idle_connection_closes_without_a_word),
        cmocka_unit_test(an_idle_connection_holds_no_buffers),
        cmocka_unit_test(a_client_that_leaves_in_the_middle_is_an_abort),
    };
    loop = loop_new(NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return failed;
}
