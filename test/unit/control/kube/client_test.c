/* Calls to an API server that nobody is, and what its connections are set to. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "control/kube/client.h"
#include "control/kube/election.h"
#include "net/listener.h"
#include "test.h"

#define DESCRIPTORS 256 /* of this program, that are looked at */

struct scene {
    struct loop *loop;
    struct kube_config config;
    struct client *client;
    int fd; /* bound; listens if the test wants it */
    struct client_call *second;
    int failed;
};

static void scene_start(struct scene *scene, bool listens)
{
    *scene = (struct scene){.loop = loop_new(NULL)};
    struct address *address = &scene->config.address;
    assert_true(address_parse(TEXT("127.0.0.1"), 0, address));
    scene->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(scene->fd, &address->any, address->len), 0);
    assert_int_equal(getsockname(scene->fd, &address->any, &address->len), 0);
    assert_int_equal(listens ? listen(scene->fd, 8) : 0, 0);
    const char *why = NULL;
    scene->client = client_new(scene->loop, &scene->config, 4321, &why);
    assert_non_null(scene->client);
}

static void scene_stop(struct scene *scene)
{
    client_free(scene->client);
    close(scene->fd);
    loop_free(scene->loop);
}

static struct client_call *call(struct scene *scene, const struct client_events *events)
{
    const struct client_request request = {.method = "GET", .path = TEXT("/api")};
    return client_start(scene->client, &request, events, scene);
}

static void on_failed(void *owner, const struct client_answer *answer)
{
    assert_int_equal(answer->status, 0);
    ((struct scene *)owner)->failed++;
}

static void on_first_failed(void *owner, const struct client_answer *answer)
{
    static const struct client_events LATER = {.on_done = on_failed};
    struct scene *scene = owner;
    on_failed(owner, answer);
    client_cancel(scene->second);
    scene->second = NULL;
    (void)call(scene, &LATER); /* is not of those that fail now */
    assert_int_equal(scene->failed, 1);
}

static void who_hears_that_its_call_failed_may_cancel_the_next_and_start_another(void **state)
{
    (void)state;
    static const struct client_events FIRST = {.on_done = on_first_failed};
    static const struct client_events OTHER = {.on_done = on_failed};
    struct scene scene;
    scene_start(&scene, false);
    (void)call(&scene, &FIRST);
    scene.second = call(&scene, &OTHER);
    (void)call(&scene, &OTHER);
    uint64_t until = clock_monotonic_ns() + 30000000000ull;
    while (scene.failed < 3 && clock_monotonic_ns() < until)
        loop_turn(scene.loop, 20);
    assert_int_equal(scene.failed, 3); /* the first, the third, and the one that came later */
    assert_int_equal(client_counters(scene.client)->connects, 2);
    scene_stop(&scene);
}

static bool has_silence(int wanted)
{
    for (int fd = 3; fd < DESCRIPTORS; fd++) {
        int found = 0;
        socklen_t len = sizeof(found);
        if (getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &found, &len) == 0 && found == wanted)
            return true;
    }
    return false;
}

static void what_is_not_acknowledged_in_time_is_not_delivered(void **state)
{
    (void)state;
    static const struct client_events EVENTS = {.on_done = on_failed};
    struct scene scene;
    scene_start(&scene, true);
    (void)call(&scene, &EVENTS);
    uint64_t until = clock_monotonic_ns() + 30000000000ull;
    while (!has_silence(4321) && clock_monotonic_ns() < until)
        loop_turn(scene.loop, 20);
    assert_true(has_silence(4321));
    scene_stop(&scene);
}

static void the_lease_outlasts_what_is_held_of_it(void **state)
{
    (void)state;
    assert_int_equal(election_hold_ms(LIMIT_LEASE_MS), 7000);
    assert_int_equal(election_hold_ms(1000), 700);
    assert_int_equal(election_hold_ms(60000), 42000);
}

static void pauses_grow_are_jittered_and_heed_what_was_asked(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    const struct client_answer none = {0}, patience = {.retry_after_s = 90};
    for (uint32_t failures = 0; failures < 40; failures++) {
        uint64_t most = MIN((uint64_t)LIMIT_KUBE_RETRY_MIN_MS << MIN(failures, 20u),
                            (uint64_t)LIMIT_KUBE_RETRY_MAX_MS);
        uint64_t pause = client_backoff_ms(loop, failures, &none);
        assert_true(pause >= most / 2 && pause <= most);
        assert_true(client_backoff_ms(loop, failures, &patience) == 90000);
    }
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_hears_that_its_call_failed_may_cancel_the_next_and_start_another),
        cmocka_unit_test(what_is_not_acknowledged_in_time_is_not_delivered),
        cmocka_unit_test(the_lease_outlasts_what_is_held_of_it),
        cmocka_unit_test(pauses_grow_are_jittered_and_heed_what_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
