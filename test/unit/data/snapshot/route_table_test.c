/* Gateway API precedence, one tie-break at a time, and what a hit and a recorder are told. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "route_make.h"

#define expect(table, line, label) assert_string_equal(serve(table, line), label)

static struct route_table *add(struct route_table *table, const char *object, const char *hosts,
                               const char *matches)
{
    return with_route(table, make_route(object, 0, 100, hosts, matches));
}

static void an_empty_table_serves_nothing(void **state)
{
    (void)state;
    struct route_table *table = route_table_new();
    expect(table, "GET example.com /", "404");
    assert_int_equal(route_table_count(table), 0);
    route_table_unref(table);
}

static void prefixes_match_by_path_element_and_the_longest_wins(void **state)
{
    (void)state;
    struct route_table *table = route_table_new();
    table = add(table, "a/root", "", "/ | / h:version=one");
    table = add(table, "a/v2", "", "/v2 | / h:version=two");
    table = add(table, "a/deep", "", "/v2/x/y");
    expect(table, "GET h /", "a/root#0");
    expect(table, "GET h /v2", "a/v2#0");
    expect(table, "GET h /v2/", "a/v2#0");
    expect(table, "GET h /v2/example", "a/v2#0");
    expect(table, "GET h /v2example", "a/root#0");
    expect(table, "GET h /foo/v2/example", "a/root#0");
    expect(table, "GET h / h:version=two", "a/v2#0");
    expect(table, "GET h /v2/x/y/z", "a/deep#0");
    expect(table, "GET h /v2/x/yz", "a/v2#0");
    expect(table, "OPTIONS h *", "a/root#0");
    route_table_unref(table);
}

static void exact_beats_regex_beats_prefix(void **state)
{
    (void)state;
    struct route_table *table = route_table_new();
    table = add(table, "a/prefix", "", "/one/two");
    table = add(table, "a/regex", "", "~/o.*");
    table = add(table, "a/longer-regex", "", "~/one/th.*");
    table = add(table, "a/exact", "", "=/one/two");
    expect(table, "GET h /one/two", "a/exact#0");
    expect(table, "GET h /one/two/", "a/regex#0");
    expect(table, "GET h /one/three", "a/longer-regex#0");
    expect(table, "GET h /xone", "404"); /* a full match */
    route_table_unref(table);
}

static void exact_paths_are_exact(void **state)
{
    (void)state;
    struct route_table *table = add(route_table_new(), "a/x", "", "=/one | =/two");
    expect(table, "GET h /one", "a/x#0");
    expect(table, "GET h /two", "a/x#0");
    expect(table, "GET h /", "404");
    expect(table, "GET h /one/example", "404");
    expect(table, "GET h /two/", "404");
    expect(table, "GET h /Two", "404");
    route_table_unref(table);
}

static void path_then_method_then_headers_then_query_decide(void **state)
{
    (void)state;
    struct route_table *table = route_table_new();
    table = add(table, "a/path5", "", "/path5");
    table = add(table, "a/method", "", "PATCH /");
    table = add(table, "a/headers", "", "/ h:version=four h:color=blue");
    table = add(table, "a/header", "", "/ h:version=four");
    table = add(table, "a/queries", "", "/ q:animal=whale q:size=big");
    table = add(table, "a/query", "", "/ q:animal=whale");
    table = add(table, "a/any", "", "/");
    expect(table, "PATCH h /path5", "a/path5#0");
    expect(table, "PATCH h / h:version=four", "a/method#0");
    expect(table, "GET h /?animal=whale h:version=four", "a/header#0");
    expect(table, "GET h / h:version=four h:color=blue", "a/headers#0");
    expect(table, "GET h /?size=big&animal=whale", "a/queries#0");
    expect(table, "GET h /?animal=whale", "a/query#0");
    expect(table, "GET h /", "a/any#0");
    route_table_unref(table);
}

