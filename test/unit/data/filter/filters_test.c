/* Header edits, redirects and rewrites, one exchange each; and what their compile refuses. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange_make.h"

static Nantian__Config__V1__Header header(const char *name, const char *value)
{
    Nantian__Config__V1__Header made = NANTIAN__CONFIG__V1__HEADER__INIT;
    made.name = (char *)(uintptr_t)name;
    made.value = (char *)(uintptr_t)value;
    return made;
}

#define STRING(literal) ((char *)(uintptr_t)(literal))

struct modifier {
    Nantian__Config__V1__HeaderModifier message;
    Nantian__Config__V1__Header set[2], add[2];
    Nantian__Config__V1__Header *sets[2], *adds[2];
    char *removes[1];
};

static void modifier_init(struct modifier *modifier)
{
    *modifier = (struct modifier){.message = NANTIAN__CONFIG__V1__HEADER_MODIFIER__INIT};
    for (int i = 0; i < 2; i++) {
        modifier->sets[i] = &modifier->set[i];
        modifier->adds[i] = &modifier->add[i];
    }
    modifier->message.set = modifier->sets;
    modifier->message.add = modifier->adds;
    modifier->message.remove = modifier->removes;
}

static void request_headers_are_set_added_and_removed(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/", 0);
    message_add(&make.request, &make.arena, TEXT("X-Header-Set"), TEXT("old"));
    message_add(&make.request, &make.arena, TEXT("x-header-set"), TEXT("older"));
    message_add(&make.request, &make.arena, TEXT("X-Header-Add"), TEXT("first"));
    message_add(&make.request, &make.arena, TEXT("X-Header-Remove"), TEXT("gone"));
    struct modifier modifier;
    modifier_init(&modifier);
    modifier.set[0] = header("X-HEADER-SET", "new");
    modifier.set[1] = header("x-header-set", "ignored: the first of a name counts");
    modifier.add[0] = header("x-header-add", "second");
    modifier.removes[0] = STRING("x-header-remove");
    modifier.message.n_set = 2;
    modifier.message.n_add = modifier.message.n_remove = 1;
    make_chain(&make, &filter_request_headers, &modifier.message);
    assert_int_equal(chain_run_request(&make.x), FILTER_NEXT);
    assert_string_equal(make_value(&make.request, "x-header-set", &make.arena), "new");
    assert_string_equal(make_value(&make.request, "x-header-add", &make.arena), "first|second");
    assert_string_equal(make_value(&make.request, "x-header-remove", &make.arena), "absent");
    make_end(&make);
}

static void setting_host_rewrites_the_host(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/", 0);
    struct modifier modifier;
    modifier_init(&modifier);
    modifier.set[0] = header("Host", "other.example");
    modifier.message.n_set = 1;
    make_chain(&make, &filter_request_headers, &modifier.message);
    assert_int_equal(chain_run_request(&make.x), FILTER_NEXT);
    assert_true(text_is(make.x.host_rewrite, "other.example"));
    assert_string_equal(make_value(&make.request, "host", &make.arena), "absent");
    make_end(&make);
}

static void response_headers_are_edited_on_the_way_back(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/", 0);
    struct modifier modifier;
    modifier_init(&modifier);
    modifier.set[0] = header("server", "ours");
    modifier.message.n_set = 1;
    make_chain(&make, &filter_response_headers, &modifier.message);
    assert_int_equal(chain_run_request(&make.x), FILTER_NEXT);
    make_answer(&make, 200);
    assert_string_equal(make_value(make.x.response, "server", &make.arena), "ours");
    make_end(&make);
}

static void fields_that_frame_messages_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *words;
    } CASES[] = {
        {"content-length", "5", "set[0].name: names a field that no filter may change"},
        {"Transfer-Encoding", "x", "set[0].name: names a field that no filter may change"},
        {"connection", "close", "set[0].name: names a field that no filter may change"},
        {"", "x", "set[0].name: is not the name of a header field"},
        {"a b", "x", "set[0].name: is not the name of a header field"},
        {":path", "x", "set[0].name: is not the name of a header field"},
        {"x", "a\r\nb: c", "set[0].value: holds bytes that no field may have"},
        {"x", " a", "set[0].value: holds bytes that no field may have"},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct modifier modifier;
        modifier_init(&modifier);
        modifier.set[0] = header(CASES[i].name, CASES[i].value);
        modifier.message.n_set = 1;
        assert_string_equal(make_refusal(&filter_response_headers, &modifier.message, &arena),
                            CASES[i].words);
    }
    struct modifier modifier;
    modifier_init(&modifier);
    modifier.removes[0] = STRING("host");
    modifier.message.n_remove = 1;
    assert_string_equal(make_refusal(&filter_request_headers, &modifier.message, &arena),
                        "remove: would leave the request without a Host");
    arena_fini(&arena);
}

/* ---- redirect ---- */

