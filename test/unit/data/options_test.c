/* The command line of nantian-proxy: what is wrong is refused, what is right is kept. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/options.h"
#include "test.h"

static enum options_result parse(struct options *options, const char *const *words)
{
    static char copies[20][64];
    char *argv[21] = {NULL};
    int argc = 0;
    for (; words[argc] != NULL; argc++) {
        strncpy(copies[argc], words[argc], sizeof(copies[0]) - 1);
        argv[argc] = copies[argc];
    }
    return options_parse(options, argc, argv);
}

#define PARSE(options, ...)                                                                        \
    parse(options, (const char *const[]){"nantian-proxy", __VA_ARGS__, NULL})

static void flags_are_taken_in_both_forms(void **state)
{
    (void)state;
    struct options options;
    assert_int_equal(PARSE(&options, "--xds", "unix:/run/x", "--xds=cp:18000", "--workers=3",
                           "--node", "n1", "--admin", "127.0.0.1:0", "--log-format", "text",
                           "--default-address", "::1", "--drain-timeout=5", "--memory-max=512Mi",
                           "--handshake-rate", "7"),
                     OPTIONS_RUN);
    assert_int_equal(options.xds_count, 2);
    assert_string_equal(options.xds[1], "cp:18000");
    assert_int_equal(options.workers, 3);
    assert_string_equal(options.node, "n1");
    assert_int_equal(options.admin_count, 1);
    assert_true(options.log_as_text);
    assert_true(text_is(options.default_addresses[0], "::1"));
    assert_int_equal(options.drain_timeout_ms, 5);
    assert_int_equal(options.memory_max, 512u << 20);
    assert_int_equal(options.handshake_rate, 7);
    options_fini(&options);
}

static void defaults_serve(void **state)
{
    (void)state;
    struct options options;
    assert_int_equal(PARSE(&options, "--xds", "unix:/run/x"), OPTIONS_RUN);
    assert_string_equal(options.admin[0], "127.0.0.1:19000");
    assert_string_equal(options.access_log, "stdout");
    assert_true(options.workers >= 1);
    assert_non_null(options.node);
    options_fini(&options);
}

static void mistakes_are_refused(void **state)
{
    (void)state;
    static const char *const MISTAKES[][3] = {
        {"--bogus", NULL},
        {"--access-log", "/nonexistent/access.log"},
        {"--access-log", "/"},
        {"--workers", "0"},
        {"--workers", "x"},
        {"--workers", NULL},
        {"--xds", "nowhere"},
        {"--admin", "19000"},
        {"--log-format", "xml"},
        {"--log-level", "loud"},
        {"--default-address", "a.b"},
        {"--drain-timeout", "-1"},
        {"--xds-cert", "c.pem"},
        {"--node", ""},
        {"positional", NULL},
        {"--take-over", NULL},
        {"--memory-max", "1Mi"},
        {"--handshake-rate", "0"},
        {"--handshake-rate", "many"},
        {"--memory-max", "1G"},
        {"--memory-max", "99999999999Gi"},
    };
    for (size_t i = 0; i < ARRAY_LEN(MISTAKES); i++) {
        struct options options;
        assert_int_equal(PARSE(&options, "--xds", "unix:/run/x", MISTAKES[i][0], MISTAKES[i][1]),
                         OPTIONS_WRONG);
        options_fini(&options);
    }
}

static void without_a_source_nothing_could_be_served(void **state)
{
    (void)state;
    struct options options;
    assert_int_equal(PARSE(&options, "--workers", "1"), OPTIONS_WRONG);
    options_fini(&options);
    assert_int_equal(PARSE(&options, "--state-dir", "/var/lib/x", "--admin", "off"), OPTIONS_RUN);
    assert_int_equal(options.admin_count, 0);
    options_fini(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_are_taken_in_both_forms),
        cmocka_unit_test(defaults_serve),
        cmocka_unit_test(mistakes_are_refused),
        cmocka_unit_test(without_a_source_nothing_could_be_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