static void unmatched_methods_are_not_found(void **state)
{
    (void)state;
    struct route_table *table = add(route_table_new(), "a/get", "", "GET /");
    expect(table, "GET h /", "a/get#0");
    expect(table, "HEAD h /", "404");
    expect(table, "get h /", "404");
    route_table_unref(table);
}

static void age_then_name_then_rule_order_break_ties(void **state)
{
    (void)state;
    struct route_table *table = route_table_new();
    table = with_route(table, make_route("z/old", 0, 10, "", "/age"));
    table = with_route(table, make_route("a/new", 0, 20, "", "/age"));
    table = with_route(table, make_route("a/x", 0, 10, "", "/name"));
    table = with_route(table, make_route("a-b/x", 0, 10, "", "/name"));
    table = with_route(table, make_route("a/b", 1, 10, "", "/rule"));
    table = with_route(table, make_route("a/b", 0, 10, "", "/rule"));
    expect(table, "GET h /age", "z/old#0");
    expect(table, "GET h /name", "a-b/x#0"); /* '-' sorts before '/' */
    expect(table, "GET h /rule", "a/b#0");
    route_table_unref(table);
}

static void hosts_are_ranked_exact_then_longest_wildcard_then_any(void **state)
{
    (void)state;
    struct route_table *table = route_table_new();
    table = add(table, "a/any", "", "/");
    table = add(table, "a/com", "*.com", "/");
    table = add(table, "a/foo", "*.foo.com", "/");
    table = add(table, "a/bar", "bar.foo.com", "/");
    expect(table, "GET bar.foo.com /", "a/bar#0");
    expect(table, "GET x.foo.com /", "a/foo#0");
    expect(table, "GET x.y.foo.com /", "a/foo#0");
    expect(table, "GET foo.com /", "a/com#0");
    expect(table, "GET com /", "a/any#0");
    expect(table, "GET .com /", "a/any#0");
    expect(table, "GET example.org /", "a/any#0");
    route_table_unref(table);
}

/* HTTPRouteHostnameIntersection and ListenerHostnameMatching, as the table sees them. */
static void wildcards_take_several_labels_but_not_the_bare_domain(void **state)
{
    (void)state;
    struct route_table *table = route_table_new();
    table = add(table, "a/v1", "bar.com", "/");
    table = add(table, "a/v2", "foo.bar.com", "/");
    table = add(table, "a/v3", "*.bar.com,*.foo.com", "/");
    expect(table, "GET bar.com /", "a/v1#0");
    expect(table, "GET foo.bar.com /", "a/v2#0");
    expect(table, "GET baz.bar.com /", "a/v3#0");
    expect(table, "GET multiple.prefixes.bar.com /", "a/v3#0");
    expect(table, "GET multiple.prefixes.foo.com /", "a/v3#0");
    expect(table, "GET foo.com /", "404");
    expect(table, "GET no.matching.host /", "404");
    expect(table, "GET xbar.com /", "404");
    route_table_unref(table);
}

/* HTTPRouteMultipleRoutesAttachmentSameHostnameIntersection */
static void the_more_specific_host_wins_over_age_and_path_but_falls_through(void **state)
{
    (void)state;
    struct route_table *table = route_table_new();
    table = with_route(table, make_route("a/older", 0, 1, "*.example.com", "=/path/longer | /"));
    table = with_route(table, make_route("a/newer", 0, 2, "abc.example.com", "/ h:header-a=1"));
    expect(table, "GET abc.example.com /path/longer h:header-a=1", "a/newer#0");
    expect(table, "GET abc.example.com /path/longer", "a/older#0");
    expect(table, "GET abc.example.com /x", "a/older#0");
    expect(table, "GET x.example.com /x h:header-a=1", "a/older#0");
    route_table_unref(table);
}

