/* Our HTTP/2 client and server against each other: plain and over TLS, bodies larger than every
 * window, trailers, resets, draining, limits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h2_pair.h"

static void a_request_is_answered_plain_and_over_tls(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct pair *pair = pair_new(tls);
        struct side *call = pair_call(pair, "GET", "/bytes/10", 0);
        PAIR_UNTIL(pair, call->closes);
        assert_int_equal(call->status, 200);
        assert_int_equal(call->received, 10);
        assert_int_equal(call->framing, FRAMING_LENGTH);
        assert_int_equal(call->content_length, 10);
        assert_int_equal(call->heads, 1);
        assert_int_equal(call->aborts + pair->served[0].aborts, 0);
        PAIR_UNTIL(pair, pair->served[0].closes);
        assert_int_equal(pair->client->stream_count + pair->server->stream_count, 0);
        assert_int_equal(pair->server->version, 20);
        pair_free(pair);
    }
}

static void large_bodies_go_both_ways_at_once(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct pair *pair = pair_new(tls);
        struct side *calls[8];
        for (size_t i = 0; i < 8; i++)
            calls[i] = pair_call(pair, "POST", "/bytes/3000000", 2000000 + i);
        for (size_t i = 0; i < 8; i++) {
            PAIR_UNTIL(pair, calls[i]->closes);
            PAIR_UNTIL(pair, pair->served[i].closes);
            assert_int_equal(calls[i]->received, 3000000);
            assert_int_equal(pair->served[i].received, 2000000 + i);
            assert_int_equal(calls[i]->sum_in, pair->served[i].sum_out);
            assert_int_equal(calls[i]->sum_out, pair->served[i].sum_in);
        }
        pair_free(pair);
    }
}

static void trailers_go_both_ways(void **state)
{
    (void)state;
    struct pair *pair = pair_new(false);
    struct side *call = pair_try(pair, "POST", "/trailers/100000", 200000, true);
    char want[64];
    PAIR_UNTIL(pair, call->closes && pair->served[0].closes);
    snprintf(want, sizeof(want), "%u", call->sum_in);
    assert_string_equal(call->trailer, want);
    snprintf(want, sizeof(want), "%u", call->sum_out);
    assert_string_equal(pair->served[0].trailer, want);
    assert_int_equal(call->framing, FRAMING_CHUNKED);
    call = pair_call(pair, "GET", "/trailers/0", 0); /* no body at all in front of them */
    PAIR_UNTIL(pair, call->closes);
    assert_string_equal(call->trailer, "0");
    pair_free(pair);
}

static void answers_without_a_body_are_known_by_their_head(void **state)
{
    (void)state;
    struct pair *pair = pair_new(false);
    struct side *call = pair_call(pair, "HEAD", "/head", 0);
    PAIR_UNTIL(pair, call->closes);
    assert_int_equal(call->content_length, 1234);
    assert_int_equal(call->received, 0);
    assert_int_equal(call->aborts, 0);
    call = pair_call(pair, "GET", "/204", 0);
    PAIR_UNTIL(pair, call->closes);
    assert_int_equal(call->status, 204);
    call = pair_call(pair, "GET", "/hints", 0);
    PAIR_UNTIL(pair, call->closes);
    assert_int_equal(call->informational, 1);
    assert_int_equal(call->status, 200);
    pair_free(pair);
}

static void a_body_that_nobody_reads_waits_in_the_window(void **state)
{
    (void)state;
    struct pair *pair = pair_new(false);
    struct side *held = pair_call(pair, "GET", "/bytes/5000000", 0);
    held->paused = true;
    struct side *other = pair_call(pair, "GET", "/bytes/3000000", 0);
    PAIR_UNTIL(pair, other->closes);
    assert_int_equal(other->received, 3000000);
    size_t waits = http_stream_peek(held->stream).len;
    assert_true(waits > 0 && waits <= LIMIT_H2_STREAM_WINDOW);
    held->paused = false;
    side_pull(held);
    PAIR_UNTIL(pair, held->closes);
    assert_int_equal(held->received, 5000000);
    assert_int_equal(held->sum_in, pair->served[0].sum_out);
    pair_free(pair);
}

static void a_full_connection_says_when_it_can_carry_more(void **state)
{
    (void)state;
    struct pair *pair = pair_new(false);
    uint32_t count = 0;
    while (pair_try(pair, "GET", "/silent", 0, false) != NULL)
        count++;
    assert_int_equal(count, LIMIT_H2_STREAMS);
    assert_false(http_can_open(pair->client));
    PAIR_UNTIL(pair, pair->served_count == count);
    assert_int_equal(pair->ready, 1);
    http_stream_reset(pair->called[7].stream, ERR_CLOSED);
    PAIR_UNTIL(pair, pair->ready == 2);
    PAIR_UNTIL(pair, pair->served[7].closes);
    assert_int_equal(pair->served[7].err, ERR_CLOSED);
    pair->called_count = 7;
    struct side *call = pair_call(pair, "GET", "/bytes/1", 0);
    pair->served_count = 7;
    PAIR_UNTIL(pair, call->closes);
    assert_int_equal(call->status, 200);
    pair_free(pair);
}

