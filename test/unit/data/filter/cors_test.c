/* CORS: the conformance suite's table, and what it does not ask. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange_make.h"

#define STRING(literal) ((char *)(uintptr_t)(literal))

struct rules {
    Nantian__Config__V1__Cors message;
    char *origins[4], *methods[4], *headers[4], *expose[4];
};

static size_t fill(char **out, const char *list)
{
    static char words[64][64];
    static size_t used;
    size_t count = 0;
    struct text rest = text_of(list), word;
    while (rest.len > 0 && text_split(&rest, ' ', &word)) {
        char *copy = words[used++ % ARRAY_LEN(words)];
        snprintf(copy, sizeof(words[0]), TEXT_FMT, TEXT_ARG(word));
        out[count++] = copy;
    }
    return count;
}

/* Lists are words with one blank between. */
static void rules_init(struct rules *rules, const char *origins, const char *methods,
                       const char *headers, const char *expose, bool credentials)
{
    *rules = (struct rules){.message = NANTIAN__CONFIG__V1__CORS__INIT};
    rules->message.allow_origins = rules->origins;
    rules->message.allow_methods = rules->methods;
    rules->message.allow_headers = rules->headers;
    rules->message.expose_headers = rules->expose;
    rules->message.n_allow_origins = fill(rules->origins, origins);
    rules->message.n_allow_methods = fill(rules->methods, methods);
    rules->message.n_allow_headers = fill(rules->headers, headers);
    rules->message.n_expose_headers = fill(rules->expose, expose);
    rules->message.allow_credentials = credentials;
    rules->message.max_age_s = 3600;
}

static void begin(struct exchange_make *make, const struct rules *rules, const char *method,
                  const char *origin)
{
    make_exchange(make, "/", 0);
    make->request.method_name = text_of(method);
    make->request.method = message_method(make->request.method_name);
    if (origin != NULL)
        message_add(&make->request, &make->arena, TEXT("Origin"), text_of(origin));
    make_chain(make, &filter_cors, &rules->message);
}

/* A preflight, answered; the values are in make->x.response. */
static void preflight(struct exchange_make *make, const struct rules *rules, const char *origin,
                      const char *method)
{
    begin(make, rules, "OPTIONS", origin);
    message_add(&make->request, &make->arena, TEXT("Access-Control-Request-Method"),
                text_of(method));
    message_add(&make->request, &make->arena, TEXT("Access-Control-Request-Headers"),
                TEXT("x-header-1, x-header-2"));
    assert_int_equal(chain_run_request(&make->x), FILTER_RESPOND);
    assert_int_equal(chain_run_response(&make->x), FILTER_NEXT);
    assert_int_equal(make->x.response->status, 204);
}

static void expect(struct exchange_make *make, const char *name, const char *value)
{
    char full[64];
    snprintf(full, sizeof(full), "access-control-%s", name);
    assert_string_equal(make_value(make->x.response, full, &make->arena), value);
}

static const char LISTED[] = "https://www.foo.com https://*.bar.com";

static void a_listed_origin_gets_the_lists_in_its_preflight(void **state)
{
    (void)state;
    static const char *const ORIGINS[] = {"https://www.foo.com", "https://www.bar.com",
                                          "https://xpto.www.bar.com", "https://www.foo.com:443",
                                          "https://WWW.Foo.com"};
    struct rules rules;
    rules_init(&rules, LISTED, "GET OPTIONS", "x-header-1 x-header-2", "x-header-3 x-header-4",
               true);
    for (size_t i = 0; i < ARRAY_LEN(ORIGINS); i++) {
        struct exchange_make make;
        preflight(&make, &rules, ORIGINS[i], "GET");
        expect(&make, "allow-origin", ORIGINS[i]);
        expect(&make, "allow-methods", "GET, OPTIONS");
        expect(&make, "allow-headers", "x-header-1, x-header-2");
        expect(&make, "expose-headers", "x-header-3, x-header-4");
        expect(&make, "max-age", "3600");
        expect(&make, "allow-credentials", "true");
        assert_string_equal(make_value(make.x.response, "vary", &make.arena),
                            "Origin, Access-Control-Request-Method, "
                            "Access-Control-Request-Headers");
        make_end(&make);
    }
}

static void another_origin_is_answered_without_allowance(void **state)
{
    (void)state;
    static const char *const ORIGINS[] = {"https://foobar.com",
                                          "https://bar.com",
                                          "http://www.foo.com",
                                          "null",
                                          "https://.bar.com",
                                          "https://www.foo.com:8443",
                                          "https://evilbar.com",
                                          "https://x.bar.com/",
                                          "https://www.foo.com.evil.example",
                                          "https://",
                                          "www.foo.com"};
    struct rules rules;
    rules_init(&rules, LISTED, "GET OPTIONS", "x-header-1", "x-header-3", true);
    for (size_t i = 0; i < ARRAY_LEN(ORIGINS); i++) {
        struct exchange_make make;
        preflight(&make, &rules, ORIGINS[i], "GET");
        for (uint32_t k = 0; k < make.x.response->field_count; k++)
            assert_true(text_equal_nocase(make.x.response->fields[k].name, TEXT("vary")));
        make_end(&make);
    }
}

