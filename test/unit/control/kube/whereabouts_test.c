/* A name of this machine's own, looked up again and again. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/kube/client.h"
#include "control/kube/whereabouts.h"
#include "net/listener.h"
#include "test.h"

/* Longer than a label of a name may be: no server is asked. */
#define NOBODY "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.invalid"

struct scene {
    struct loop *loop;
    struct kube_config config;
    int answers, failed;
    char why[400];
};

static void on_answer(void *owner, const char *why)
{
    struct scene *scene = owner;
    scene->answers++;
    snprintf(scene->why, sizeof(scene->why), "%s", why == NULL ? "" : why);
}

static void turn_until(struct scene *scene, const int *count, int wanted)
{
    uint64_t until = clock_monotonic_ns() + 60000000000ull;
    while (*count < wanted && clock_monotonic_ns() < until)
        loop_turn(scene->loop, 100);
    assert_int_equal(*count, wanted);
}

static void all_addresses_of_a_name_are_tried_and_then_it_is_looked_up_anew(void **state)
{
    (void)state;
    struct scene scene = {.loop = loop_new(NULL), .config = {.host = "localhost", .port = 6443}};
    const char *why = NULL;
    const struct address *at = NULL;
    struct whereabouts *where = whereabouts_new(scene.loop, &scene.config, on_answer, &scene);
    for (int round = 1; round <= 2; round++) {
        assert_null(whereabouts_get(where, &why));
        assert_null(why);
        assert_null(whereabouts_get(where, &why)); /* asked once */
        turn_until(&scene, &scene.answers, round);
        assert_string_equal(scene.why, "");
        int tried = 0;
        do {
            at = whereabouts_get(where, &why);
            assert_non_null(at);
            assert_int_equal(address_port(at), 6443);
            assert_true(++tried <= 16);
        } while (whereabouts_fail(where, at));
    }
    whereabouts_free(where);
    loop_free(scene.loop);
}

static void who_leaves_does_not_wait_for_a_lookup(void **state)
{
    (void)state;
    struct scene scene = {.loop = loop_new(NULL), .config = {.host = NOBODY, .port = 6443}};
    const char *why = NULL;
    struct whereabouts *where = whereabouts_new(scene.loop, &scene.config, on_answer, &scene);
    assert_null(whereabouts_get(where, &why));
    whereabouts_free(where);
    loop_turn(scene.loop, 0);
    assert_int_equal(scene.answers, 0);
    loop_free(scene.loop);
}

static void on_done(void *owner, const struct client_answer *answer)
{
    struct scene *scene = owner;
    scene->failed++;
    snprintf(scene->why, sizeof(scene->why), "%s", answer->why == NULL ? "" : answer->why);
}

static const struct client_events EVENTS = {.on_done = on_done};

/* The name may have other addresses, where nobody is. */
static void a_call_comes_through_to_a_name(void **state)
{
    (void)state;
    struct scene scene = {.loop = loop_new(NULL), .config = {.host = "localhost"}};
    const struct client_request request = {.method = "GET", .path = TEXT("/api")};
    const char *why = NULL;
    struct address local;
    assert_true(address_parse(TEXT("127.0.0.1"), 0, &local));
    int fd = listener_open(&local, false), peer = -1;
    assert_true(fd >= 0);
    local = listener_local(fd);
    scene.config.port = address_port(&local);
    struct client *client = client_new(scene.loop, &scene.config, 4321, &why);
    assert_non_null(client);
    (void)client_start(client, &request, &EVENTS, &scene);
    uint64_t until = clock_monotonic_ns() + 60000000000ull;
    while (peer < 0 && clock_monotonic_ns() < until) {
        loop_turn(scene.loop, 20);
        peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
    }
    assert_true(peer >= 0);
    client_free(client);
    close(peer);
    close(fd);
    loop_free(scene.loop);
}

static void a_name_that_is_unknown_fails_the_call_in_words_and_is_asked_again(void **state)
{
    (void)state;
    struct scene scene = {.loop = loop_new(NULL), .config = {.host = NOBODY, .port = 6443}};
    const struct client_request request = {.method = "GET", .path = TEXT("/api")};
    const char *why = NULL;
    struct client *client = client_new(scene.loop, &scene.config, 4321, &why);
    for (int i = 1; i <= 2; i++) {
        (void)client_start(client, &request, &EVENTS, &scene);
        turn_until(&scene, &scene.failed, i);
        assert_non_null(strstr(scene.why, "the cluster's server xxxx"));
    }
    client_free(client);
    loop_free(scene.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_addresses_of_a_name_are_tried_and_then_it_is_looked_up_anew),
        cmocka_unit_test(who_leaves_does_not_wait_for_a_lookup),
        cmocka_unit_test(a_call_comes_through_to_a_name),
        cmocka_unit_test(a_name_that_is_unknown_fails_the_call_in_words_and_is_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