static void resets_are_told_with_their_reason(void **state)
{
    (void)state;
    struct pair *pair = pair_new(false);
    struct side *call = pair_call(pair, "POST", "/refuse", 100);
    PAIR_UNTIL(pair, call->closes);
    assert_int_equal(call->err, ERR_REFUSED);
    assert_string_equal(call->why, "h2: REFUSED_STREAM");
    assert_int_equal(pair->served[0].aborts, 0); /* it knows */
    call = pair_call(pair, "POST", "/silent", 100);
    PAIR_UNTIL(pair, pair->served_count == 2);
    http_stream_reset(call->stream, ERR_TIMEOUT);
    PAIR_UNTIL(pair, call->closes && pair->served[1].closes);
    assert_int_equal(call->aborts, 0);
    assert_int_equal(pair->served[1].aborts, 1);
    assert_int_equal(pair->served[1].err, ERR_CLOSED);
    assert_null(pair->served[1].stream);
    call = pair_call(pair, "GET", "/bytes/5", 0);
    PAIR_UNTIL(pair, call->closes);
    assert_int_equal(call->received, 5);
    pair_free(pair);
}

static void an_answer_may_come_before_its_request_has_ended(void **state)
{
    (void)state;
    struct pair *pair = pair_new(false);
    struct side *call = pair_call(pair, "POST", "/early", 50000000);
    PAIR_UNTIL(pair, call->closes);
    assert_int_equal(call->status, 200);
    assert_int_equal(call->aborts, 0);
    assert_true(call->to_send > 0);
    PAIR_UNTIL(pair, pair->served[0].closes);
    call = pair_call(pair, "GET", "/bytes/5", 0);
    PAIR_UNTIL(pair, call->closes);
    assert_int_equal(call->received, 5);
    pair_free(pair);
}

static void a_draining_server_lets_streams_end_and_takes_no_more(void **state)
{
    (void)state;
    struct pair *pair = pair_new(false);
    struct side *call = pair_call(pair, "POST", "/bytes/100000", 10);
    call->keep_open = true;
    struct side *late = pair_call(pair, "GET", "/pause", 0);
    PAIR_UNTIL(pair, pair->served_count == 2);
    http_drain(pair->server, 0);
    http_drain(pair->server, 0); /* twice is once */
    PAIR_UNTIL(pair, pair->client->draining);
    assert_false(http_can_open(pair->client));
    assert_null(http_open(pair->client));
    pair->served[1].paused = false;
    snprintf(pair->served[1].path, sizeof(pair->served[1].path), "/bytes/70000");
    side_answer(&pair->served[1]);
    PAIR_UNTIL(pair, late->closes && call->closes);
    assert_int_equal(late->received, 70000);
    assert_int_equal(call->received, 100000);
    assert_int_equal(late->aborts + call->aborts, 0);
    PAIR_UNTIL(pair, pair->server == NULL && pair->client == NULL);
    assert_int_equal(pair->server_err, ERR_NONE);
    pair_free(pair);
}

static void an_idle_connection_drains_at_once(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        struct pair *pair = pair_new(false);
        struct side *call = pair_call(pair, "GET", "/bytes/5", 0);
        PAIR_UNTIL(pair, call->closes);
        http_drain(side == 0 ? pair->server : pair->client, 0);
        PAIR_UNTIL(pair, pair->server == NULL && pair->client == NULL);
        pair_free(pair);
    }
}

/* The client asks before it has read the notice: RFC 9113 6.8. */
static void a_call_that_crosses_the_notice_of_an_idle_connection_is_served(void **state)
{
    (void)state;
    struct pair *pair = pair_new(false);
    struct side *call = pair_call(pair, "GET", "/bytes/5", 0);
    PAIR_UNTIL(pair, call->closes);
    call = pair_call(pair, "GET", "/bytes/7", 0);
    http_drain(pair->server, 0);
    PAIR_UNTIL(pair, call->closes);
    assert_int_equal(call->status, 200);
    assert_int_equal(call->received, 7);
    PAIR_UNTIL(pair, pair->server == NULL && pair->client == NULL);
    pair_free(pair);
}

static void a_draining_client_closes_behind_its_last_answer(void **state)
{
    (void)state;
    struct pair *pair = pair_new(false);
    struct side *call = pair_call(pair, "GET", "/bytes/1000000", 0);
    http_drain(pair->client, 0);
    assert_null(http_open(pair->client));
    PAIR_UNTIL(pair, call->closes);
    assert_int_equal(call->received, 1000000);
    PAIR_UNTIL(pair, pair->client == NULL);
    assert_int_equal(pair->client_err, ERR_NONE);
    pair_free(pair);
}

