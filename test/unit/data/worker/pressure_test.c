/* Little memory: what only waits goes, what is under way stays, new requests are told to come back,
 * and all is as before once there is memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "peers.h"

#define GET TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
#define OK  TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

static void press(struct rig *rig, enum pressure level)
{
    pressure_set(&rig->worker->proxy, level);
    rig_turn(rig);
}

static void idle_connections_of_both_sides_go_first(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    struct rig_peer idle = rig_connect(&rig), busy = rig_connect(&rig);
    rig_send(&rig, &idle, GET);
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "\r\n\r\n");
    rig_send(&rig, &backend, OK);
    rig_expect(&rig, &idle, "\r\n\r\nok");
    assert_false(rig_has(&idle, "connection: close"));
    rig_send(&rig, &busy, GET);
    rig_forget(&backend);
    rig_expect(&rig, &backend, "\r\n\r\n");
    press(&rig, PRESSURE_TIGHT);
    rig_expect_end(&rig, &idle);
    rig_send(&rig, &backend, OK); /* what is under way goes on, and is the last */
    rig_expect(&rig, &busy, "\r\n\r\nok");
    assert_true(rig_has(&busy, "connection: close"));
    rig_expect_end(&rig, &busy);
    press(&rig, PRESSURE_TIGHT); /* told again: the backend's connection waits for nobody now */
    rig_expect_end(&rig, &backend);
    rig_close_peer(&idle);
    rig_close_peer(&busy);
    rig_close_peer(&backend);
    rig_close(&rig);
}

static void without_memory_new_requests_are_503_and_old_ones_go_on(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    struct rig_peer old = rig_connect(&rig);
    rig_send(&rig, &old, GET);
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "\r\n\r\n");
    press(&rig, PRESSURE_FULL);
    struct rig_peer late = rig_connect(&rig);
    rig_send(&rig, &late, GET);
    rig_expect(&rig, &late, "\r\n\r\n");
    assert_true(rig_has(&late, "HTTP/1.1 503 "));
    assert_true(rig_has(&late, "retry-after: 1\r\n"));
    assert_true(rig_has(&late, "connection: close\r\n"));
    rig_expect_end(&rig, &late);
    assert_false(rig_try_accept(&rig, 0));
    rig_send(&rig, &backend, OK);
    rig_expect(&rig, &old, "\r\n\r\nok");
    struct builder log = rig_log(&rig);
    assert_non_null(strstr(log.data, "\"response_flags\":\"OM\""));
    builder_fini(&log);
    rig_close_peer(&old);
    rig_close_peer(&late);
    rig_close_peer(&backend);
    rig_close(&rig);
}

static void far_above_the_bound_nobody_is_let_in_and_then_all_are_again(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    press(&rig, PRESSURE_CLOSED);
    struct rig_peer late = rig_connect(&rig);
    rig_expect_end(&rig, &late);
    assert_int_equal(metrics_read(&rig.worker->proxy.metrics->connections_limited), 1);
    press(&rig, PRESSURE_NONE);
    struct rig_peer client = rig_connect(&rig);
    rig_send(&rig, &client, GET);
    struct rig_peer backend = rig_accept(&rig, 0);
    rig_expect(&rig, &backend, "\r\n\r\n");
    rig_send(&rig, &backend, OK);
    rig_expect(&rig, &client, "\r\n\r\nok");
    assert_false(rig_has(&client, "connection: close"));
    rig_close_peer(&late);
    rig_close_peer(&client);
    rig_close_peer(&backend);
    rig_close(&rig);
}

static void what_many_clients_used_is_given_back_when_they_have_left(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig_adopt(&rig);
    const struct buffer_pool *pool = loop_buffers(rig.worker->loop);
    for (int i = 0; i < LIMIT_SWEEP_GONE; i++) {
        struct rig_peer client = rig_connect(&rig);
        assert_false(timer_is_armed(&rig.worker->proxy.sweep));
        rig_send(&rig, &client, TEXT("GET / HTTP/1.1\r\n\r\n")); /* no host: refused */
        rig_expect(&rig, &client, "HTTP/1.1 400");
        rig_expect_end(&rig, &client);
        rig_close_peer(&client);
        while (rig.worker->proxy.connections != NULL)
            rig_turn(&rig);
    }
    assert_true(timer_is_armed(&rig.worker->proxy.sweep));
    assert_true(pool->free_count > 0);
    uint64_t until = clock_monotonic_ns() + 10 * RIG_WAIT_MS * UINT64_C(1000000);
    while (pool->free_count > 0 && clock_monotonic_ns() < until)
        rig_turn(&rig);
    assert_int_equal(pool->free_count, 0);
    assert_int_equal(rig.worker->proxy.gone_count, 0);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_connections_of_both_sides_go_first),
        cmocka_unit_test(without_memory_new_requests_are_503_and_old_ones_go_on),
        cmocka_unit_test(far_above_the_bound_nobody_is_let_in_and_then_all_are_again),
        cmocka_unit_test(what_many_clients_used_is_given_back_when_they_have_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
