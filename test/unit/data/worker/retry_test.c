/* Tries after the first: what is repeated, where, with which body, and when it stops. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "peers.h"

static uint16_t CODES[] = {500, 503};

static void open_rig(struct rig *rig, uint32_t endpoints, uint32_t attempts)
{
    rig_open(rig, endpoints);
    rig->retry = (struct retry_policy){
        .attempts = attempts, .codes = CODES, .code_count = ARRAY_LEN(CODES), .backoff_ms = 1};
}

/* The next request at that backend, answered so; `words` must be in it. */
static void serve(struct rig *rig, int at, const char *words, const char *status)
{
    char answer[128];
    struct rig_peer backend = rig_accept(rig, at);
    rig_expect(rig, &backend, words);
    snprintf(answer, sizeof(answer), "HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\nok", status);
    rig_send(rig, &backend, text_of(answer));
    for (int i = 0; i < 5; i++)
        rig_turn(rig);
    rig_close_peer(&backend);
}

static void a_short_body_is_sent_again_whole(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 1, 3);
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
    for (int i = 0; i < 3; i++)
        serve(&rig, 0, "content-length: 5\r\n\r\nhello", i < 2 ? "503 No" : "200 OK");
    rig_expect(&rig, &client, "HTTP/1.1 200 OK");
    rig_close_peer(&client);
    rig_close(&rig);
}

static void what_came_late_follows_what_is_sent_again(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 1, 3);
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client,
             TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"));
    serve(&rig, 0, "3\r\none\r\n", "500 No");
    rig_send(&rig, &client, TEXT("3\r\ntwo\r\n0\r\nx-sum: 6\r\n\r\n"));
    serve(&rig, 0, "x-sum: 6\r\n\r\n", "500 No");
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "onetwo");
    rig_expect(&rig, &backend, "\r\n0\r\nx-sum: 6\r\n\r\n");
    rig_send(&rig, &backend, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    rig_expect(&rig, &client, "HTTP/1.1 200 OK");
    rig_close_peer(&backend);
    rig_close_peer(&client);
    rig_close(&rig);
}

static void no_retry_begins_after_the_budget(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 1, 100);
    rig.retry.backoff_ms = 40;
    rig.retry.budget_ms = 60; /* the second pause, of 80 ms or more, ends behind it */
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    int tries = 0;
    while (!rig_has(&client, "HTTP/1.1 503")) {
        int fd = accept4(rig.listening[0], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        rig_turn(&rig);
        rig_read(&client);
        if (fd < 0)
            continue;
        struct rig_peer backend = {.fd = fd};
        rig_expect(&rig, &backend, "\r\n\r\n");
        rig_send(&rig, &backend,
                 TEXT("HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
        rig_close_peer(&backend);
        tries++;
    }
    assert_in_range(tries, 1, 3);
    rig_close_peer(&client);
    rig_close(&rig);
}

static void a_body_too_long_to_keep_is_not_sent_again(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 1, 3);
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    struct builder body = {0};
    for (size_t i = 0; i < LIMIT_BODY_BUFFER + 1; i++)
        builder_add_char(&body, 'x');
    char head[96];
    snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
             body.len);
    rig_send(&rig, &client, text_of(head));
    rig_send(&rig, &client, builder_text(&body));
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect_bytes(&rig, &backend, body.len);
    rig_send(&rig, &backend, TEXT("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"));
    rig_expect(&rig, &client, "HTTP/1.1 503 ");
    assert_false(rig_try_accept(&rig, 0));
    builder_fini(&body);
    rig_close_peer(&backend);
    rig_close_peer(&client);
    rig_close(&rig);
}

static void attempts_are_counted_after_the_first_and_the_last_status_passes(void **state)
{
    (void)state;
    for (uint32_t attempts = 0; attempts < 3; attempts++) {
        struct rig rig;
        open_rig(&rig, 1, attempts);
        rig_adopt(&rig);
        struct rig_peer client = rig_connect(&rig);
        rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        for (uint32_t i = 0; i <= attempts; i++)
            serve(&rig, 0, "\r\n\r\n", "503 No");
        rig_expect(&rig, &client, "HTTP/1.1 503 ");
        assert_false(rig_try_accept(&rig, 0));
        rig_close_peer(&client);
        rig_close(&rig);
    }
}

static void a_status_that_is_not_named_passes_at_once(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 1, 3);
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    serve(&rig, 0, "\r\n\r\n", "502 No");
    rig_expect(&rig, &client, "HTTP/1.1 502 ");
    rig_close_peer(&client);
    rig_close(&rig);
}