static void the_end_of_a_connection_ends_every_stream_first(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        struct pair *pair = pair_new(false);
        for (int i = 0; i < 10; i++)
            pair_call(pair, "POST", "/silent", 1000);
        PAIR_UNTIL(pair, pair->served_count == 10);
        http_close(side == 0 ? pair->server : pair->client, ERR_SYSTEM);
        PAIR_UNTIL(pair, pair->server == NULL && pair->client == NULL);
        for (int i = 0; i < 10; i++) {
            assert_int_equal(pair->called[i].aborts, 1);
            assert_int_equal(pair->called[i].closes, 1);
            assert_int_equal(pair->served[i].aborts, 1);
            assert_int_equal(pair->served[i].closes, 1);
        }
        pair_free(pair);
    }
}

static void a_complete_answer_outlives_its_connection(void **state)
{
    (void)state;
    struct pair *pair = pair_new(false);
    struct side *call = pair_call(pair, "GET", "/bytes/60000", 0);
    call->paused = true;
    PAIR_UNTIL(pair, pair->served[0].closes);
    PAIR_UNTIL(pair, http_stream_peek(call->stream).len == 60000);
    http_close(pair->server, ERR_NONE);
    PAIR_UNTIL(pair, pair->server == NULL);
    for (int i = 0; i < 5; i++)
        loop_turn(pair->loop, 1);
    assert_non_null(pair->client);
    call->paused = false;
    side_pull(call);
    PAIR_UNTIL(pair, call->closes);
    assert_int_equal(call->aborts, 0);
    assert_int_equal(call->received, 60000);
    PAIR_UNTIL(pair, pair->client == NULL);
    pair_free(pair);
}

static void a_peer_that_reads_nothing_of_a_stream_is_given_up(void **state)
{
    (void)state;
    struct pair *pair = pair_new(false);
    pair->server_settings.write_ms = 80;
    struct side *call = pair_call(pair, "GET", "/bytes/500000", 0);
    call->paused = true;
    PAIR_UNTIL(pair, call->closes);
    assert_int_equal(pair->served[0].err, ERR_TIMEOUT);
    assert_string_equal(pair->served[0].why, "h2: stream window stalled");
    assert_int_equal(call->aborts, 1);
    assert_non_null(pair->client);
    pair_free(pair);
}

static void a_dead_peer_is_found_by_a_ping(void **state)
{
    (void)state;
    struct pair *pair = pair_new(false);
    http_close(pair->client, ERR_NONE);
    PAIR_UNTIL(pair, pair->client == NULL && pair->server == NULL);
    pair->settings.ping_ms = 40;
    pair_connect(pair);
    struct side *call = pair_call(pair, "GET", "/silent", 0);
    uint64_t until = loop_now_ms(pair->loop) + 300;
    while (loop_now_ms(pair->loop) < until) /* an honest peer answers pings */
        loop_turn(pair->loop, 20);
    assert_non_null(pair->client);
    struct http_connection *server = pair->server;
    loop_unwatch(pair->loop, &server->stream.watch); /* deaf from now on */
    PAIR_UNTIL(pair, pair->client == NULL);
    assert_int_equal(pair->client_err, ERR_TIMEOUT);
    assert_string_equal(pair->client_why, "h2: ping unanswered");
    assert_int_equal(call->aborts, 1);
    pair_free(pair);
}

static void thousands_of_requests_reuse_the_streams(void **state)
{
    (void)state;
    struct pair *pair = pair_new(false);
    for (uint32_t i = 0; i < 5000; i++) {
        struct side *call = pair_call(pair, i % 2 ? "POST" : "GET", "/bytes/100", i % 2 ? 50 : 0);
        if (i % 20 != 19)
            continue;
        PAIR_UNTIL(pair, call->closes);
        for (uint32_t k = 0; k < PAIR_SIDES; k++)
            PAIR_UNTIL(pair, pair->called[k].stream == NULL && pair->served[k].stream == NULL);
        assert_int_equal(call->received, 100);
    }
    assert_int_equal(pair->client->request_count, 5000);
    assert_int_equal(pair->server->request_count, 5000);
    pair_free(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered_plain_and_over_tls),
        cmocka_unit_test(large_bodies_go_both_ways_at_once),
        cmocka_unit_test(trailers_go_both_ways),
        cmocka_unit_test(answers_without_a_body_are_known_by_their_head),
        cmocka_unit_test(a_body_that_nobody_reads_waits_in_the_window),
        cmocka_unit_test(a_full_connection_says_when_it_can_carry_more),
        cmocka_unit_test(resets_are_told_with_their_reason),
        cmocka_unit_test(an_answer_may_come_before_its_request_has_ended),
        cmocka_unit_test(a_draining_server_lets_streams_end_and_takes_no_more),
        cmocka_unit_test(an_idle_connection_drains_at_once),
        cmocka_unit_test(a_call_that_crosses_the_notice_of_an_idle_connection_is_served),
        cmocka_unit_test(a_draining_client_closes_behind_its_last_answer),
        cmocka_unit_test(the_end_of_a_connection_ends_every_stream_first),
        cmocka_unit_test(a_complete_answer_outlives_its_connection),
        cmocka_unit_test(a_peer_that_reads_nothing_of_a_stream_is_given_up),
        cmocka_unit_test(a_dead_peer_is_found_by_a_ping),
        cmocka_unit_test(thousands_of_requests_reuse_the_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
