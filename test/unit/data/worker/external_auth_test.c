/* Requests that wait for a service: asked, allowed, denied, given up; with a body or without. The
 * service and the backend are the same listening socket. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "peers.h"
#include "rig_filters.h"

static void open_rig(struct rig *rig, bool body)
{
    rig_open(rig, 1);
    rig->make_filters = body ? rig_asking_with_body : rig_asking;
    rig_adopt(rig);
}

#define YES TEXT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-User: ann\r\nX-Other: 1\r\n\r\n")

static void an_allowed_request_goes_on_with_what_the_service_says(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, false);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client,
             TEXT("POST /a?b HTTP/1.1\r\nHost: h\r\nX-Told: 1\r\nX-Secret: 2\r\nX-User: eve\r\n"
                  "X-Forwarded-For: 9.9.9.9\r\nAuthorization: t\r\nContent-Length: 2\r\n\r\nok"));
    struct rig_peer peer = rig_accept(&rig, 0);
    rig_expect(&rig, &peer, "POST /check/a?b HTTP/1.1\r\nhost: h\r\n");
    rig_expect(&rig, &peer, "\r\n\r\n");
    assert_true(rig_has(&peer, "X-Told: 1\r\n") && rig_has(&peer, "Authorization: t\r\n"));
    assert_true(rig_has(&peer, "x-forwarded-for: 127.0.0.1\r\n"));
    assert_true(rig_has(&peer, "content-length: 0\r\n"));
    assert_false(rig_has(&peer, "X-Secret") || rig_has(&peer, "9.9.9.9"));
    rig_send(&rig, &peer, YES);
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "POST /a?b HTTP/1.1\r\n");
    rig_expect(&rig, &backend, "\r\n\r\nok");
    assert_true(rig_has(&backend, "X-User: ann\r\n") && rig_has(&backend, "X-Secret: 2\r\n"));
    assert_false(rig_has(&backend, "eve") || rig_has(&backend, "X-Other"));
    rig_send(&rig, &backend, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"));
    rig_expect(&rig, &client, "\r\n\r\nhi");
    rig_close_peer(&peer);
    rig_close_peer(&backend);
    rig_close_peer(&client);
    rig_close(&rig);
}

static void a_denied_request_gets_the_services_answer(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, false);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    struct rig_peer peer = rig_accept(&rig, 0);
    rig_expect(&rig, &peer, "\r\n\r\n");
    rig_send(&rig, &peer,
             TEXT("HTTP/1.1 401 No\r\nContent-Length: 5\r\nWWW-Authenticate: Basic\r\n\r\nlogin"));
    rig_expect(&rig, &client, "HTTP/1.1 401 Unauthorized\r\n");
    rig_expect(&rig, &client, "\r\n\r\nlogin");
    assert_true(rig_has(&client, "WWW-Authenticate: Basic\r\n"));
    rig_expect_end(&rig, &client);
    struct builder log = rig_log(&rig);
    assert_non_null(strstr(log.data, "\"UAEX\""));
    assert_non_null(strstr(log.data, "external_auth_denied"));
    builder_fini(&log);
    rig_close_peer(&peer);
    rig_close_peer(&client);
    rig_close(&rig);
}

static void expect_refused(struct rig *rig, const char *answer, const char *details)
{
    struct rig_peer client = rig_connect(rig);
    rig_send(rig, &client, TEXT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    int tries = answer == NULL ? 2 : 1; /* what breaks is tried once more */
    for (int i = 0; i < tries; i++) {
        struct rig_peer peer = rig_accept(rig, 0);
        rig_expect(rig, &peer, "\r\n\r\n");
        if (answer != NULL)
            rig_send(rig, &peer, text_of(answer));
        for (int n = 0; n < 5; n++)
            rig_turn(rig);
        rig_close_peer(&peer);
    }
    rig_expect(rig, &client, "HTTP/1.1 403 Forbidden\r\n");
    rig_close_peer(&client);
    for (int n = 0; n < 5; n++)
        rig_turn(rig);
    struct builder log = rig_log(rig);
    assert_non_null(strstr(log.data, details));
    builder_fini(&log);
}

