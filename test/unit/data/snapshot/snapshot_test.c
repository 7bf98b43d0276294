/* Bindings choose the most specific listener; tables of backends share what does not change; leases
 * and lives end when the last holder goes; expressions match whole texts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/regex.h"
#include "data/snapshot/lease.h"
#include "data/snapshot/snapshot.h"
#include "test.h"

static struct listener_config *make_listener(const char *hostname)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct listener_config *listener = arena_new(&arena, struct listener_config);
    atomic_init(&listener->refs, 1);
    listener->arena = arena;
    listener->hostname = arena_text(&listener->arena, text_of(hostname));
    listener->routes = route_table_new();
    return listener;
}

static const char *pick(const struct binding *binding, const char *host)
{
    struct listener_config *listener = binding_listener(binding, text_of(host));
    return listener == NULL ? "none" : listener->hostname.data;
}

/* GatewayHTTPListenerIsolation */
static void a_binding_picks_the_most_specific_listener(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"", "*.example.com", "*.foo.example.com",
                                        "abc.foo.example.com"};
    struct binding_edit edits[4];
    for (size_t i = 0; i < 4; i++) {
        edits[i].listener = make_listener(NAMES[i]);
        edits[i].hostname = edits[i].listener->hostname;
    }
    struct binding *binding = binding_edit(NULL, edits, 4);
    assert_string_equal(pick(binding, "bar.com"), "");
    assert_string_equal(pick(binding, ""), "");
    assert_string_equal(pick(binding, "example.com"), "");
    assert_string_equal(pick(binding, "bar.example.com"), "*.example.com");
    assert_string_equal(pick(binding, "foo.example.com"), "*.example.com");
    assert_string_equal(pick(binding, "bar.foo.example.com"), "*.foo.example.com");
    assert_string_equal(pick(binding, "abc.foo.example.com"), "abc.foo.example.com");

    struct binding_edit gone = {TEXT(""), NULL};
    struct binding *fewer = binding_edit(binding, &gone, 1);
    assert_string_equal(pick(fewer, "bar.com"), "none");
    assert_string_equal(pick(fewer, "x.example.com"), "*.example.com");
    assert_string_equal(pick(binding, "bar.com"), "");
    assert_int_equal(fewer->listener_count, 3);
    for (size_t i = 0; i < 4; i++)
        listener_config_unref(edits[i].listener);
    binding_unref(binding);
    binding_unref(fewer);
}

static void hosts_of_any_shape_do_no_harm(void **state)
{
    (void)state;
    struct binding_edit edits[2] = {{TEXT("*.a"), make_listener("*.a")},
                                    {TEXT("*.b.a"), make_listener("*.b.a")}};
    struct binding *binding = binding_edit(NULL, edits, 2);
    char long_host[4096];
    memset(long_host, '.', sizeof(long_host));
    for (size_t len = 0; len < sizeof(long_host); len += 13)
        binding_listener(binding, text_from(long_host, len));
    assert_string_equal(pick(binding, "a"), "none");
    assert_string_equal(pick(binding, ".a"), "none");
    assert_string_equal(pick(binding, "..a"), "*.a");
    assert_string_equal(pick(binding, "b.a"), "*.a");
    assert_string_equal(pick(binding, "x.b.a"), "*.b.a");
    listener_config_unref(edits[0].listener);
    listener_config_unref(edits[1].listener);
    binding_unref(binding);
}

static struct backend *make_backend(uint32_t slot)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct backend *backend = arena_new(&arena, struct backend);
    atomic_init(&backend->refs, 1);
    backend->arena = arena;
    backend->slot = slot;
    return backend;
}

static void a_table_of_backends_is_left_as_it_was_by_edits(void **state)
{
    (void)state;
    struct backend *a = make_backend(3), *b = make_backend(1000), *c = make_backend(3);
    struct backend_table *empty = backend_table_new();
    struct backend_edit edits[] = {{3, a}, {1000, b}};
    struct backend_table *first = backend_table_edit(empty, edits, 2);
    struct backend_edit more[] = {{3, c}, {1000, NULL}, {4, b}};
    struct backend_table *second = backend_table_edit(first, more, 3);
    assert_null(backend_table_get(empty, 3));
    assert_ptr_equal(backend_table_get(first, 3), a);
    assert_ptr_equal(backend_table_get(first, 1000), b);
    assert_null(backend_table_get(first, 4));
    assert_null(backend_table_get(first, 70000));
    assert_null(backend_table_get(first, BACKEND_NONE));
    assert_ptr_equal(backend_table_get(second, 3), c);
    assert_null(backend_table_get(second, 1000));
    assert_ptr_equal(backend_table_get(second, 4), b);
    assert_true(backend_table_slots(first) > 1000);
    backend_table_unref(empty);
    backend_table_unref(first);
    backend_table_unref(second);
    assert_int_equal(atomic_load(&a->refs), 1);
    assert_int_equal(atomic_load(&b->refs), 1);
    backend_unref(a);
    backend_unref(b);
    backend_unref(c);
}

static void a_snapshot_lives_as_long_as_its_last_holder(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct snapshot *snapshot = arena_new(&arena, struct snapshot);
    atomic_init(&snapshot->refs, 1);
    snapshot->arena = arena;
    snapshot->backends = backend_table_new();
    struct snapshot_life *life = snapshot->life = snapshot_life_new();
    atomic_fetch_add(&life->refs, 1);
    struct lease *lease = lease_new(snapshot);
    snapshot_unref(snapshot);
    struct lease *request = lease_take(lease);
    lease_drop(lease);
    assert_false(atomic_load(&life->ended));
    lease_drop(request);
    assert_true(atomic_load(&life->ended));
    snapshot_life_unref(life);
}

static bool matches(const char *pattern, const char *text)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct text why;
    struct regex *regex = regex_new(text_of(pattern), &arena, &why);
    assert_non_null(regex);
    bool fits = regex_matches(regex, text_of(text));
    regex_free(regex);
    arena_fini(&arena);
    return fits;
}

static void expressions_match_the_whole_text(void **state)
{
    (void)state;
    assert_true(matches("/v[0-9]+", "/v12"));
    assert_false(matches("/v[0-9]+", "/v12/"));
    assert_false(matches("/v[0-9]+", "x/v12"));
    assert_true(matches("a|ab", "ab"));
    assert_false(matches("a|b", "ab"));
    assert_false(matches("a", "a\n"));
    assert_true(matches("", ""));
}

static void broken_expressions_are_refused_with_words(void **state)
{
    (void)state;
    static const char *const BROKEN[] = {"(", "a)|(b", "[z-a]", "(a{1000}){1000}{1000}", "\\", "*"};
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(BROKEN); i++) {
        struct text why = TEXT_NONE;
        assert_null(regex_new(text_of(BROKEN[i]), &arena, &why));
        assert_true(why.len > 5);
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_binding_picks_the_most_specific_listener),
        cmocka_unit_test(hosts_of_any_shape_do_no_harm),
        cmocka_unit_test(a_table_of_backends_is_left_as_it_was_by_edits),
        cmocka_unit_test(a_snapshot_lives_as_long_as_its_last_holder),
        cmocka_unit_test(expressions_match_the_whole_text),
        cmocka_unit_test(broken_expressions_are_refused_with_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
