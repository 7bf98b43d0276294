/* Copies of requests: what they carry, how they end, and that the request never waits for them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "peers.h"
#include "rig_filters.h"

static void open_rig(struct rig *rig)
{
    rig_open(rig, 1);
    rig->make_filters = rig_mirroring;
    rig_adopt(rig);
}

static uint64_t counted(struct rig *rig, enum metrics_mirror result)
{
    return metrics_read(&rig->worker->proxy.metrics->mirrors[result]);
}

static void expect_counted(struct rig *rig, enum metrics_mirror result)
{
    uint64_t until = clock_monotonic_ns() + RIG_WAIT_MS * UINT64_C(1000000);
    while (counted(rig, result) == 0) {
        assert_true(clock_monotonic_ns() < until);
        rig_turn(rig);
    }
    assert_int_equal(counted(rig, result), 1);
    for (int i = 0; i < MIRROR_RESULTS; i++)
        assert_true(i == (int)result || counted(rig, i) == 0);
    assert_null(rig->worker->proxy.mirrors);
    assert_int_equal(rig->worker->proxy.mirror_count, 0);
    assert_int_equal(rig->worker->proxy.mirror_bytes, 0);
}

static const struct text OK = {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 40};
static const struct text BAD = {"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad", 41};

static void a_copy_is_sent_and_its_answer_is_nobodys(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client,
             TEXT("POST /a?b=c HTTP/1.1\r\nHost: a\r\nX-Own: 1\r\nContent-Length: 5\r\n\r\nhel"));
    struct rig_peer copy = rig_accept(&rig, 0), backend = rig_accept(&rig, 0);
    rig_expect(&rig, &copy, "\r\n\r\nhel"); /* as it comes, not when it is whole */
    rig_send(&rig, &client, TEXT("lo"));
    struct rig_peer *both[] = {&copy, &backend};
    for (int i = 0; i < 2; i++) {
        rig_expect(&rig, both[i], "POST /a?b=c HTTP/1.1\r\n");
        rig_expect(&rig, both[i], "X-Own: 1\r\n");
        rig_expect(&rig, both[i], "\r\n\r\nhello");
    }
    rig_send(&rig, &copy, BAD);
    expect_counted(&rig, MIRROR_ANSWERED);
    rig_send(&rig, &backend, OK);
    rig_expect(&rig, &client, "HTTP/1.1 200 OK");
    rig_close_peer(&copy);
    rig_close_peer(&backend);
    rig_close_peer(&client);
    rig_close(&rig);
}

static void a_copy_outlives_its_request(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    struct rig_peer copy = rig_accept(&rig, 0), backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "\r\n\r\n");
    rig_send(&rig, &backend, OK);
    rig_expect(&rig, &client, "HTTP/1.1 200 OK");
    rig_expect_end(&rig, &client);
    rig_expect(&rig, &copy, "GET / HTTP/1.1\r\n");
    rig_send(&rig, &copy, OK);
    expect_counted(&rig, MIRROR_ANSWERED);
    rig_close_peer(&copy);
    rig_close_peer(&backend);
    rig_close_peer(&client);
    rig_close(&rig);
}

static void a_copy_that_is_not_read_is_given_up(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    struct builder body = {0};
    memset(builder_reserve(&body, 1 << 20), 'x', 1 << 20);
    body.len = 1 << 20;
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16777216\r\n\r\n"));
    struct rig_peer copy = rig_accept(&rig, 0), backend = rig_accept(&rig, 0);
    for (int i = 0; i < 16; i++) { /* the backend reads all of it, the copy's nothing */
        uint64_t until = clock_monotonic_ns() + RIG_WAIT_MS * UINT64_C(1000000);
        struct text rest = builder_text(&body);
        while (rest.len > 0) {
            assert_true(clock_monotonic_ns() < until);
            ssize_t sent = send(client.fd, rest.data, rest.len, MSG_NOSIGNAL);
            rest = text_slice(rest, sent > 0 ? (size_t)sent : 0, rest.len);
            rig_turn(&rig);
            rig_read(&backend);
            rig_forget(&backend);
        }
    }
    expect_counted(&rig, MIRROR_SLOW);
    rig_send(&rig, &backend, OK);
    rig_expect(&rig, &client, "HTTP/1.1 200 OK");
    builder_fini(&body);
    rig_close_peer(&copy);
    rig_close_peer(&backend);
    rig_close_peer(&client);
    rig_close(&rig);
}

static void a_copy_of_a_request_that_breaks_off_is_cut(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"));
    struct rig_peer copy = rig_accept(&rig, 0), backend = rig_accept(&rig, 0);
    rig_expect(&rig, &copy, "\r\n\r\nhel");
    rig_close_peer(&client);
    rig_expect_end(&rig, &copy);
    expect_counted(&rig, MIRROR_CUT);
    rig_close_peer(&copy);
    rig_close_peer(&backend);
    rig_close(&rig);
}

static void a_worker_ends_with_copies_under_way(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    struct rig_peer copy = rig_accept(&rig, 0);
    rig_expect(&rig, &copy, "GET / HTTP/1.1\r\n");
    rig_close(&rig);
    rig_close_peer(&copy);
    rig_close_peer(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_sent_and_its_answer_is_nobodys),
        cmocka_unit_test(a_copy_outlives_its_request),
        cmocka_unit_test(a_copy_that_is_not_read_is_given_up),
        cmocka_unit_test(a_copy_of_a_request_that_breaks_off_is_cut),
        cmocka_unit_test(a_worker_ends_with_copies_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
