/* Plain streams over loopback. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "net/peers.h"

static void connect_pair(struct test_pair *pair)
{
    assert_int_equal(
        stream_connect(&pair->client.stream, pair->loop, &pair->address, NULL, TEXT_NONE, 5000),
        ERR_NONE);
    test_until(pair->loop,
               pair->client.stream.connected && pair->accepted && pair->server.stream.connected);
}

static void both_sides_are_told_that_they_are_connected(void **state)
{
    (void)state;
    struct test_pair pair;
    test_pair_init(&pair);
    connect_pair(&pair);
    assert_true((pair.client.events & STREAM_CONNECTED) != 0);
    assert_true((pair.server.events & STREAM_CONNECTED) != 0);
    struct address server = stream_local(&pair.server.stream);
    struct address client = stream_local(&pair.client.stream);
    assert_true(address_equal(&pair.client.stream.peer, &server));
    assert_true(address_equal(&pair.server.stream.peer, &client));
    assert_null(stream_tls_version(&pair.client.stream));
    uint32_t uid;
    assert_false(stream_peer_uid(&pair.client.stream, &uid));
    int on = 0;
    socklen_t len = sizeof(on);
    assert_int_equal(getsockopt(pair.server.stream.watch.fd, IPPROTO_TCP, TCP_NODELAY, &on, &len),
                     0);
    assert_int_equal(on, 1); /* inherited */
    test_pair_fini(&pair);
}

static void much_data_passes_both_ways_under_back_pressure(void **state)
{
    (void)state;
    struct test_pair pair;
    test_pair_init(&pair);
    enum { BYTES = 12 << 20 };
    test_send_pattern(&pair.client, &pair.server, BYTES, 1);
    test_send_pattern(&pair.server, &pair.client, BYTES, 2);
    pair.client.read_max = 5000; /* little at a time */
    pair.server.read_max = 50000;
    pair.client.paused = true;
    connect_pair(&pair);
    test_until(pair.loop, pair.server.stream.write_blocked); /* nobody reads */
    assert_true(pair.server.written_bytes < BYTES);
    pair.client.paused = false;
    stream_resume(&pair.client.stream);
    test_until(pair.loop, pair.client.read_bytes == BYTES && pair.server.read_bytes == BYTES);
    test_pair_fini(&pair);
}

static void a_half_closed_stream_still_answers(void **state)
{
    (void)state;
    struct test_pair pair;
    test_pair_init(&pair);
    test_send_pattern(&pair.client, &pair.server, 80000, 3);
    pair.client.end_when_written = true;
    connect_pair(&pair);
    test_until(pair.loop, pair.server.ended);
    assert_int_equal(pair.server.read_bytes, 80000);
    test_send_pattern(&pair.server, &pair.client, 160000, 4);
    pair.server.end_when_written = true;
    test_peer_write(&pair.server);
    test_until(pair.loop, pair.client.ended);
    assert_int_equal(pair.client.read_bytes, 160000);
    test_pair_fini(&pair);
}

/* The data and the FIN are there before the first read: one edge for both. */
static void the_end_is_found_after_a_short_read(void **state)
{
    (void)state;
    struct test_pair pair;
    test_pair_init(&pair);
    connect_pair(&pair);
    pair.server.paused = true;
    test_send_pattern(&pair.client, &pair.server, 800, 3);
    pair.client.end_when_written = true;
    test_peer_write(&pair.client);
    test_until(pair.loop, pair.server.stream.end_told);
    pair.server.paused = false;
    stream_resume(&pair.server.stream);
    test_until(pair.loop, pair.server.ended);
    assert_int_equal(pair.server.read_bytes, 800);
    test_pair_fini(&pair);
}

static void bytes_behind_the_buffer_are_written_too(void **state)
{
    (void)state;
    struct test_pair pair;
    test_pair_init(&pair);
    connect_pair(&pair);
    size_t taken;
    buffer_add(&pair.client.out, "head ", 5);
    assert_int_equal(
        stream_write_more(&pair.client.stream, &pair.client.out, TEXT("and body"), &taken),
        ERR_NONE);
    assert_int_equal(taken, 8);
    assert_int_equal(buffer_len(&pair.client.out), 0);
    test_until(pair.loop, pair.server.read_bytes == 13);
    assert_true(text_is(buffer_text(&pair.server.in), "head and body"));
    test_pair_fini(&pair);
}