static void a_longer_path_that_fails_falls_through_to_a_shorter_one(void **state)
{
    (void)state;
    struct route_table *table = route_table_new();
    table = add(table, "a/exact", "", "POST =/a/b");
    table = add(table, "a/regex", "", "~/a/.* h:x=1");
    table = add(table, "a/ab", "", "/a/b q:q=1");
    table = add(table, "a/a", "", "/a");
    expect(table, "GET h /a/b", "a/a#0");
    expect(table, "GET h /a/b?q=1", "a/ab#0");
    expect(table, "GET h /a/b?q=1 h:x=1", "a/regex#0");
    expect(table, "POST h /a/b?q=1 h:x=1", "a/exact#0");
    expect(table, "GET h /b", "404");
    route_table_unref(table);
}

static void header_names_have_no_case_and_values_do(void **state)
{
    (void)state;
    struct route_table *table = route_table_new();
    table = add(table, "a/x", "", "/ h:version=One");
    table = add(table, "a/type", "", "/ h:content-type=text/plain");
    table = add(table, "a/re", "", "/ h:color~bl(ue|ack)");
    table = add(table, "a/host", "", "/ h:host=abc.example.com");
    expect(table, "GET h / h:VerSion=One", "a/x#0");
    expect(table, "GET h / h:version=one", "404");
    expect(table, "GET h / h:Content-Type=text/plain", "a/type#0");
    expect(table, "GET h / h:color=black", "a/re#0");
    expect(table, "GET h / h:color=blacks", "404");
    expect(table, "GET abc.example.com /", "a/host#0");
    route_table_unref(table);
}

static void fields_of_one_name_are_joined_by_commas(void **state)
{
    (void)state;
    struct route_table *table = add(route_table_new(), "a/x", "", "/ h:tags=a,b,c");
    expect(table, "GET h / h:tags=a h:x=y h:Tags=b,c", "a/x#0");
    expect(table, "GET h / h:tags=a", "404");
    route_table_unref(table);
}

static void query_parameters_are_decoded_case_sensitive_and_the_first_counts(void **state)
{
    (void)state;
    struct route_table *table = route_table_new();
    table = add(table, "a/x", "", "/ q:animal=Wh/le");
    table = add(table, "a/re", "", "/ q:size~[0-9]+");
    table = add(table, "a/empty", "", "/ q:flag=");
    expect(table, "GET h /?animal=Wh%2fle", "a/x#0");
    expect(table, "GET h /?b=c&anim%61l=Wh/le&animal=no", "a/x#0");
    expect(table, "GET h /?animal=no&animal=Wh/le", "404");
    expect(table, "GET h /?ANIMAL=Wh/le", "404");
    expect(table, "GET h /?animal=wh/le", "404");
    expect(table, "GET h /?animal=Wh/le%", "404");
    expect(table, "GET h /?size=%31%32", "a/re#0");
    expect(table, "GET h /?size=12x", "404");
    expect(table, "GET h /?flag", "a/empty#0");
    expect(table, "GET h /?flag=", "a/empty#0");
    expect(table, "GET h /", "404");
    route_table_unref(table);
}

static void prefixes_deeper_than_any_index_still_match(void **state)
{
    (void)state;
    char deep[512] = "", line[600], match[600];
    for (int i = 0; i < 100; i++)
        snprintf(deep + i * 2, 3, "/%c", 'a' + i % 26);
    struct route_table *table = add(route_table_new(), "a/root", "", "/");
    snprintf(match, sizeof(match), "%s", deep);
    table = add(table, "a/deep", "", match);
    snprintf(line, sizeof(line), "GET h %s/x", deep);
    expect(table, line, "a/deep#0");
    snprintf(line, sizeof(line), "GET h %sx", deep);
    expect(table, line, "a/root#0");
    route_table_unref(table);
}

static void a_hit_names_the_match_and_the_prefix_that_fit(void **state)
{
    (void)state;
    struct route_table *table = add(route_table_new(), "a/x", "*.example.com", "/one/two/");
    struct arena arena;
    arena_init(&arena, 0);
    struct message request;
    make_request(&request, &arena, "GET a.example.com /one/two/three");
    struct route_hit hit = {0};
    assert_true(route_table_match(table, &request, NULL, &hit));
    assert_int_equal(hit.prefix_len, 8);
    assert_ptr_equal(hit.match, &hit.route->matches[0]);
    arena_fini(&arena);
    route_table_unref(table);
}

