/* Which snapshot may follow which. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "schema/digest.h"
#include "schema/types.h"
#include "schema/version.h"
#include "test.h"

/* "epoch.hold.a=1,b=2" */
static struct snapshot_version version_of(uint64_t epoch, uint64_t hold, const char *vector)
{
    struct snapshot_version version = {.epoch = epoch, .hold = hold};
    struct text rest = text_of(vector), part, kind;
    while (rest.len > 0 && text_split(&rest, ',', &part)) {
        uint64_t revision;
        assert_true(text_split(&part, '=', &kind));
        assert_true(text_to_u64(part, &revision));
        assert_true(version_set(&version, kind, revision));
    }
    return version;
}

static void the_epoch_then_the_hold_then_each_kind_decides(void **state)
{
    (void)state;
    struct snapshot_version held = version_of(2, 1, "Gateway=5,HTTPRoute=9");
    const struct {
        struct snapshot_version offered;
        enum version_order order;
    } cases[] = {
        {version_of(3, 0, ""), VERSION_NEWER},
        {version_of(1, 9, "Gateway=99,HTTPRoute=99"), VERSION_OLDER},
        {version_of(2, 2, "Gateway=1"), VERSION_NEWER},
        {version_of(2, 0, "Gateway=99,HTTPRoute=99"), VERSION_OLDER},
        {version_of(2, 1, "HTTPRoute=9,Gateway=5"), VERSION_EQUAL},
        {version_of(2, 1, "HTTPRoute=10,Gateway=5"), VERSION_NEWER},
        {version_of(2, 1, "HTTPRoute=9,Gateway=4"), VERSION_OLDER},
        {version_of(2, 1, "HTTPRoute=10,Gateway=4"), VERSION_INCOMPARABLE},
        {version_of(2, 1, "HTTPRoute=9"), VERSION_OLDER},
        {version_of(2, 1, "HTTPRoute=10"), VERSION_INCOMPARABLE},
        {version_of(2, 1, "HTTPRoute=9,Gateway=5,Secret=1"), VERSION_NEWER},
        {version_of(2, 1, "HTTPRoute=9,Gateway=5,Secret=0"), VERSION_EQUAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(version_compare(&cases[i].offered, &held), cases[i].order);
}

static void a_version_reads_well_and_survives_the_wire(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct snapshot_version version = version_of(3, 1, "directory=17"), back;
    assert_true(text_is(version_format(&version, &arena), "3.1.17"));
    version = version_of(3, 1, "");
    assert_true(text_is(version_format(&version, &arena), "3.1.0"));
    version = version_of(3, 1, "b=2,a=1");
    assert_true(text_is(version_format(&version, &arena), "3.1.a:1,b:2"));
    assert_true(version_from_message(version_to_message(&version, &arena), &back));
    assert_int_equal(version_compare(&version, &back), VERSION_EQUAL);
    assert_int_equal(version_get(&back, TEXT("b")), 2);
    assert_int_equal(version_get(&back, TEXT("c")), 0);
    arena_fini(&arena);
}

static void a_bad_vector_is_refused(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct snapshot_version version = version_of(1, 0, "a=1,b=2"), back;
    Nantian__Config__V1__Version *message = version_to_message(&version, &arena);
    message->vector[1]->kind = message->vector[0]->kind;
    assert_false(version_from_message(message, &back));
    message->vector[1]->kind = arena_string(&arena, TEXT(""));
    assert_false(version_from_message(message, &back));
    assert_false(version_from_message(NULL, &back));
    message->n_vector = LIMIT_VERSION_KINDS + 1;
    assert_false(version_from_message(message, &back));
    for (int i = 0; i < LIMIT_VERSION_KINDS - 2; i++)
        assert_true(version_set(&version, arena_printf(&arena, "k%d", i), 1));
    assert_false(version_set(&version, TEXT("one more"), 1));
    assert_true(version_set(&version, TEXT("k1"), 2));
    arena_fini(&arena);
}

static void every_type_is_found_by_each_of_its_names(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (unsigned i = 0; i < RESOURCE_TYPES; i++) {
        enum resource_type type = types_push_order()[i], found;
        seen |= 1u << type;
        assert_true(types_from_url(text_of(types_url(type)), &found) && found == type);
        assert_true(types_from_full_name(text_of(types_full_name(type)), &found) && found == type);
        assert_true(types_from_name(text_of(types_name(type)), &found) && found == type);
    }
    assert_int_equal(seen, (1u << RESOURCE_TYPES) - 1);
    assert_int_equal(types_push_order()[RESOURCE_TYPES - 1], RESOURCE_SNAPSHOT);
    enum resource_type type;
    assert_false(
        types_from_url(TEXT("type.googleapis.com/envoy.config.cluster.v3.Cluster"), &type));
    assert_true(types_name_is_valid(TEXT("default/web/http|HTTPRoute/default/echo/0")));
    assert_false(types_name_is_valid(TEXT("")));
    assert_false(types_name_is_valid(TEXT("a\nb")));
    assert_false(types_name_is_valid(TEXT(" a")));
}

static void a_type_without_resources_leaves_no_trace_in_the_digest(void **state)
{
    (void)state;
    struct schema_type_digest more[] = {
        {TEXT("z"), 1, {1, 2}}, {TEXT("new"), 0, {0, 0}}, {TEXT("a"), 2, {3, 4}}};
    struct schema_type_digest less[] = {{TEXT("a"), 2, {3, 4}}, {TEXT("z"), 1, {1, 2}}};
    struct digest one = schema_digest_snapshot(more, 3), two = schema_digest_snapshot(less, 2);
    assert_true(digest_equal(one, two));
    less[0].count = 3;
    assert_false(digest_equal(one, schema_digest_snapshot(less, 2)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_epoch_then_the_hold_then_each_kind_decides),
        cmocka_unit_test(a_version_reads_well_and_survives_the_wire),
        cmocka_unit_test(a_bad_vector_is_refused),
        cmocka_unit_test(every_type_is_found_by_each_of_its_names),
        cmocka_unit_test(a_type_without_resources_leaves_no_trace_in_the_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