static void a_reset_is_an_error_of_the_read(void **state)
{
    (void)state;
    struct test_pair pair;
    test_pair_init(&pair);
    connect_pair(&pair);
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(
        setsockopt(pair.client.stream.watch.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    stream_close(&pair.client.stream);
    test_until(pair.loop, pair.server.read_err != ERR_NONE);
    assert_int_equal(pair.server.read_err, ERR_SYSTEM);
    assert_true(pair.server.stream.broken);
    assert_string_equal(pair.server.stream.why, "read: reset by peer");
    buffer_add(&pair.server.out, "x", 1);
    assert_int_equal(stream_write(&pair.server.stream, &pair.server.out), ERR_SYSTEM);
    test_pair_fini(&pair);
}

static void a_refused_connect_says_so(void **state)
{
    (void)state;
    struct test_pair pair;
    test_pair_init(&pair);
    listener_close(&pair.listener);
    enum err err =
        stream_connect(&pair.client.stream, pair.loop, &pair.address, NULL, TEXT_NONE, 5000);
    if (err == ERR_NONE) { /* the kernel may know at once */
        test_until(pair.loop, pair.client.events == STREAM_FAILED);
        err = pair.client.stream.err;
    }
    assert_int_equal(err, ERR_REFUSED);
    assert_string_equal(pair.client.stream.why, "connect: refused");
    test_pair_fini(&pair);
}

/* A listener with a full backlog lets no one in: the connect hangs. */
static void a_connect_that_hangs_times_out(void **state)
{
    (void)state;
    struct test_pair pair;
    test_pair_init(&pair);
    struct address any;
    assert_true(address_parse_endpoint(TEXT("127.0.0.1:0"), &any));
    int fd = listener_open(&any, true);
    assert_int_equal(listen(fd, 0), 0);
    struct address full = listener_local(fd);
    struct test_peer fillers[8];
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++) {
        test_peer_init(&fillers[i], pair.loop);
        assert_int_equal(
            stream_connect(&fillers[i].stream, pair.loop, &full, NULL, TEXT_NONE, 60000), ERR_NONE);
    }
    uint64_t began = loop_now_ms(pair.loop);
    assert_int_equal(stream_connect(&pair.client.stream, pair.loop, &full, NULL, TEXT_NONE, 150),
                     ERR_NONE);
    test_until(pair.loop, pair.client.events != 0);
    assert_int_equal(pair.client.events, STREAM_FAILED);
    assert_int_equal(pair.client.stream.err, ERR_TIMEOUT);
    assert_string_equal(pair.client.stream.why, "connect: timed out");
    assert_true(loop_now_ms(pair.loop) - began >= 149);
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
        stream_close(&fillers[i].stream);
    close(fd);
    test_pair_fini(&pair);
}

static void closing_twice_or_before_the_start_is_harmless(void **state)
{
    (void)state;
    struct stream stream = {0};
    stream_close(&stream);
    stream_end_write(&stream);
    stream_resume(&stream);
    struct test_pair pair;
    test_pair_init(&pair);
    connect_pair(&pair);
    stream_close(&pair.client.stream);
    stream_close(&pair.client.stream);
    assert_int_equal(stream_write(&pair.client.stream, &pair.client.out), ERR_SYSTEM);
    assert_int_equal(stream_read(&pair.client.stream, &pair.client.in, 10), ERR_SYSTEM);
    test_until(pair.loop, pair.server.ended);
    test_pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_are_told_that_they_are_connected),
        cmocka_unit_test(much_data_passes_both_ways_under_back_pressure),
        cmocka_unit_test(a_half_closed_stream_still_answers),
        cmocka_unit_test(the_end_is_found_after_a_short_read),
        cmocka_unit_test(bytes_behind_the_buffer_are_written_too),
        cmocka_unit_test(a_reset_is_an_error_of_the_read),
        cmocka_unit_test(a_refused_connect_says_so),
        cmocka_unit_test(a_connect_that_hangs_times_out),
        cmocka_unit_test(closing_twice_or_before_the_start_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
