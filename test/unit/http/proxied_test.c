/* Serving behind a load balancer that speaks the PROXY protocol. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h1_rig.h"

static void open_proxied(struct rig *rig, struct loop *loop)
{
    int pair[2];
    struct address peer = {0};
    *rig = (struct rig){.loop = loop,
                        .settings = {.allow_h2 = true, .proxy_protocol = true, .header_ms = 50}};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    rig->fd = pair[1];
    rig->connection = http_serve(loop, pair[0], &peer, NULL, &rig->settings, &RIG_EVENTS, rig);
    assert_non_null(rig->connection);
}

static void a_request_behind_a_header_is_served(void **state)
{
    struct rig rig;
    open_proxied(&rig, *state);
    rig.body = TEXT("hello");
    rig.framing = FRAMING_LENGTH;
    rig_send(&rig, TEXT("PROXY TCP6 2001:db8::7 ::1 4711 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    rig_settle(&rig);
    char text[ADDRESS_TEXT_MAX];
    assert_string_equal(address_format(&rig.connection->stream.peer, text).data,
                        "[2001:db8::7]:4711");
    assert_int_equal(rig.complete, 1);
    builder_clear(&rig.got);
    rig_send(&rig, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); /* one header a connection */
    rig_settle(&rig);
    assert_int_equal(rig.complete, 2);
    rig_close(&rig);
}

static void refused(struct loop *loop, struct text bytes)
{
    struct rig rig;
    open_proxied(&rig, loop);
    rig_send(&rig, bytes);
    uint64_t until = clock_monotonic_ns() + 10000000000u;
    while (!rig.closed && clock_monotonic_ns() < until)
        loop_turn(loop, 20);
    rig_read(&rig);
    assert_true(rig.closed && rig.fd_ended);
    assert_int_equal(rig.got.len, 0); /* not a word to somebody who is no load balancer */
    assert_int_equal(rig.streams, 0);
    assert_int_equal(rig.refused, 1);
    assert_int_equal(rig.refused_status, 0);
    rig_close(&rig);
}

static void a_request_without_a_header_is_not(void **state)
{
    refused(*state, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
}

static void half_a_header_is_not_waited_for_longer_than_a_head(void **state)
{
    refused(*state, TEXT("PROXY TCP4 192.0.2.1 "));
}

static int open_loop(void **state)
{
    *state = loop_new(NULL);
    return *state == NULL;
}

static int close_loop(void **state)
{
    loop_free(*state);
    return 0;
}

#define ON_LOOP(name) cmocka_unit_test_setup_teardown(name, open_loop, close_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_LOOP(a_request_behind_a_header_is_served),
        ON_LOOP(a_request_without_a_header_is_not),
        ON_LOOP(half_a_header_is_not_waited_for_longer_than_a_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