static const char *redirect(struct exchange_make *make, Nantian__Config__V1__Redirect *message)
{
    make_chain(make, &filter_redirect, message);
    assert_int_equal(chain_run_request(&make->x), FILTER_RESPOND);
    assert_ptr_equal(make->x.response, &make->x.local_response);
    return make_value(make->x.response, "location", &make->arena);
}

/* The table of HTTPRouteRedirectPortAndScheme. */
static void redirects_name_the_port_that_the_client_needs(void **state)
{
    (void)state;
    static const struct {
        const char *connection;
        uint16_t listener;
        const char *scheme;
        uint16_t port;
        const char *location;
    } CASES[] = {
        {"http", 80, "", 0, "http://example.org/"},
        {"http", 80, "", 80, "http://example.org/"},
        {"http", 80, "", 8080, "http://example.org:8080/"},
        {"http", 80, "https", 0, "https://example.org/"},
        {"http", 80, "https", 443, "https://example.org/"},
        {"http", 80, "https", 8443, "https://example.org:8443/"},
        {"http", 8080, "", 0, "http://example.org:8080/"},
        {"http", 8080, "", 80, "http://example.org/"},
        {"http", 8080, "https", 0, "https://example.org/"},
        {"https", 443, "", 0, "https://example.org/"},
        {"https", 443, "", 443, "https://example.org/"},
        {"https", 443, "", 8443, "https://example.org:8443/"},
        {"https", 443, "http", 0, "http://example.org/"},
        {"https", 443, "http", 80, "http://example.org/"},
        {"https", 443, "http", 8080, "http://example.org:8080/"},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct exchange_make make;
        make_exchange(&make, "/", 0);
        make.request.scheme = text_of(CASES[i].connection);
        make.listener.port = CASES[i].listener;
        Nantian__Config__V1__Redirect message = NANTIAN__CONFIG__V1__REDIRECT__INIT;
        message.scheme = STRING(CASES[i].scheme);
        message.port = CASES[i].port;
        assert_string_equal(redirect(&make, &message), CASES[i].location);
        assert_int_equal(make.x.response->status, 302);
        make_end(&make);
    }
}

static void redirects_keep_path_and_query_and_take_host_and_status(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/a/b?c=d&e", 0);
    Nantian__Config__V1__Redirect message = NANTIAN__CONFIG__V1__REDIRECT__INIT;
    message.hostname = STRING("other.org");
    message.status = 301;
    assert_string_equal(redirect(&make, &message), "http://other.org/a/b?c=d&e");
    assert_int_equal(make.x.response->status, 301);
    assert_string_equal(make.x.details, "redirect");
    make_end(&make);
}

static void a_redirect_stays_on_its_host(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "//evil.example/", 0);
    Nantian__Config__V1__Redirect message = NANTIAN__CONFIG__V1__REDIRECT__INIT;
    message.scheme = STRING("https");
    assert_string_equal(redirect(&make, &message), "https://example.org//evil.example/");
    make_end(&make);
    make_exchange(&make, "//evil.example/", 0);
    make.request.host = TEXT_NONE;
    assert_string_equal(redirect(&make, &message), "/.//evil.example/");
    make_end(&make);
}

