/* What stands in a kubeconfig and says nothing; the rest is in test/e2e/test_kube_cli.py. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/kube/config.h"
#include "test.h"

#define HEAD                                                                                       \
    "apiVersion: v1\nkind: Config\ncurrent-context: c\n"                                           \
    "contexts: [{name: c, context: {cluster: k, user: u}}]\n"                                      \
    "clusters: [{name: k, cluster: {server: 'https://127.0.0.1:6443'}}]\n"

static const char *load(struct kube_config *config, const char *yaml)
{
    char path[] = "/tmp/kubeconfig-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, yaml, strlen(yaml)), (ssize_t)strlen(yaml));
    close(fd);
    const char *why = kube_config_load(config, path, TEXT_NONE);
    unlink(path);
    return why;
}

/* As templates and older tools write them; kubectl takes them for absent. */
static void members_that_say_nothing_are_not_there(void **state)
{
    (void)state;
    struct kube_config config;
    const char *why = load(&config, HEAD "users:\n- name: u\n  user:\n    token: t\n"
                                         "    exec: null\n    auth-provider: null\n    as: ''\n"
                                         "    as-groups: []\n    username: ~\n");
    assert_null(why);
    assert_true(text_is(config.token, "t"));
    assert_null(config.plugin);
    kube_config_fini(&config);
    why = load(&config, HEAD "users: [{name: u, user: {exec: null}}]\n");
    assert_null(why);
    assert_null(config.plugin);
    kube_config_fini(&config);
    why = load(&config, HEAD "users: [{name: u, user: null}]\n");
    assert_null(why);
    kube_config_fini(&config);
}

static void a_user_that_cannot_be_is_refused_in_words(void **state)
{
    (void)state;
    struct kube_config config;
    const char *why = load(&config, HEAD "users: [{name: u, user: {token: t, as: root}}]\n");
    assert_non_null(why);
    assert_non_null(strstr(why, "`as` of user \"u\" (impersonation) is not supported"));
    kube_config_fini(&config);
    why = load(&config, HEAD "users: [{name: u, user: {exec: {}}}]\n");
    assert_non_null(why);
    assert_non_null(strstr(why, "exec of user \"u\" has no command"));
    kube_config_fini(&config);
}

static const char *load_server(struct kube_config *config, const char *server)
{
    char yaml[400];
    (void)snprintf(yaml, sizeof(yaml),
                   "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
                   "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
                   "clusters: [{name: k, cluster: {server: '%s'}}]\n"
                   "users: [{name: u, user: {token: t}}]\n",
                   server);
    return load(config, yaml);
}

/* Whether a name means anything now is no matter of the file. */
static void a_server_is_an_address_or_a_name_that_is_looked_up_later(void **state)
{
    (void)state;
    struct kube_config config;
    struct address six;
    assert_true(address_parse(TEXT("fd00::1"), 6443, &six));
    assert_null(load_server(&config, "https://[fd00::1]:6443"));
    assert_null(config.host);
    assert_true(address_equal(&config.address, &six));
    assert_true(text_is(config.server_name, "fd00::1"));
    assert_true(text_is(config.authority, "[fd00::1]:6443"));
    kube_config_fini(&config);
    assert_null(load_server(&config, "https://not..a.name/prefix/"));
    assert_string_equal(config.host, "not..a.name");
    assert_int_equal(config.port, 443);
    assert_true(text_is(config.prefix, "/prefix"));
    kube_config_fini(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_that_say_nothing_are_not_there),
        cmocka_unit_test(a_user_that_cannot_be_is_refused_in_words),
        cmocka_unit_test(a_server_is_an_address_or_a_name_that_is_looked_up_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