static void a_request_goes_on_and_its_answer_says_who_may_read_it(void **state)
{
    (void)state;
    static const struct {
        const char *method, *origin, *allowed;
    } ROWS[] = {{"GET", "https://www.foo.com", "https://www.foo.com"},
                {"GET", "https://a.b.bar.com", "https://a.b.bar.com"},
                {"GET", "https://foobar.com", "absent"},
                {"OPTIONS", "https://www.foo.com", "https://www.foo.com"},
                {"GET", NULL, "absent"}};
    struct rules rules;
    rules_init(&rules, LISTED, "GET", "", "x-header-3", false);
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct exchange_make make;
        begin(&make, &rules, ROWS[i].method, ROWS[i].origin);
        assert_int_equal(chain_run_request(&make.x), FILTER_NEXT);
        message_init(&make.upstream);
        message_add(&make.upstream, &make.arena, TEXT("Access-Control-Allow-Origin"), TEXT("*"));
        make.upstream.status = 200;
        make.x.response = &make.upstream;
        assert_int_equal(chain_run_response(&make.x), FILTER_NEXT);
        expect(&make, "allow-origin", ROWS[i].allowed);
        expect(&make, "allow-credentials", "absent");
        expect(&make, "expose-headers", i == 2 || i == 4 ? "absent" : "x-header-3");
        assert_string_equal(make_value(&make.upstream, "vary", &make.arena), "Origin");
        make_end(&make);
    }
}

static void every_origin_without_credentials_is_a_star(void **state)
{
    (void)state;
    struct exchange_make make;
    struct rules rules;
    rules_init(&rules, "*", "*", "*", "*", false);
    preflight(&make, &rules, "https://foo.com:12345", "PUT");
    expect(&make, "allow-origin", "*");
    expect(&make, "allow-methods", "*");
    expect(&make, "allow-headers", "*");
    expect(&make, "expose-headers", "*");
    expect(&make, "allow-credentials", "absent");
    make_end(&make);
    rules_init(&rules, "*", "PUT", "", "", false);
    preflight(&make, &rules, "null", "PUT");
    expect(&make, "allow-origin", "*");
    expect(&make, "allow-methods", "PUT");
    expect(&make, "allow-headers", "absent");
    make_end(&make);
}

static void stars_with_credentials_repeat_what_was_asked(void **state)
{
    (void)state;
    struct exchange_make make;
    struct rules rules;
    rules_init(&rules, "*", "*", "*", "*", true);
    preflight(&make, &rules, "https://foo.com", "PUT");
    expect(&make, "allow-origin", "https://foo.com");
    expect(&make, "allow-methods", "PUT");
    expect(&make, "allow-headers", "x-header-1, x-header-2");
    expect(&make, "allow-credentials", "true");
    expect(&make, "expose-headers", "absent");
    make_end(&make);
    begin(&make, &rules, "GET", "https://foo.com");
    assert_int_equal(chain_run_request(&make.x), FILTER_NEXT);
    message_init(&make.upstream);
    message_add(&make.upstream, &make.arena, TEXT("x-one"), TEXT("1"));
    message_add(&make.upstream, &make.arena, TEXT("set-cookie"), TEXT("a=b"));
    message_add(&make.upstream, &make.arena, TEXT("x-two"), TEXT("2"));
    make.x.response = &make.upstream;
    assert_int_equal(chain_run_response(&make.x), FILTER_NEXT);
    expect(&make, "allow-origin", "https://foo.com");
    expect(&make, "expose-headers", "x-one, x-two, vary");
    make_end(&make);
}

static void what_is_no_origin_or_name_is_refused(void **state)
{
    (void)state;
    struct arena arena;
    struct rules rules;
    arena_init(&arena, 0);
    static const char *const ORIGINS[] = {"foo.com", "https://", "https://a*.com",
                                          "https://foo.com/path"};
    for (size_t i = 0; i < ARRAY_LEN(ORIGINS); i++) {
        rules_init(&rules, ORIGINS[i], "", "", "", false);
        assert_string_equal(make_refusal(&filter_cors, &rules.message, &arena),
                            "allow_origins: is not \"*\" or like https://*.example.com:8443");
    }
    rules_init(&rules, "*", "GET", "", "", false);
    rules.methods[0] = STRING("G T");
    assert_string_equal(make_refusal(&filter_cors, &rules.message, &arena),
                        "allow_methods: is not a method");
    rules_init(&rules, "*", "", "a:b", "", false);
    assert_string_equal(make_refusal(&filter_cors, &rules.message, &arena),
                        "allow_headers: is not a header name");
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listed_origin_gets_the_lists_in_its_preflight),
        cmocka_unit_test(another_origin_is_answered_without_allowance),
        cmocka_unit_test(a_request_goes_on_and_its_answer_says_who_may_read_it),
        cmocka_unit_test(every_origin_without_credentials_is_a_star),
        cmocka_unit_test(stars_with_credentials_repeat_what_was_asked),
        cmocka_unit_test(what_is_no_origin_or_name_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