static void broken_redirects_are_refused(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    Nantian__Config__V1__Redirect message = NANTIAN__CONFIG__V1__REDIRECT__INIT;
    message.status = 304;
    assert_string_equal(make_refusal(&filter_redirect, &message, &arena),
                        "status: is none of 301, 302, 303, 307, 308");
    message.status = 302;
    message.scheme = STRING("javascript");
    assert_string_equal(make_refusal(&filter_redirect, &message, &arena),
                        "scheme: is neither http nor https");
    message.scheme = STRING("");
    message.port = 65536;
    assert_string_equal(make_refusal(&filter_redirect, &message, &arena), "port: is above 65535");
    message.port = 0;
    message.hostname = STRING("a\r\nb");
    assert_string_equal(make_refusal(&filter_redirect, &message, &arena),
                        "hostname: is not a host name");
    arena_fini(&arena);
}

/* ---- paths: the table of HTTPPathModifier, for both filters ---- */

static const char *rewrite(const char *target, const char *prefix, const char *replacement,
                           bool whole, char out[128])
{
    struct exchange_make make;
    make_exchange(&make, target, strlen(prefix));
    Nantian__Config__V1__PathModifier path = NANTIAN__CONFIG__V1__PATH_MODIFIER__INIT;
    path.kind_case = whole ? NANTIAN__CONFIG__V1__PATH_MODIFIER__KIND_REPLACE_FULL
                           : NANTIAN__CONFIG__V1__PATH_MODIFIER__KIND_REPLACE_PREFIX;
    path.replace_full = STRING(replacement);
    Nantian__Config__V1__UrlRewrite message = NANTIAN__CONFIG__V1__URL_REWRITE__INIT;
    message.path = &path;
    make_chain(&make, &filter_url_rewrite, &message);
    assert_int_equal(chain_run_request(&make.x), FILTER_NEXT);
    assert_true(text_is(make.x.original_path, target));
    snprintf(out, 128, TEXT_FMT, TEXT_ARG(make.request.path));
    make_end(&make);

    make_exchange(&make, target, strlen(prefix));
    Nantian__Config__V1__Redirect twin = NANTIAN__CONFIG__V1__REDIRECT__INIT;
    twin.path = &path;
    assert_string_equal(redirect(&make, &twin) + strlen("http://example.org"), out);
    make_end(&make);
    return out;
}

static void prefixes_are_replaced_by_path_elements(void **state)
{
    (void)state;
    char out[128];
    /* A matched prefix has no last '/': "/foo" and "/foo/" are the same rule. */
    assert_string_equal(rewrite("/foo/bar", "/foo", "/xyz", false, out), "/xyz/bar");
    assert_string_equal(rewrite("/foo/bar", "/foo", "/xyz/", false, out), "/xyz/bar");
    assert_string_equal(rewrite("/foo", "/foo", "/xyz", false, out), "/xyz");
    assert_string_equal(rewrite("/foo/", "/foo", "/xyz", false, out), "/xyz/");
    assert_string_equal(rewrite("/foo/bar", "/foo", "", false, out), "/bar");
    assert_string_equal(rewrite("/foo/", "/foo", "", false, out), "/");
    assert_string_equal(rewrite("/foo", "/foo", "", false, out), "/");
    assert_string_equal(rewrite("/foo/", "/foo", "/", false, out), "/");
    assert_string_equal(rewrite("/foo", "/foo", "/", false, out), "/");
    assert_string_equal(rewrite("/strip-prefix/three", "/strip-prefix", "/", false, out), "/three");
    assert_string_equal(rewrite("/x", "", "/y", false, out), "/y/x");
    assert_string_equal(rewrite("/foo/bar", "/foo", "/one/two", true, out), "/one/two");
}

