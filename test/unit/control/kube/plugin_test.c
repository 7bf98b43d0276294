/* A credential plugin that hangs, on a clock that can be turned forward; the rest of it is in
 * test/e2e/test_kube_cli.py. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "control/kube/plugin.h"
#include "test.h"

struct fixture {
    struct io *kernel, io;
    uint64_t ahead_ns;
    struct loop *loop;
    struct kube_config config;
    struct kube_plugin plugin;
    int answers;
    char token[64], why[256];
};

static struct fixture *at_hand; /* the clock has no other way to it */

static uint64_t now_ns(void *state)
{
    return at_hand->kernel->now_ns(state) + at_hand->ahead_ns;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    at_hand = fixture;
    fixture->kernel = io_kernel_new();
    fixture->io = *fixture->kernel;
    fixture->io.now_ns = now_ns;
    fixture->loop = loop_new(&fixture->io);
    fixture->plugin.api_version = TEXT("client.authentication.k8s.io/v1");
    fixture->config.plugin = &fixture->plugin;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    loop_free(fixture->loop);
    io_kernel_free(fixture->kernel);
    free(fixture);
    return 0;
}

static void on_answer(void *owner, const struct plugin_credential *credential, const char *why)
{
    struct fixture *fixture = owner;
    fixture->answers++;
    if (credential != NULL)
        snprintf(fixture->token, sizeof(fixture->token), TEXT_FMT, TEXT_ARG(credential->token));
    if (why != NULL)
        snprintf(fixture->why, sizeof(fixture->why), "%s", why);
}

static struct plugin *start(struct fixture *fixture, const char *const *argv)
{
    static const char *const NOTHING[] = {NULL};
    fixture->plugin.argv = argv;
    fixture->plugin.env = NOTHING;
    return plugin_start(fixture->loop, &fixture->config, on_answer, fixture);
}

static void a_plugin_that_hangs_is_ended_when_its_time_is_over(void **state)
{
    static const char *const HANGS[] = {"/bin/sh", "-c", "echo wait >&2; sleep 3600", NULL};
    struct fixture *fixture = *state;
    (void)start(fixture, HANGS);
    while (fixture->answers == 0) {
        fixture->ahead_ns += (uint64_t)LIMIT_PLUGIN_MS * 1000000 / 4;
        (void)loop_turn(fixture->loop, 200);
    }
    assert_non_null(strstr(fixture->why, "`/bin/sh` gave no answer in 60 s"));
    assert_int_equal(fixture->answers, 1);
}

static void a_plugin_that_is_cancelled_says_nothing(void **state)
{
    static const char *const HANGS[] = {"/bin/sh", "-c", "sleep 3600", NULL};
    struct fixture *fixture = *state;
    struct plugin *plugin = start(fixture, HANGS);
    (void)loop_turn(fixture->loop, 0);
    plugin_cancel(plugin);
    (void)loop_turn(fixture->loop, 0);
    assert_int_equal(fixture->answers, 0);
}

static void a_plugin_that_is_cancelled_leaves_no_process(void **state)
{
    static const char *const HANGS[] = {"/bin/sh", "-c", "sleep 3600", NULL};
    struct fixture *fixture = *state;
    plugin_cancel(start(fixture, HANGS));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void what_a_plugin_prints_before_it_ends_is_read_whole(void **state)
{
    static const char *const PRINTS[] = {
        "/bin/sh", "-c",
        "printf '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":'; "
        "head -c 300000 /dev/zero | tr '\\0' ' '; "
        "printf '\"ExecCredential\",\"status\":{\"token\":\"abc\"}}'",
        NULL};
    struct fixture *fixture = *state;
    (void)start(fixture, PRINTS);
    while (fixture->answers == 0)
        (void)loop_turn(fixture->loop, -1);
    assert_string_equal(fixture->why, "");
    assert_string_equal(fixture->token, "abc");
}

/* As a shell does it. */
static void a_folder_on_the_path_is_no_program(void **state)
{
    static const char *const ECHO[] = {
        "sh", "-c",
        "echo '{\"apiVersion\": \"client.authentication.k8s.io/v1\", "
        "\"kind\": \"ExecCredential\", \"status\": {\"token\": \"found\"}}'",
        NULL};
    struct fixture *fixture = *state;
    char folder[] = "/tmp/plugin-test-XXXXXX", path[64], inner[64];
    assert_non_null(mkdtemp(folder));
    snprintf(inner, sizeof(inner), "%s/sh", folder);
    assert_int_equal(mkdir(inner, 0700), 0);
    snprintf(path, sizeof(path), "%s:/usr/bin:/bin", folder);
    char *before = strdup(getenv("PATH") == NULL ? "/bin" : getenv("PATH"));
    assert_int_equal(setenv("PATH", path, 1), 0);
    (void)start(fixture, ECHO);
    assert_int_equal(setenv("PATH", before, 1), 0);
    free(before);
    while (fixture->answers == 0)
        (void)loop_turn(fixture->loop, 200);
    rmdir(inner);
    rmdir(folder);
    assert_string_equal(fixture->why, "");
    assert_string_equal(fixture->token, "found");
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(a_plugin_that_hangs_is_ended_when_its_time_is_over),
        WITH_LOOP(a_plugin_that_is_cancelled_says_nothing),
        WITH_LOOP(a_plugin_that_is_cancelled_leaves_no_process),
        WITH_LOOP(what_a_plugin_prints_before_it_ends_is_read_whole),
        WITH_LOOP(a_folder_on_the_path_is_no_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