static int accept_any(struct rig *rig, struct rig_peer *ret_peer)
{
    for (int i = 0; i < 1000; i++) {
        rig_turn(rig);
        for (int at = 0; at < RIG_BACKENDS; at++) {
            int fd = accept4(rig->listening[at], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0)
                continue;
            *ret_peer = (struct rig_peer){.fd = fd};
            return at;
        }
    }
    fail_msg("no try came");
    return -1;
}

static void each_endpoint_is_tried_before_any_is_tried_again(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct rig rig;
        open_rig(&rig, RIG_BACKENDS, 3);
        rig_adopt(&rig);
        struct rig_peer client = rig_connect(&rig);
        rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        int order[4];
        for (int i = 0; i < 4; i++) {
            struct rig_peer backend;
            order[i] = accept_any(&rig, &backend);
            rig_expect(&rig, &backend, "\r\n\r\n");
            rig_send(&rig, &backend, TEXT("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nok"));
            for (int k = 0; k < 5; k++)
                rig_turn(&rig);
            rig_close_peer(&backend);
        }
        assert_int_equal(order[0] + order[1] + order[2], 3);
        assert_int_equal(order[0] * order[1] * order[2], 0);
        assert_int_not_equal(order[0], order[1]);
        assert_int_not_equal(order[2], order[3]);
        rig_expect(&rig, &client, "HTTP/1.1 503 ");
        rig_close_peer(&client);
        rig_close(&rig);
    }
}

static void a_try_that_takes_too_long_is_followed_by_another(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 1, 2);
    rig.backend_timeout_ms = 20;
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"));
    struct rig_peer silent = rig_accept(&rig, 0);
    rig_expect(&rig, &silent, "\r\n\r\nhi");
    rig_expect_end(&rig, &silent);
    struct rig_peer again = rig_accept(&rig, 0);
    rig_expect(&rig, &again, "\r\n\r\nhi");
    rig_expect_end(&rig, &again);
    struct rig_peer last = rig_accept(&rig, 0);
    rig_expect(&rig, &last, "\r\n\r\nhi");
    rig_expect(&rig, &client, "HTTP/1.1 504 ");
    rig_close_peer(&silent);
    rig_close_peer(&again);
    rig_close_peer(&last);
    rig_close_peer(&client);
    rig_close(&rig);
}

static void the_clock_of_the_request_ends_all_tries(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 1, 5);
    rig.request_timeout_ms = 50;
    rig.retry.backoff_ms = 10000;
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    serve(&rig, 0, "\r\n\r\n", "503 No");
    rig_expect(&rig, &client, "HTTP/1.1 504 ");
    rig_close_peer(&client);
    rig_close(&rig);
}

/* Its end was there before the first byte of ours went out, so nobody can have acted on it. */
static void a_post_that_lost_the_race_for_a_kept_connection_is_sent_on_another(void **state)
{
    (void)state;
    static const char POST[] = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    struct rig rig;
    for (int is_sent = 0; is_sent < 2; is_sent++) {
        open_rig(&rig, 1, 0);
        rig_adopt(&rig);
        struct rig_peer client = rig_connect(&rig);
        rig_send(&rig, &client, TEXT("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"));
        struct rig_peer backend = rig_accept(&rig, 0);
        rig_expect(&rig, &backend, "\r\n\r\n");
        rig_send(&rig, &backend, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        rig_expect(&rig, &client, "\r\n\r\nok");
        rig_forget(&client);
        rig_forget(&backend);
        assert_int_equal(send(client.fd, POST, sizeof(POST) - 1, 0), sizeof(POST) - 1);
        if (is_sent != 0)
            rig_expect(&rig, &backend, "hello"); /* it may have been acted on */
        rig_close_peer(&backend);
        if (is_sent == 0)
            serve(&rig, 0, "content-length: 5\r\n\r\nhello", "200 OK");
        rig_expect(&rig, &client, is_sent == 0 ? "HTTP/1.1 200 OK" : "HTTP/1.1 502 Bad Gateway");
        rig_close_peer(&client);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_post_that_lost_the_race_for_a_kept_connection_is_sent_on_another),
        cmocka_unit_test(a_short_body_is_sent_again_whole),
        cmocka_unit_test(what_came_late_follows_what_is_sent_again),
        cmocka_unit_test(a_body_too_long_to_keep_is_not_sent_again),
        cmocka_unit_test(no_retry_begins_after_the_budget),
        cmocka_unit_test(attempts_are_counted_after_the_first_and_the_last_status_passes),
        cmocka_unit_test(a_status_that_is_not_named_passes_at_once),
        cmocka_unit_test(each_endpoint_is_tried_before_any_is_tried_again),
        cmocka_unit_test(a_try_that_takes_too_long_is_followed_by_another),
        cmocka_unit_test(the_clock_of_the_request_ends_all_tries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