static void broken_paths_are_refused(void **state)
{
    (void)state;
    static const char *const BROKEN[] = {"x", "/a b", "/a?b", "/a#b", "/a\r\n", "/\xc3\xa9"};
    struct arena arena;
    arena_init(&arena, 0);
    Nantian__Config__V1__UrlRewrite message = NANTIAN__CONFIG__V1__URL_REWRITE__INIT;
    Nantian__Config__V1__PathModifier path = NANTIAN__CONFIG__V1__PATH_MODIFIER__INIT;
    message.path = &path;
    assert_string_equal(make_refusal(&filter_url_rewrite, &message, &arena),
                        "path: says neither the full path nor the prefix");
    path.kind_case = NANTIAN__CONFIG__V1__PATH_MODIFIER__KIND_REPLACE_PREFIX;
    for (size_t i = 0; i < ARRAY_LEN(BROKEN); i++) {
        path.replace_prefix = STRING(BROKEN[i]);
        assert_string_equal(make_refusal(&filter_url_rewrite, &message, &arena),
                            "path.replace_prefix: is not a path");
    }
    arena_fini(&arena);
}

static void a_backend_rewrites_the_path_that_was_matched(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/prefix/one/two", 7);
    Nantian__Config__V1__PathModifier path = NANTIAN__CONFIG__V1__PATH_MODIFIER__INIT;
    Nantian__Config__V1__UrlRewrite message = NANTIAN__CONFIG__V1__URL_REWRITE__INIT;
    message.path = &path;
    message.hostname = STRING("rewritten.example");
    path.kind_case = NANTIAN__CONFIG__V1__PATH_MODIFIER__KIND_REPLACE_PREFIX;
    path.replace_prefix = STRING("/first-much-longer");
    make_chain(&make, &filter_url_rewrite, &message);
    path.replace_prefix = STRING("/second");
    struct filter_step step = {.type = &filter_url_rewrite,
                               .config = make_config(&make, &filter_url_rewrite, &message)};
    make.backend.filters = chain_new(&make.arena, &step, 1);
    make.x.backend = &make.backend;
    assert_int_equal(chain_run_request(&make.x), FILTER_NEXT);
    assert_true(text_is(make.request.path, "/first-much-longer/one/two"));
    assert_int_equal(chain_run_backend_request(&make.x), FILTER_NEXT);
    assert_true(text_is(make.request.path, "/second/one/two"));
    assert_true(text_is(make.x.original_path, "/prefix/one/two"));
    assert_true(text_is(make.x.host_rewrite, "rewritten.example"));
    make_end(&make);
}

static void a_share_of_the_requests_is_mirrored(void **state)
{
    (void)state;
    Nantian__Config__V1__Mirror message = NANTIAN__CONFIG__V1__MIRROR__INIT;
    message.backend = STRING("default/audit:80");
    static const struct {
        uint32_t numerator, denominator;
        int least, most;
    } SHARES[] = {{0, 0, 1000, 1000}, {0, 100, 0, 0}, {100, 100, 1000, 1000}, {1, 4, 190, 310}};
    for (size_t i = 0; i < ARRAY_LEN(SHARES); i++) {
        struct exchange_make make;
        make_exchange(&make, "/", 0);
        message.numerator = SHARES[i].numerator;
        message.denominator = SHARES[i].denominator;
        struct filter_step step = {.type = &filter_mirror,
                                   .config = make_config(&make, &filter_mirror, &message)};
        struct backend_name *to = filter_mirror.backend(step.config);
        assert_true(text_is(to->resource, "default/audit:80"));
        to->slot = 7;
        int copies = 0;
        for (int n = 0; n < 1000; n++) {
            make.x.copies = NULL;
            assert_int_equal(filter_mirror.on_request(&make.x, step.config, NULL), FILTER_NEXT);
            copies += make.x.copies != NULL && make.x.copies->slot == 7;
        }
        assert_in_range(copies, SHARES[i].least, SHARES[i].most);
        make_end(&make);
    }
}

