/* Addresses from text and back, as tables. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"
#include "test.h"

struct row {
    const char *in, *out; /* NULL: refused */
};

static void endpoints_are_parsed_and_written_back(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"10.0.0.1:80", "10.0.0.1:80"},
        {"127.0.0.1:0", "127.0.0.1:0"},
        {":80", "0.0.0.0:80"},
        {"[::1]:443", "[::1]:443"},
        {"[::]:65535", "[::]:65535"},
        {"[2001:DB8:0::1]:1", "[2001:db8::1]:1"},
        {"unix:/run/x.sock", "unix:/run/x.sock"},
        {"unix:@nantian", "unix:@nantian"},
        {"", NULL},
        {":", NULL},
        {"80", NULL},
        {"10.0.0.1", NULL},
        {"10.0.0.1:", NULL},
        {"10.0.0.1:65536", NULL},
        {"10.0.0.1:99999999999", NULL},
        {"10.0.0.1:-1", NULL},
        {"10.0.0.1:+1", NULL},
        {"10.0.0.1: 1", NULL},
        {"10.0.0.1:0x50", NULL},
        {"10.0.0.256:80", NULL},
        {"10.0.0:80", NULL},
        {"010.0.0.1:80", NULL},
        {" 10.0.0.1:80", NULL},
        {"::1:80", NULL},
        {"[::1]", NULL},
        {"[::1:80", NULL},
        {"[10.0.0.1]:80", NULL},
        {"[]:80", NULL},
        {"localhost:80", NULL},
        {"unix:", NULL},
        {"unix:@", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct address address;
        char out[ADDRESS_TEXT_MAX];
        bool parsed = address_parse_endpoint(text_of(rows[i].in), &address);
        if (parsed != (rows[i].out != NULL))
            fail_msg("\"%s\" is %s", rows[i].in, parsed ? "taken" : "refused");
        if (!parsed)
            continue;
        assert_string_equal(address_format(&address, out).data, rows[i].out);
        struct address again;
        assert_true(address_parse_endpoint(text_of(out), &again));
        assert_true(address_equal(&address, &again));
    }
}

static void hosts_are_parsed_with_and_without_brackets(void **state)
{
    (void)state;
    struct address a, b;
    char out[ADDRESS_TEXT_MAX];
    assert_true(address_parse(TEXT("::1"), 8080, &a));
    assert_true(address_parse(TEXT("[::1]"), 8080, &b));
    assert_true(address_equal(&a, &b));
    assert_int_equal(address_port(&a), 8080);
    assert_true(text_is(address_format_host(&a, out), "::1"));
    address_set_port(&b, 81);
    assert_false(address_equal(&a, &b));
    assert_true(address_parse(TEXT("192.0.2.7"), 1, &a));
    assert_true(text_is(address_format_host(&a, out), "192.0.2.7"));
    assert_false(address_parse(TEXT("192.0.2.7\0x"), 1, &a));
    assert_false(address_parse(TEXT("example.com"), 1, &a));
    assert_false(address_parse(TEXT(""), 1, &a));
}

static void a_path_longer_than_the_kernel_takes_is_refused(void **state)
{
    (void)state;
    char text[300] = "unix:/";
    memset(text + 6, 'a', 250);
    struct address address;
    assert_false(address_parse_endpoint(text_of(text), &address));
    text[5 + 107] = 0;
    assert_true(address_parse_endpoint(text_of(text), &address));
    char out[ADDRESS_TEXT_MAX];
    assert_string_equal(address_format(&address, out).data, text);
}

static void no_address_has_an_empty_text(void **state)
{
    (void)state;
    struct address none = {0}, other;
    char out[ADDRESS_TEXT_MAX];
    assert_int_equal(address_format(&none, out).len, 0);
    assert_int_equal(address_port(&none), 0);
    assert_true(address_equal(&none, &none));
    assert_true(address_parse(TEXT("::"), 1, &other));
    assert_false(address_equal(&none, &other));
}

static void clients_are_told_apart_by_address_or_by_network(void **state)
{
    (void)state;
    struct address v4, v6, other;
    assert_true(address_parse(TEXT("192.0.2.1"), 999, &v4));
    assert_true(address_parse(TEXT("::ffff:192.0.2.1"), 1, &v6)); /* the same client */
    assert_true(text_equal(address_client(&v4), address_client(&v6)));
    assert_true(address_parse(TEXT("192.0.2.2"), 999, &other));
    assert_false(text_equal(address_client(&v4), address_client(&other)));
    assert_true(address_parse(TEXT("2001:db8:0:1::1"), 1, &v6));
    assert_true(address_parse(TEXT("2001:db8:0:1:ffff::2"), 2, &other));
    assert_true(text_equal(address_client(&v6), address_client(&other)));
    assert_true(address_parse(TEXT("2001:db8:0:2::1"), 1, &other));
    assert_false(text_equal(address_client(&v6), address_client(&other)));
    assert_true(address_parse_endpoint(TEXT("unix:/run/x"), &other));
    assert_int_equal(address_client(&other).len, 0);
}

static void loopback_is_two_addresses(void **state)
{
    (void)state;
    static const char *const OTHERS[] = {"127.0.0.2:1",     "127.0.0.6:1",   "0.0.0.0:1",
                                         "10.0.0.1:1",      "[::]:1",        "[::ffff:127.0.0.1]:1",
                                         "[2001:db8::1]:1", "unix:127.0.0.1"};
    struct address address = {0};
    assert_false(address_is_loopback(&address));
    assert_true(address_parse_endpoint(TEXT("127.0.0.1:80"), &address));
    assert_true(address_is_loopback(&address));
    assert_true(address_parse_endpoint(TEXT("[::1]:0"), &address));
    assert_true(address_is_loopback(&address));
    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++) {
        assert_true(address_parse_endpoint(text_of(OTHERS[i]), &address));
        if (address_is_loopback(&address))
            fail_msg("%s is taken for loopback", OTHERS[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_are_parsed_and_written_back),
        cmocka_unit_test(hosts_are_parsed_with_and_without_brackets),
        cmocka_unit_test(a_path_longer_than_the_kernel_takes_is_refused),
        cmocka_unit_test(no_address_has_an_empty_text),
        cmocka_unit_test(clients_are_told_apart_by_address_or_by_network),
        cmocka_unit_test(loopback_is_two_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
