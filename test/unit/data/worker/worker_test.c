/* A worker serves: requests through, bodies both ways, tunnels, failures and their answers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "peers.h"

static void a_get_goes_through_and_says_who_asked(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client,
             TEXT("GET /a/b?x=1 HTTP/1.1\r\nHost: shop.example:8080\r\nX-Forwarded-For: 6.6.6.6\r\n"
                  "User-Agent: test\r\n\r\n"));
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "\r\n\r\n");
    assert_true(rig_has(&backend, "GET /a/b?x=1 HTTP/1.1\r\nhost: shop.example:8080\r\n"));
    assert_true(rig_has(&backend, "X-Forwarded-For: 127.0.0.1\r\n"));
    assert_true(rig_has(&backend, "x-forwarded-proto: http\r\n"));
    assert_true(rig_has(&backend, "x-forwarded-host: shop.example:8080\r\n"));
    assert_true(rig_has(&backend, "x-request-id: "));
    assert_false(rig_has(&backend, "6.6.6.6"));
    rig_send(&rig, &backend, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"));
    rig_expect(&rig, &client, "\r\n\r\nhello");
    assert_true(rig_has(&client, "HTTP/1.1 200 OK\r\n"));
    assert_true(rig_has(&client, "X-A: b\r\n"));
    assert_true(rig_has(&client, "date: "));
    struct builder log = rig_log(&rig);
    assert_non_null(strstr(log.data, "\"response_code\":200,"));
    assert_non_null(strstr(log.data, "\"x-envoy-origin-path\":\"/a/b?x=1\""));
    assert_non_null(strstr(log.data, "\"route_name\":\"HTTPRoute/default/app/0\""));
    assert_non_null(strstr(log.data, "\"bytes_sent\":5,"));
    assert_non_null(strstr(log.data, "\"node\":\"node-1\""));
    builder_fini(&log);
    rig_close_peer(&client);
    rig_close_peer(&backend);
    rig_close(&rig);
}

static void connections_of_both_sides_are_used_again(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    struct rig_peer backend = {.fd = -1};
    for (int i = 0; i < 5; i++) {
        rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        if (i == 0)
            backend = rig_accept(&rig, 0);
        rig_expect(&rig, &backend, "\r\n\r\n");
        rig_forget(&backend);
        rig_send(&rig, &backend, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        rig_expect(&rig, &client, "\r\n\r\nok");
        rig_forget(&client);
    }
    assert_int_equal(rig.worker->proxy.pools.connects, 1);
    assert_int_equal(rig.worker->proxy.pools.reuses, 4);
    assert_int_equal(rig.worker->proxy.connection_count, 1);
    rig_close_peer(&client);
    rig_close_peer(&backend);
    rig_close(&rig);
}

static void large_bodies_go_both_ways(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    size_t size = 3000000;
    struct builder body = {0};
    for (size_t i = 0; i < size; i++)
        builder_add_char(&body, (char)('a' + i % 23));
    rig_send(&rig, &client,
             TEXT("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n"));
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "content-length: 3000000\r\n");
    size_t sent = 0;
    while (sent < size) {
        size_t piece = MIN(size - sent, (size_t)50000);
        rig_send(&rig, &client, text_from(body.data + sent, piece));
        sent += piece;
        rig_read(&backend);
    }
    const char *end = strstr(backend.got.data, "\r\n\r\n");
    size_t head = (size_t)(end - backend.got.data) + 4;
    rig_expect_bytes(&rig, &backend, head + size);
    assert_memory_equal(backend.got.data + head, body.data, size);
    rig_send(&rig, &backend, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n"));
    sent = 0;
    while (sent < size) {
        size_t piece = MIN(size - sent, (size_t)50000);
        rig_send(&rig, &backend, text_from(body.data + sent, piece));
        sent += piece;
        rig_read(&client);
    }
    rig_expect(&rig, &client, "\r\n\r\n");
    head = (size_t)(strstr(client.got.data, "\r\n\r\n") - client.got.data) + 4;
    rig_expect_bytes(&rig, &client, head + size);
    assert_memory_equal(client.got.data + head, body.data, size);
    builder_fini(&body);
    rig_close_peer(&client);
    rig_close_peer(&backend);
    rig_close(&rig);
}

static void chunked_bodies_and_trailers_pass(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client,
             TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"));
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "hello\r\n0\r\nX-Sum: 1\r\n\r\n");
    rig_send(&rig, &backend,
             TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
    rig_expect(&rig, &client, "3\r\nabc\r\n");
    rig_send(&rig, &backend, TEXT("0\r\nX-End: y\r\n\r\n"));
    rig_expect(&rig, &client, "0\r\nX-End: y\r\n\r\n");
    rig_close_peer(&client);
    rig_close_peer(&backend);
    rig_close(&rig);
}

static void head_keeps_the_length_and_has_no_body(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"));
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "HEAD / HTTP/1.1");
    rig_send(&rig, &backend, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"));
    rig_expect(&rig, &client, "content-length: 500\r\n");
    rig_forget(&client);
    rig_send(&rig, &client, TEXT("GET /next HTTP/1.1\r\nHost: a\r\n\r\n"));
    rig_expect(&rig, &backend, "GET /next HTTP/1.1");
    rig_send(&rig, &backend, TEXT("HTTP/1.1 204 No Content\r\n\r\n"));
    rig_expect(&rig, &client, "HTTP/1.1 204 No Content\r\n");
    rig_close_peer(&client);
    rig_close_peer(&backend);
    rig_close(&rig);
}

static void a_body_is_asked_for_only_when_the_backend_is_there(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(
        &rig, &client,
        TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"));
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &client, "HTTP/1.1 100 Continue\r\n\r\n");
    rig_send(&rig, &client, TEXT("data"));
    rig_expect(&rig, &backend, "\r\n\r\ndata");
    rig_send(&rig, &backend, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    rig_expect(&rig, &client, "HTTP/1.1 200 OK");
    rig_close_peer(&client);
    rig_close_peer(&backend);
    rig_close(&rig);
}

static void an_upgrade_becomes_a_tunnel_both_ways(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig.request_timeout_ms = 60000;
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client,
             TEXT("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                  "\r\n"));
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "\r\n\r\n");
    assert_true(rig_has(&backend, "upgrade: websocket\r\n"));
    rig_send(&rig, &backend,
             TEXT("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                  "Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nfrom-backend"));
    rig_expect(&rig, &client, "HTTP/1.1 101 ");
    rig_expect(&rig, &client, "from-backend");
    rig_send(&rig, &client, TEXT("from-client"));
    rig_expect(&rig, &backend, "from-client");
    rig_send(&rig, &backend, TEXT("again"));
    rig_expect(&rig, &client, "again");
    rig_close_peer(&client);
    rig_expect_end(&rig, &backend);
    rig_close_peer(&backend);
    while (rig.worker->proxy.transfer_count > 0)
        rig_turn(&rig);
    struct builder log = rig_log(&rig);
    assert_non_null(strstr(log.data, "\"response_code\":101,\"response_flags\":\"-\""));
    builder_fini(&log);
    rig_close(&rig);
}

static void a_refused_connect_goes_to_another_endpoint(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 2);
    close(rig.listening[0]);
    rig.listening[0] = -1;
    rig_adopt(&rig);
    for (int i = 0; i < 4; i++) {
        struct rig_peer client = rig_connect(&rig);
        rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        struct rig_peer backend = rig_accept(&rig, 1);
        rig_expect(&rig, &backend, "\r\n\r\n");
        rig_send(&rig, &backend,
                 TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"));
        rig_expect(&rig, &client, "\r\n\r\nok");
        rig_expect_end(&rig, &client);
        rig_close_peer(&client);
        rig_close_peer(&backend);
    }
    assert_true(rig.worker->proxy.pools.connect_failures > 0);
    rig_close(&rig);
}

static void when_all_endpoints_are_down_the_answer_is_503(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 2);
    for (int i = 0; i < 2; i++) {
        close(rig.listening[i]);
        rig.listening[i] = -1;
    }
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    rig_expect(&rig, &client, "HTTP/1.1 503 Service Unavailable\r\n");
    rig_forget(&client);
    rig.endpoint_count = 0;
    rig_adopt(&rig);
    rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    rig_expect(&rig, &client, "HTTP/1.1 503 Service Unavailable\r\n");
    struct builder log = rig_log(&rig);
    assert_non_null(strstr(log.data, "\"response_flags\":\"UF\""));
    assert_non_null(strstr(log.data, "\"response_flags\":\"UH\""));
    builder_fini(&log);
    rig_close_peer(&client);
    rig_close(&rig);
}

static void without_a_route_the_answer_is_404(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig.has_route = false;
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    rig_expect(&rig, &client, "HTTP/1.1 404 Not Found\r\n");
    rig_forget(&client);
    rig_send(&rig, &client, TEXT("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"));
    rig_expect(&rig, &client, "HTTP/1.1 405 ");
    rig_expect_end(&rig, &client);
    rig_close_peer(&client);
    rig_close(&rig);
}

static void a_slow_backend_ends_in_504(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct rig rig;
        rig_open(&rig, 1);
        rig.request_timeout_ms = kind == 0 ? 30 : 0;
        rig.backend_timeout_ms = kind == 0 ? 0 : 30;
        rig_adopt(&rig);
        struct rig_peer client = rig_connect(&rig);
        rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        struct rig_peer backend = rig_accept(&rig, 0);
        rig_expect(&rig, &client, "HTTP/1.1 504 Gateway Timeout\r\n");
        rig_expect_end(&rig, &backend);
        struct builder log = rig_log(&rig);
        assert_non_null(strstr(log.data, kind == 0 ? "\"response_flags\":\"DT\""
                                                   : "\"response_flags\":\"UT\""));
        builder_fini(&log);
        rig_close_peer(&client);
        rig_close_peer(&backend);
        rig_close(&rig);
    }
}

static void a_client_that_leaves_ends_its_call(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf"));
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "half");
    rig_close_peer(&client);
    rig_expect_end(&rig, &backend);
    rig_close_peer(&backend);
    while (rig.worker->proxy.transfer_count > 0)
        rig_turn(&rig);
    struct builder log = rig_log(&rig);
    assert_non_null(strstr(log.data, "\"response_flags\":\"D"));
    builder_fini(&log);
    rig_close(&rig);
}

static void a_cut_answer_is_never_a_clean_short_one(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "\r\n\r\n");
    rig_send(&rig, &backend,
             TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
    rig_expect(&rig, &client, "abc");
    rig_close_peer(&backend);
    rig_expect_end(&rig, &client);
    assert_false(rig_has(&client, "\r\n0\r\n"));
    struct builder log = rig_log(&rig);
    assert_non_null(strstr(log.data, "\"response_flags\":\"UC\""));
    builder_fini(&log);
    rig_close_peer(&client);
    rig_close(&rig);
}

static void a_broken_answer_is_502(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    static const char *const ANSWERS[] = {"HTTP/9.9 200 OK\r\n\r\n", "junk\r\n\r\n", ""};
    for (size_t i = 0; i < ARRAY_LEN(ANSWERS); i++) {
        struct rig_peer client = rig_connect(&rig);
        rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        struct rig_peer backend = rig_accept(&rig, 0);
        rig_expect(&rig, &backend, "\r\n\r\n");
        rig_send(&rig, &backend, text_of(ANSWERS[i]));
        if (i == 2)
            rig_close_peer(&backend);
        rig_expect(&rig, &client, "HTTP/1.1 502 Bad Gateway\r\n");
        rig_close_peer(&client);
        rig_close_peer(&backend);
    }
    rig_close(&rig);
}

static void a_kept_connection_closed_under_us_is_tried_once_more(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"));
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "\r\n\r\n");
    rig_send(&rig, &backend, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    rig_expect(&rig, &client, "\r\n\r\nok");
    rig_forget(&client);
    rig_forget(&backend);
    rig_send(&rig, &client, TEXT("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"));
    rig_expect(&rig, &backend, "GET /2");
    rig_close_peer(&backend);
    backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "GET /2");
    rig_send(&rig, &backend, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"));
    rig_expect(&rig, &client, "\r\n\r\nno");
    rig_close_peer(&client);
    rig_close_peer(&backend);
    rig_close(&rig);
}

static void statuses_that_the_route_names_are_retried(void **state)
{
    (void)state;
    static uint16_t codes[] = {503};
    struct rig rig;
    rig_open(&rig, 1);
    rig.retry = (struct retry_policy){.attempts = 2, .codes = codes, .code_count = 1};
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    for (int i = 0; i < 3; i++) {
        struct rig_peer backend = rig_accept(&rig, 0);
        rig_expect(&rig, &backend, "\r\n\r\n");
        rig_send(&rig, &backend,
                 i < 2 ? TEXT("HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\n12345")
                       : TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        if (i < 2)
            rig_expect_end(&rig, &backend);
        else
            rig_expect(&rig, &client, "HTTP/1.1 200 OK");
        rig_close_peer(&backend);
    }
    rig_close_peer(&client);
    rig_close(&rig);
}

static void connections_above_the_limit_wait_for_one(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig.max_connections = 1;
    rig.max_pending = 1;
    rig_adopt(&rig);
    struct rig_peer clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = rig_connect(&rig);
        rig_send(&rig, &clients[i], TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        for (int j = 0; j < 5; j++)
            rig_turn(&rig);
    }
    rig_expect(&rig, &clients[2], "HTTP/1.1 503 ");
    struct rig_peer backend = rig_accept(&rig, 0);
    for (int i = 0; i < 2; i++) {
        rig_expect(&rig, &backend, "\r\n\r\n");
        rig_forget(&backend);
        rig_send(&rig, &backend, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        rig_expect(&rig, &clients[i], "\r\n\r\nok");
    }
    assert_false(rig_try_accept(&rig, 0));
    for (int i = 0; i < 3; i++)
        rig_close_peer(&clients[i]);
    rig_close_peer(&backend);
    rig_close(&rig);
}

static void a_request_finishes_under_the_snapshot_it_began_with(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "\r\n\r\n");
    rig.endpoint_count = 0;
    rig_adopt(&rig);
    rig.has_route = false;
    rig_adopt(&rig);
    rig_send(&rig, &backend, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    rig_expect(&rig, &client, "\r\n\r\nok");
    rig_expect_end(&rig, &backend);
    struct builder log = rig_log(&rig);
    assert_non_null(strstr(log.data, "\"snapshot\":1,"));
    builder_fini(&log);
    rig_forget(&client);
    rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    rig_expect(&rig, &client, "HTTP/1.1 404 ");
    rig_close_peer(&client);
    rig_close_peer(&backend);
    rig_close(&rig);
}

static void a_drain_finishes_what_is_under_way(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    struct rig_peer busy = rig_connect(&rig), idle = rig_connect(&rig);
    rig_send(&rig, &busy, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    struct rig_peer backend = rig_accept(&rig, 0);
    worker_drain(rig.worker, LIMIT_DRAIN_IDLE_MS);
    rig_expect_end(&rig, &idle);
    assert_false(proxy_is_idle(&rig.worker->proxy));
    rig_send(&rig, &backend, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    rig_expect(&rig, &busy, "connection: close\r\n");
    rig_expect_end(&rig, &busy);
    rig_close_peer(&busy);
    while (!proxy_is_idle(&rig.worker->proxy))
        rig_turn(&rig);
    rig_close_peer(&idle);
    rig_close_peer(&backend);
    rig_close(&rig);
}

static void bodies_above_the_limit_are_413(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig.body_bytes_max = 10;
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"));
    rig_expect(&rig, &client, "HTTP/1.1 413 ");
    rig_close_peer(&client);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_get_goes_through_and_says_who_asked),
        cmocka_unit_test(connections_of_both_sides_are_used_again),
        cmocka_unit_test(large_bodies_go_both_ways),
        cmocka_unit_test(chunked_bodies_and_trailers_pass),
        cmocka_unit_test(head_keeps_the_length_and_has_no_body),
        cmocka_unit_test(a_body_is_asked_for_only_when_the_backend_is_there),
        cmocka_unit_test(an_upgrade_becomes_a_tunnel_both_ways),
        cmocka_unit_test(a_refused_connect_goes_to_another_endpoint),
        cmocka_unit_test(when_all_endpoints_are_down_the_answer_is_503),
        cmocka_unit_test(without_a_route_the_answer_is_404),
        cmocka_unit_test(a_slow_backend_ends_in_504),
        cmocka_unit_test(a_client_that_leaves_ends_its_call),
        cmocka_unit_test(a_cut_answer_is_never_a_clean_short_one),
        cmocka_unit_test(a_broken_answer_is_502),
        cmocka_unit_test(a_kept_connection_closed_under_us_is_tried_once_more),
        cmocka_unit_test(statuses_that_the_route_names_are_retried),
        cmocka_unit_test(connections_above_the_limit_wait_for_one),
        cmocka_unit_test(a_request_finishes_under_the_snapshot_it_began_with),
        cmocka_unit_test(a_drain_finishes_what_is_under_way),
        cmocka_unit_test(bodies_above_the_limit_are_413),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