static void clients_are_let_in_by_address(void **state)
{
    (void)state;
    static const struct {
        const char *allow, *deny, *client;
        bool is_let_in;
    } CASES[] = {
        {"", "", "192.0.2.1", true},
        {"192.0.2.0/24", "", "192.0.2.1", true},
        {"192.0.2.0/24", "", "192.0.3.1", false},
        {"192.0.2.0/24", "", "::ffff:192.0.2.9", true}, /* of a dual-stack socket */
        {"192.0.2.77/25", "", "192.0.2.127", true},
        {"192.0.2.77/25", "", "192.0.2.128", false},
        {"192.0.2.1", "", "192.0.2.1", true},
        {"192.0.2.1", "", "192.0.2.3", false},
        {"0.0.0.0/0", "", "198.51.100.7", true},
        {"0.0.0.0/0", "", "2001:db8::1", false},
        {"::/0", "", "2001:db8::1", true},
        {"::/0", "", "192.0.2.1", false},
        {"2001:db8:8000::/33", "", "2001:db8:ffff::1", true},
        {"2001:db8:8000::/33", "", "2001:db8:7fff::1", false},
        {"", "10.0.0.0/8", "10.1.2.3", false},
        {"", "10.0.0.0/8", "11.1.2.3", true},
        {"10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", false}, /* deny wins */
        {"10.0.0.0/8", "10.1.0.0/16", "10.2.2.3", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct exchange_make make;
        make_exchange(&make, "/", 0);
        char *allow = STRING(CASES[i].allow), *deny = STRING(CASES[i].deny);
        Nantian__Config__V1__AddressList message = NANTIAN__CONFIG__V1__ADDRESS_LIST__INIT;
        message.allow = &allow;
        message.deny = &deny;
        message.n_allow = allow[0] != '\0';
        message.n_deny = deny[0] != '\0';
        make_chain(&make, &filter_address_list, &message);
        assert_true(address_parse(text_of(CASES[i].client), 1, &make.x.peer));
        bool is_let_in = chain_run_request(&make.x) == FILTER_NEXT;
        if (is_let_in != CASES[i].is_let_in)
            fail_msg("case %zu: %s", i, CASES[i].client);
        assert_true(is_let_in || make.x.response->status == 403);
        make_end(&make);
    }
}

static void what_is_no_range_is_refused(void **state)
{
    (void)state;
    static const char *const BAD[] = {"", "10.0.0.0/33", "::/129", "10.0.0/8", "a.example", "::/x"};
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct arena arena;
        arena_init(&arena, 0);
        char *bad = STRING(BAD[i]);
        Nantian__Config__V1__AddressList message = NANTIAN__CONFIG__V1__ADDRESS_LIST__INIT;
        message.deny = &bad;
        message.n_deny = 1;
        assert_string_equal(make_refusal(&filter_address_list, &message, &arena),
                            "deny[0]: is no range of addresses");
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_headers_are_set_added_and_removed),
        cmocka_unit_test(setting_host_rewrites_the_host),
        cmocka_unit_test(response_headers_are_edited_on_the_way_back),
        cmocka_unit_test(fields_that_frame_messages_are_refused),
        cmocka_unit_test(redirects_name_the_port_that_the_client_needs),
        cmocka_unit_test(redirects_keep_path_and_query_and_take_host_and_status),
        cmocka_unit_test(a_redirect_stays_on_its_host),
        cmocka_unit_test(broken_redirects_are_refused),
        cmocka_unit_test(prefixes_are_replaced_by_path_elements),
        cmocka_unit_test(broken_paths_are_refused),
        cmocka_unit_test(a_backend_rewrites_the_path_that_was_matched),
        cmocka_unit_test(a_share_of_the_requests_is_mirrored),
        cmocka_unit_test(clients_are_let_in_by_address),
        cmocka_unit_test(what_is_no_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