/* The table without that route, which the caller still has. */
static struct route_table *without(struct route_table *table, struct route *route)
{
    struct route_edit edit = {.remove = route};
    struct route_table *made = route_table_edit(table, &edit, 1);
    route_table_unref(table);
    return made;
}

static void a_host_goes_from_one_place_to_several_and_back(void **state)
{
    (void)state;
    static const char *const PLACES[] = {"=/a", "/a", "/", "/b", "~/c", "POST /a"};
    static const char *const PATHS[] = {"GET h /a", "GET h /a/x", "GET h /x",
                                        "GET h /b", "GET h /c",   "POST h /a/x"};
    for (size_t first = 0; first < ARRAY_LEN(PLACES); first++) {
        struct route *one = make_route("a/one", 0, 0, "h", PLACES[first]);
        struct route_table *alone = with_route(route_table_new(), route_ref(one));
        for (size_t second = 0; second < ARRAY_LEN(PLACES); second++) {
            struct route *two = make_route("b/two", 0, 0, "h", PLACES[second]);
            struct route_table *both = with_route(route_table_ref(alone), route_ref(two));
            assert_int_equal(route_table_count(both), 2);
            assert_string_not_equal(serve(both, PATHS[first]), "404");
            assert_string_not_equal(serve(both, PATHS[second]), "404");
            struct route_table *other = without(route_table_ref(both), one);
            struct route_table *again = without(both, two);
            assert_string_equal(serve(other, PATHS[second]), "b/two#0");
            assert_string_equal(serve(again, PATHS[first]), "a/one#0");
            for (size_t i = 0; i < ARRAY_LEN(PATHS); i++)
                assert_string_equal(serve(again, PATHS[i]), serve(alone, PATHS[i]));
            other = without(other, two);
            assert_int_equal(route_table_count(other), 0);
            assert_string_equal(serve(other, PATHS[second]), "404");
            route_table_unref(other);
            route_table_unref(again);
            route_unref(two);
        }
        route_table_unref(alone);
        route_unref(one);
    }
}

static void elements_end_wherever_their_slashes_stand(void **state)
{
    (void)state;
    struct route_table *table = route_table_new();
    table = add(table, "a/root", "", "/");
    char path[64], line[160];
    for (int len = 1; len < 40; len++) {
        memset(path, 'a', sizeof(path));
        snprintf(line, sizeof(line), "/%.*s/b", len, path);
        table = add(table, "a/prefix", "", line);
    }
    for (int len = 1; len < 40; len++) {
        static const struct {
            const char *behind, *by;
        } ASKS[] = {{"/b", "a/prefix#0"},   {"/b/", "a/prefix#0"}, {"/b/c/d/e", "a/prefix#0"},
                    {"/bb", "a/root#0"},    {"/", "a/root#0"},     {"", "a/root#0"},
                    {"\xAF/b", "a/root#0"}, {".b", "a/root#0"},    {"/b0b", "a/root#0"}};
        for (size_t i = 0; i < ARRAY_LEN(ASKS); i++) {
            snprintf(line, sizeof(line), "GET h /%.*s%s", len, path, ASKS[i].behind);
            assert_string_equal(serve(table, line), ASKS[i].by);
        }
    }
    assert_string_equal(serve(table, "OPTIONS h *"), "a/root#0");
    route_table_unref(table);
}

struct told {
    char text[1024];
};

static void on_candidate(void *owner, const struct route *route, const struct route_match *match,
                         struct text hostname, const char *lost, struct text detail)
{
    (void)match;
    (void)hostname;
    struct told *told = owner;
    size_t len = strlen(told->text);
    snprintf(told->text + len, sizeof(told->text) - len, "%s: %s%s" TEXT_FMT "\n",
             route->label.data, lost == NULL ? "won" : lost, detail.len > 0 ? " " : "",
             TEXT_ARG(detail));
}

