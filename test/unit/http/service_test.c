/* Who is asked for what by a guarded service: a client over loopback, a Unix socket, or from
 * elsewhere, for which 127.0.0.2 stands. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/service.h"
#include "test.h"

struct scene {
    struct loop *loop;
    struct service *service;
    int asked, handled;
    int says; /* what the guard answers; 0: nothing yet */
    uint64_t ticket;
    struct builder answer; /* what the client read */
};

static void on_path(void *owner, const struct service_request *request, struct service_reply *reply)
{
    (void)request;
    struct scene *scene = owner;
    scene->handled++;
    builder_add_string(&reply->body, "here");
}

static void on_stranger(void *owner, uint64_t ticket, const struct message *head)
{
    (void)head;
    struct scene *scene = owner;
    scene->asked++;
    scene->ticket = ticket;
    if (scene->says != 0)
        service_admit(scene->service, ticket, scene->says, "no");
}

static void scene_start(struct scene *scene, const char *endpoint)
{
    static const struct service_path PATHS[] = {
        {"GET", "/open", on_path, true},
        {"GET", "/closed", on_path, false},
        {"POST", "/change", on_path, false},
    };
    struct address address;
    *scene = (struct scene){.loop = loop_new(NULL)};
    scene->service = service_new(scene->loop, PATHS, ARRAY_LEN(PATHS), scene);
    service_set_guard(scene->service, on_stranger, scene);
    assert_true(address_parse_endpoint(text_of(endpoint), &address));
    assert_true(service_listen(scene->service, &address));
}

static void scene_stop(struct scene *scene)
{
    service_free(scene->service);
    builder_fini(&scene->answer);
    loop_free(scene->loop);
}

/* From this address, or from wherever the kernel says (NULL); returns the client's socket. */
static int say(struct scene *scene, const char *from, const char *request)
{
    struct address to = service_address(scene->service), own;
    if (to.any.sa_family == AF_INET)
        assert_true(address_parse(TEXT("127.0.0.1"), address_port(&to), &to));
    int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (from != NULL) {
        assert_true(address_parse(text_of(from), 0, &own));
        assert_int_equal(bind(fd, &own.any, own.len), 0);
    }
    assert_int_equal(connect(fd, &to.any, to.len), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    return fd;
}

/* Until the other end closes. */
static const char *hear(struct scene *scene, int fd)
{
    char bytes[512];
    ssize_t got = -1;
    uint64_t until = clock_monotonic_ns() + 60000000000ull;
    builder_clear(&scene->answer);
    while (got != 0 && clock_monotonic_ns() < until) {
        loop_turn(scene->loop, 5);
        while ((got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
            builder_add(&scene->answer, text_from(bytes, (size_t)got));
    }
    close(fd);
    builder_add_char(&scene->answer, '\0');
    return scene->answer.data;
}

static const char *ask(struct scene *scene, const char *from, const char *line)
{
    char request[256];
    snprintf(request, sizeof(request),
             "%s HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", line);
    return hear(scene, say(scene, from, request));
}

static bool has_status(const char *answer, int status)
{
    char line[16];
    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    return strncmp(answer, line, strlen(line)) == 0;
}

static void nobody_on_this_machine_is_asked(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof(path), "unix:@nantian-service-test-%d", (int)getpid());
    const char *const endpoints[] = {"127.0.0.1:0", "0.0.0.0:0", path};
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
        struct scene scene;
        scene_start(&scene, endpoints[i]);
        assert_true(has_status(ask(&scene, NULL, "GET /open"), 200));
        assert_true(has_status(ask(&scene, NULL, "GET /closed"), 200));
        assert_true(has_status(ask(&scene, NULL, "POST /change"), 200));
        assert_true(has_status(ask(&scene, NULL, "GET /none"), 404));
        assert_int_equal(scene.asked, 0);
        scene_stop(&scene);
    }
}

/* However the path is written: what is not one of those that are open is the guard's. */
static void a_stranger_gets_what_is_open_and_nothing_else(void **state)
{
    (void)state;
    static const char *const OPEN[] = {"GET /open", "HEAD /open", "GET /open?x",
                                       "GET http://a/open", "GET /x/../open"};
    static const char *const CLOSED[] = {
        "GET /closed",
        "HEAD /closed",
        "POST /change",
        "POST /closed",
        "GET /",
        "GET /open/",
        "GET //open/../closed",
        "GET /none",
        "POST /open",
        "OPTIONS /open",
        "OPTIONS /closed",
        "PUT /closed",
        "GET /open/../closed",
        "GET /%63losed",
        "GET http://a/closed",
        "GET /OPEN",
        "GET /open;/closed",
        "DELETE /open",
    };
    struct scene scene;
    scene_start(&scene, "0.0.0.0:0");
    scene.says = 401;
    for (size_t i = 0; i < ARRAY_LEN(OPEN); i++)
        if (!has_status(ask(&scene, "127.0.0.2", OPEN[i]), 200))
            fail_msg("%s: %s", OPEN[i], scene.answer.data);
    assert_int_equal(scene.asked, 0);
    scene.handled = 0;
    for (size_t i = 0; i < ARRAY_LEN(CLOSED); i++) {
        const char *answer = ask(&scene, "127.0.0.2", CLOSED[i]);
        if (!has_status(answer, 401) || strstr(answer, "www-authenticate: Bearer") == NULL)
            fail_msg("%s: %s", CLOSED[i], answer);
    }
    assert_int_equal(scene.asked, ARRAY_LEN(CLOSED));
    assert_int_equal(scene.handled, 0);
    scene.says = 403;
    assert_true(has_status(ask(&scene, "127.0.0.2", "GET /closed"), 403));
    assert_null(strstr(scene.answer.data, "www-authenticate"));
    scene_stop(&scene);
}

static void whom_the_guard_admits_is_answered(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, "0.0.0.0:0");
    scene.says = 200;
    assert_true(has_status(ask(&scene, "127.0.0.2", "GET /closed"), 200));
    assert_non_null(strstr(scene.answer.data, "here"));
    assert_true(has_status(ask(&scene, "127.0.0.2", "POST /change"), 200));
    assert_true(has_status(ask(&scene, "127.0.0.2", "POST /closed"), 405));
    assert_int_equal(scene.asked, 3);
    scene_stop(&scene);
}

