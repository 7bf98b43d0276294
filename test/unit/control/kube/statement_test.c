/* What a replica states comes out as it went in; what is none of ours is refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "control/kube/statement.h"
#include "test.h"

static struct snapshot_version version(uint64_t gateways, uint64_t routes)
{
    struct snapshot_version version = {.epoch = 1763870000};
    assert_true(version_set(&version, TEXT("Gateway"), gateways));
    assert_true(version_set(&version, TEXT("HTTPRoute"), routes));
    return version;
}

static void what_is_stated_is_read_as_it_was_said(void **unused)
{
    (void)unused;
    struct arena arena;
    struct builder out = {0};
    arena_init(&arena, 0);
    struct text gateways[] = {TEXT("a/web"), TEXT("b/\"odd\"")};
    struct snapshot_version claim = version(9, 1);
    struct statement_cut cut = {version(7, UINT64_C(1) << 62), {UINT64_MAX, 3}, gateways, 2};
    struct statement_refusal refusal = {RESOURCE_ROUTE, TEXT("a|b"), TEXT("no"), {1, 2}};
    struct statement said = {4, &cut, 1, &refusal, 1, &claim}, read;
    assert_true(statement_write(&said, &out));
    assert_true(statement_read(builder_text(&out), &arena, &read));
    assert_int_equal(read.nodes, 4);
    assert_int_equal(read.cut_count, 1);
    assert_int_equal(version_compare(&read.cuts[0].seen, &cut.seen), VERSION_EQUAL);
    assert_true(digest_equal(read.cuts[0].digest, cut.digest));
    assert_int_equal(read.cuts[0].gateway_count, 2);
    assert_true(text_equal(read.cuts[0].gateways[1], gateways[1]));
    assert_int_equal(read.refusal_count, 1);
    assert_int_equal(read.refusals[0].type, RESOURCE_ROUTE);
    assert_true(text_is(read.refusals[0].name, "a|b"));
    assert_true(digest_equal(read.refusals[0].digest, refusal.digest));
    assert_int_equal(version_compare(read.claim, &claim), VERSION_EQUAL);
    builder_fini(&out);
    arena_fini(&arena);
}

static void what_is_none_of_ours_is_refused_or_left_out(void **unused)
{
    (void)unused;
    struct arena arena;
    struct statement read;
    arena_init(&arena, 0);
    assert_false(statement_read(TEXT("no json"), &arena, &read));
    assert_false(statement_read(TEXT(""), &arena, &read));
    assert_true(statement_read(TEXT("{\"nodes\": \"x\", \"cuts\": [1, {\"digest\": \"zz\"}, "
                                    "{\"digest\": \"00000000000000010000000000000002\", "
                                    "\"seen\": {\"kinds\": {\"Gateway\": -1}}}], "
                                    "\"refusals\": {\"a\": 1}, \"claim\": 5}"),
                               &arena, &read));
    assert_int_equal(read.cut_count, 0);
    assert_int_equal(read.refusal_count, 0);
    assert_null(read.claim);
    arena_fini(&arena);
}

static void what_does_not_fit_is_left_out_and_the_rest_is_whole(void **unused)
{
    (void)unused;
    struct arena arena;
    struct builder out = {0};
    arena_init(&arena, 0);
    static char name[200];
    memset(name, 'n', sizeof(name));
    size_t count = LIMIT_RELAY_BYTES / 100;
    struct text *gateways = arena_array(&arena, struct text, count);
    for (size_t i = 0; i < count; i++)
        gateways[i] = text_from(name, sizeof(name));
    struct statement_cut cut = {version(7, 8), {1, 2}, gateways, count};
    struct statement said = {.cuts = &cut, .cut_count = 1}, read;
    assert_false(statement_write(&said, &out));
    assert_true(out.len <= LIMIT_RELAY_BYTES);
    assert_true(statement_read(builder_text(&out), &arena, &read));
    assert_true(read.cuts[0].gateway_count > count / 4 && read.cuts[0].gateway_count < count);
    builder_fini(&out);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_stated_is_read_as_it_was_said),
        cmocka_unit_test(what_is_none_of_ours_is_refused_or_left_out),
        cmocka_unit_test(what_does_not_fit_is_left_out_and_the_rest_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