static void the_recorder_hears_of_each_candidate_and_why_it_lost(void **state)
{
    (void)state;
    struct route_table *table = route_table_new();
    table = add(table, "a/post", "", "POST =/a");
    table = add(table, "a/re", "", "~/b");
    table = add(table, "a/query", "", "/a q:x=1");
    table = add(table, "a/header", "", "/a h:beta=1");
    table = add(table, "a/won", "", "/a");
    table = add(table, "a/root", "", "/");
    table = add(table, "a/behind", "", "POST /");
    table = add(table, "a/other", "", "/other");
    struct arena arena;
    arena_init(&arena, 0);
    struct message request;
    make_request(&request, &arena, "GET h /a?x=2");
    struct told told = {""};
    struct route_recorder recorder = {&told, on_candidate};
    struct route_hit hit = {0};
    assert_true(route_table_match(table, &request, &recorder, &hit));
    assert_string_equal(hit.route->label.data, "a/won#0");
    assert_string_equal(told.text, "a/post#0: method is not POST\n"
                                   "a/re#0: path does not match /b\n"
                                   "a/header#0: header absent: beta\n"
                                   "a/query#0: query parameter differs: x\n"
                                   "a/won#0: won\n"
                                   "a/behind#0: method is not POST\n"
                                   "a/root#0: lower rank\n");
    arena_fini(&arena);
    route_table_unref(table);
}

static void on_entry(void *owner, const struct route *route, const struct route_match *match,
                     struct text hostname)
{
    on_candidate(owner, route, match, hostname, "", hostname);
}

static void the_walk_goes_in_match_order(void **state)
{
    (void)state;
    struct route_table *table = route_table_new();
    table = add(table, "a/any", "", "/x | =/x");
    table = add(table, "a/wild", "*.b.com,*.a.b.com", "/");
    table = add(table, "a/exact", "z.com,a.com", "/ | /longer | ~/re");
    struct told told = {""};
    route_table_walk(table, &told, on_entry);
    assert_string_equal(told.text, "a/exact#0:  a.com\na/exact#0:  a.com\na/exact#0:  a.com\n"
                                   "a/exact#0:  z.com\na/exact#0:  z.com\na/exact#0:  z.com\n"
                                   "a/wild#0:  *.a.b.com\na/wild#0:  *.b.com\n"
                                   "a/any#0: \na/any#0: \n");
    route_table_unref(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_serves_nothing),
        cmocka_unit_test(prefixes_match_by_path_element_and_the_longest_wins),
        cmocka_unit_test(exact_beats_regex_beats_prefix),
        cmocka_unit_test(exact_paths_are_exact),
        cmocka_unit_test(path_then_method_then_headers_then_query_decide),
        cmocka_unit_test(unmatched_methods_are_not_found),
        cmocka_unit_test(age_then_name_then_rule_order_break_ties),
        cmocka_unit_test(hosts_are_ranked_exact_then_longest_wildcard_then_any),
        cmocka_unit_test(wildcards_take_several_labels_but_not_the_bare_domain),
        cmocka_unit_test(the_more_specific_host_wins_over_age_and_path_but_falls_through),
        cmocka_unit_test(a_longer_path_that_fails_falls_through_to_a_shorter_one),
        cmocka_unit_test(header_names_have_no_case_and_values_do),
        cmocka_unit_test(fields_of_one_name_are_joined_by_commas),
        cmocka_unit_test(query_parameters_are_decoded_case_sensitive_and_the_first_counts),
        cmocka_unit_test(prefixes_deeper_than_any_index_still_match),
        cmocka_unit_test(a_host_goes_from_one_place_to_several_and_back),
        cmocka_unit_test(elements_end_wherever_their_slashes_stand),
        cmocka_unit_test(a_hit_names_the_match_and_the_prefix_that_fit),
        cmocka_unit_test(the_recorder_hears_of_each_candidate_and_why_it_lost),
        cmocka_unit_test(the_walk_goes_in_match_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