static void wait_asked(struct scene *scene, int count)
{
    uint64_t until = clock_monotonic_ns() + 60000000000ull;
    while (scene->asked < count && clock_monotonic_ns() < until)
        loop_turn(scene->loop, 5);
    assert_int_equal(scene->asked, count);
}

/* Two requests on one connection: the second one's turn comes after the first one's answer. */
static void the_guard_may_take_its_time(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, "0.0.0.0:0");
    int fd = say(&scene, "127.0.0.2",
                 "GET /closed HTTP/1.1\r\nHost: a\r\n\r\n"
                 "POST /change HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n"
                 "\r\nhi");
    wait_asked(&scene, 1);
    for (int i = 0; i < 10; i++)
        loop_turn(scene.loop, 1);
    assert_int_equal(scene.asked + scene.handled, 1);
    service_admit(scene.service, scene.ticket + 1, 200, NULL); /* nobody's */
    service_admit(scene.service, scene.ticket, 200, NULL);
    service_admit(scene.service, scene.ticket, 403, "too late");
    wait_asked(&scene, 2);
    service_admit(scene.service, scene.ticket, 403, "no");
    const char *answer = hear(&scene, fd);
    assert_true(has_status(answer, 200));
    assert_non_null(strstr(answer, "HTTP/1.1 403 "));
    assert_int_equal(scene.handled, 1);
    scene_stop(&scene);
}

static void a_request_that_is_gone_is_not_answered(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, "0.0.0.0:0");
    close(say(&scene, "127.0.0.2", "GET /closed HTTP/1.1\r\nHost: a\r\n\r\n"));
    (void)say(&scene, "127.0.0.2", "GET /closed HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_asked(&scene, 2);
    for (int i = 0; i < 10; i++)
        loop_turn(scene.loop, 1);
    for (uint64_t ticket = 1; ticket <= scene.ticket; ticket++)
        service_admit(scene.service, ticket, 403, "no");
    assert_int_equal(scene.handled, 0);
    scene.says = 200;
    assert_true(has_status(ask(&scene, "127.0.0.2", "GET /closed"), 200));
    scene.says = 0;
    close(say(&scene, "127.0.0.2", "GET /closed HTTP/1.1\r\nHost: a\r\n\r\n"));
    wait_asked(&scene, 4); /* and it still waits when the service ends */
    scene_stop(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_on_this_machine_is_asked),
        cmocka_unit_test(a_stranger_gets_what_is_open_and_nothing_else),
        cmocka_unit_test(whom_the_guard_admits_is_answered),
        cmocka_unit_test(the_guard_may_take_its_time),
        cmocka_unit_test(a_request_that_is_gone_is_not_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
