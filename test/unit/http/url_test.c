/* Targets and hosts into their normal form, or refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/url.h"
#include "test.h"

struct path_case {
    const char *in, *merged, *apart; /* NULL: refused */
};

static void check(struct arena *arena, const char *in, bool merge, const char *want)
{
    struct text out = TEXT_NONE;
    const char *why = NULL;
    bool good = url_normalise(arena, text_of(in), merge, &out, &why);
    if (good != (want != NULL) || (good && !text_is(out, want)))
        print_error("%s became \"" TEXT_FMT "\" (%s)\n", in, TEXT_ARG(out), why);
    assert_int_equal(good, want != NULL);
    if (good)
        assert_true(text_is(out, want));
    else
        assert_non_null(why);
}

static void paths_get_one_form(void **state)
{
    (void)state;
    static const struct path_case cases[] = {
        {"/", "/", "/"},
        {"/a/b.html", "/a/b.html", "/a/b.html"},
        {"/a/./b", "/a/b", "/a/b"},
        {"/a/../b", "/b", "/b"},
        {"/a/b/..", "/a/", "/a/"},
        {"/a/b/.", "/a/b/", "/a/b/"},
        {"/a/..", "/", "/"},
        {"/..", NULL, NULL},
        {"/a/../..", NULL, NULL},
        {"//a", "/a", "//a"},
        {"/a//b//", "/a/b/", "/a//b//"},
        {"/a//../b", "/b", "/a/b"},
        {"/%61%7E%2d%5f", "/a~-_", "/a~-_"},
        {"/%2e%2E/a", NULL, NULL},
        {"/b/%2e%2E/a", "/a", "/a"},
        {"/a%2Fb", "/a%2Fb", "/a%2Fb"},
        {"/a%2f../b", NULL, NULL},
        {"/a/..%5Cb", NULL, NULL},
        {"/a/.%2Fb", NULL, NULL},
        {"/a%2f%2fb", "/a%2f%2fb", "/a%2f%2fb"},
        {"/a%5c%5Cb", "/a%5C%5Cb", "/a%5C%5Cb"},
        {"/caf%c3%a9/%C3%A9%3b", "/caf%C3%A9/%C3%A9%3B", "/caf%C3%A9/%C3%A9%3B"},
        {"/a/..;x/b", NULL, NULL},
        {"/a;x=..", "/a;x=..", "/a;x=.."},
        {"/...", "/...", "/..."},
        {"/.well-known/x", "/.well-known/x", "/.well-known/x"},
        {"/a%", NULL, NULL},
        {"/a%4", NULL, NULL},
        {"/a%4g", NULL, NULL},
        {"/a%00", NULL, NULL},
        {"/a%20b%25", "/a%20b%25", "/a%20b%25"},
        {"/a b", NULL, NULL},
        {"/a\\b", NULL, NULL},
        {"/\xc3\xa9", NULL, NULL},
        {"a", NULL, NULL},
        {"", NULL, NULL},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check(&arena, cases[i].in, true, cases[i].merged);
        check(&arena, cases[i].in, false, cases[i].apart);
    }
    arena_fini(&arena);
}

static void a_normal_path_is_not_copied(void **state)
{
    (void)state;
    struct arena arena;
    struct text in = TEXT("/shop/cart/items.json"), out;
    const char *why;
    arena_init(&arena, 0);
    assert_true(url_normalise(&arena, in, true, &out, &why));
    assert_ptr_equal(in.data, out.data);
    assert_int_equal(arena.used, 0);
    arena_fini(&arena);
}

static void targets_are_split(void **state)
{
    (void)state;
    struct arena arena;
    struct message m;
    const char *why;
    arena_init(&arena, 0);
    message_init(&m);
    m.method = METHOD_GET;
    assert_true(url_parse_target(&arena, TEXT("/a?b=c?d"), true, &m, &why));
    assert_true(text_is(m.path, "/a") && m.has_query && text_is(m.query, "b=c?d"));
    assert_true(url_parse_target(&arena, TEXT("/a?"), true, &m, &why));
    assert_true(m.has_query && m.query.len == 0);
    assert_true(url_parse_target(&arena, TEXT("HTTPS://A.b:1?q"), true, &m, &why));
    assert_true(text_is(m.path, "/") && text_is(m.query, "q") && text_is(m.authority, "A.b:1"));
    assert_true(text_is(m.scheme, "https"));
    assert_false(url_parse_target(&arena, TEXT("*"), true, &m, &why));
    assert_false(url_parse_target(&arena, TEXT("ftp://a/"), true, &m, &why));
    assert_false(url_parse_target(&arena, TEXT("/a?b#c"), true, &m, &why));
    m.method = METHOD_OPTIONS;
    assert_true(url_parse_target(&arena, TEXT("*"), true, &m, &why));
    assert_true(text_is(m.path, "*"));
    assert_true(url_parse_target(&arena, TEXT("http://a"), true, &m, &why));
    assert_true(text_is(m.path, "*"));
    arena_fini(&arena);
}

static void hosts_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *in, *authority, *host; /* NULL: refused */
    } cases[] = {
        {"A.Example", "a.example", "a.example"},
        {"a.example.", "a.example.", "a.example"},
        {"a_b-c:8080", "a_b-c:8080", "a_b-c"},
        {"127.0.0.1:1", "127.0.0.1:1", "127.0.0.1"},
        {"[::1]:65535", "[::1]:65535", "[::1]"},
        {"[FE80::1]", "[fe80::1]", "[fe80::1]"},
        {"", NULL, NULL},
        {".", NULL, NULL},
        {"a..b", NULL, NULL},
        {".a", NULL, NULL},
        {":80", NULL, NULL},
        {"a:", "a", "a"},
        {"A.:", "a.", "a"},
        {"[::1]:", "[::1]", "[::1]"},
        {":", NULL, NULL},
        {"a::", NULL, NULL},
        {"a:0", NULL, NULL},
        {"a:65536", NULL, NULL},
        {"a:+80", NULL, NULL},
        {"a:080000", NULL, NULL},
        {"a:80:80", NULL, NULL},
        {"a b", NULL, NULL},
        {"a/b", NULL, NULL},
        {"u@a", NULL, NULL},
        {"a%41", NULL, NULL},
        {"a,b", NULL, NULL},
        {"[::1", NULL, NULL},
        {"[a]", NULL, NULL},
        {"[::1]x", NULL, NULL},
        {"\xc3\xa9", NULL, NULL},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct message m;
        const char *why = NULL;
        message_init(&m);
        bool good = url_parse_authority(&arena, text_of(cases[i].in), &m, &why);
        if (good != (cases[i].authority != NULL))
            print_error("%s\n", cases[i].in);
        assert_int_equal(good, cases[i].authority != NULL);
        if (good) {
            assert_true(text_is(m.authority, cases[i].authority));
            assert_true(text_is(m.host, cases[i].host));
        }
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_get_one_form),
        cmocka_unit_test(a_normal_path_is_not_copied),
        cmocka_unit_test(targets_are_split),
        cmocka_unit_test(hosts_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