static void what_is_no_answer_is_a_refusal(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, false);
    expect_refused(&rig, NULL, "external_auth_unreachable");
    expect_refused(&rig, "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                   "external_auth_error");
    expect_refused(&rig, "HTTP/1.1 204 Fine\r\nConnection: close\r\n\r\n", "external_auth_error");
    expect_refused(&rig, "nonsense\r\n\r\n", "external_auth_unreachable");
    rig_close(&rig);
}

static void a_body_goes_to_both(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, true);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client,
             TEXT("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhead\r\n"));
    assert_false(rig_try_accept(&rig, 0)); /* not before it is whole */
    rig_send(&rig, &client, TEXT("4\r\ntail\r\n0\r\nX-Sum: 8\r\n\r\n"));
    struct rig_peer peer = rig_accept(&rig, 0);
    rig_expect(&rig, &peer, "content-length: 8\r\n");
    rig_expect(&rig, &peer, "\r\n\r\nheadtail");
    rig_send(&rig, &peer, YES);
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "transfer-encoding: chunked\r\n");
    rig_expect(&rig, &backend, "8\r\nheadtail\r\n0\r\nX-Sum: 8\r\n\r\n");
    rig_send(&rig, &backend, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"));
    rig_expect(&rig, &client, "\r\n\r\nhi");
    rig_close_peer(&backend);
    rig_close_peer(&peer);
    rig_close_peer(&client);
    rig_close(&rig);
}

static void a_body_that_is_too_long_is_refused(void **state)
{
    (void)state;
    static const char *const REQUESTS[] = {
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(REQUESTS); i++) {
        struct rig rig;
        open_rig(&rig, true);
        struct rig_peer client = rig_connect(&rig);
        rig_send(&rig, &client, text_of(REQUESTS[i]));
        rig_expect(&rig, &client, "HTTP/1.1 413 Content Too Large\r\n");
        assert_false(rig_try_accept(&rig, 0));
        rig_close_peer(&client);
        rig_close(&rig);
    }
}

static void a_client_may_leave_while_it_waits(void **state)
{
    (void)state;
    for (int answer = 0; answer < 2; answer++) {
        struct rig rig;
        open_rig(&rig, false);
        struct rig_peer client = rig_connect(&rig);
        rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
        struct rig_peer peer = rig_accept(&rig, 0);
        rig_expect(&rig, &peer, "\r\n\r\n");
        rig_close_peer(&client);
        if (answer == 0)
            rig_expect_end(&rig, &peer); /* nobody asks any more */
        else
            rig_send(&rig, &peer, YES);
        rig_close_peer(&peer);
        rig_close(&rig);
    }
}

static void a_request_waits_no_longer_than_its_route_allows(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig.make_filters = rig_asking;
    rig.request_timeout_ms = 50;
    rig_adopt(&rig);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    struct rig_peer peer = rig_accept(&rig, 0);
    rig_expect(&rig, &client, "HTTP/1.1 504 Gateway Timeout\r\n");
    rig_close_peer(&peer);
    rig_close_peer(&client);
    rig_close(&rig);
}

static void a_worker_ends_while_requests_wait(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, false);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    struct rig_peer peer = rig_accept(&rig, 0);
    rig_expect(&rig, &peer, "\r\n\r\n");
    rig_close(&rig);
    rig_close_peer(&peer);
    rig_close_peer(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_allowed_request_goes_on_with_what_the_service_says),
        cmocka_unit_test(a_denied_request_gets_the_services_answer),
        cmocka_unit_test(what_is_no_answer_is_a_refusal),
        cmocka_unit_test(a_body_goes_to_both),
        cmocka_unit_test(a_body_that_is_too_long_is_refused),
        cmocka_unit_test(a_client_may_leave_while_it_waits),
        cmocka_unit_test(a_request_waits_no_longer_than_its_route_allows),
        cmocka_unit_test(a_worker_ends_while_requests_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
