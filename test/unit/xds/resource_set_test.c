/* Sets, their sums, their differences, and the commit record made of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "test.h"
#include "xds/record.h"
#include "xds/resource_set.h"

static void put(struct resource_set *set, enum resource_type type, const char *name,
                const char *bytes)
{
    struct resource *resource = resource_new(type, text_of(name), text_of(bytes), TEXT_NONE);
    resource_set_put(set, resource);
    resource_unref(resource);
}

static bool same_sums(const struct resource_set *a, const struct resource_set *b)
{
    return memcmp(&a->sums, &b->sums, sizeof(a->sums)) == 0;
}

static void sums_follow_every_change_and_forget_the_order(void **state)
{
    (void)state;
    struct resource_set one, other;
    resource_set_init(&one);
    resource_set_init(&other);
    put(&one, RESOURCE_ROUTE, "a", "1");
    put(&one, RESOURCE_ROUTE, "b", "2");
    put(&one, RESOURCE_SECRET, "a", "3");
    put(&one, RESOURCE_ROUTE, "gone", "4");
    put(&one, RESOURCE_ROUTE, "a", "changed");
    assert_true(resource_set_remove(&one, RESOURCE_ROUTE, TEXT("gone")));
    assert_false(resource_set_remove(&one, RESOURCE_ROUTE, TEXT("gone")));
    put(&other, RESOURCE_SECRET, "a", "3");
    put(&other, RESOURCE_ROUTE, "b", "2");
    put(&other, RESOURCE_ROUTE, "a", "changed");
    assert_true(same_sums(&one, &other));
    assert_int_equal(one.bytes, other.bytes);
    assert_int_equal(resource_set_total(&one), 3);
    put(&other, RESOURCE_ROUTE, "b", "x");
    assert_false(same_sums(&one, &other));
    resource_set_fini(&one);
    resource_set_fini(&other);
}

static void a_name_and_its_content_cannot_trade_bytes(void **state)
{
    (void)state;
    struct resource_set one, other;
    resource_set_init(&one);
    resource_set_init(&other);
    put(&one, RESOURCE_ROUTE, "ab", "c");
    put(&other, RESOURCE_ROUTE, "a", "bc");
    assert_false(same_sums(&one, &other));
    resource_set_fini(&one);
    resource_set_fini(&other);
}

static void a_difference_leads_from_one_set_to_the_other(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 7);
    for (int round = 0; round < 50; round++) {
        struct resource_set from, to;
        struct resource_edits edits = {0};
        resource_set_init(&from);
        resource_set_init(&to);
        for (int i = 0; i < 60; i++) {
            char name[16], bytes[16];
            (void)snprintf(name, sizeof(name), "n%d", (int)random_below(&random, 40));
            (void)snprintf(bytes, sizeof(bytes), "b%d", (int)random_below(&random, 3));
            put(i % 2 ? &from : &to, (enum resource_type)random_below(&random, 3), name, bytes);
        }
        resource_set_diff(&from, &to, &edits);
        resource_set_apply(&from, &edits);
        assert_true(same_sums(&from, &to));
        resource_edits_fini(&edits);
        resource_set_diff(&from, &to, &edits);
        assert_int_equal(edits.count, 0);
        resource_edits_fini(&edits);
        resource_set_fini(&from);
        resource_set_fini(&to);
    }
}

static void a_version_is_the_digest_unless_a_stock_server_says_otherwise(void **state)
{
    (void)state;
    char hex[33];
    struct resource *own = resource_new(RESOURCE_ROUTE, TEXT("a"), TEXT("b"), TEXT_NONE);
    struct text version = resource_version(own, hex);
    assert_int_equal(version.len, 32);
    struct resource *told = resource_new(RESOURCE_ROUTE, TEXT("a"), TEXT("b"), version);
    assert_int_equal(told->version_len, 0);
    assert_true(resource_has_version(told, version));
    struct resource *stock = resource_new(RESOURCE_ROUTE, TEXT("a"), TEXT("b"), TEXT("v1"));
    assert_true(resource_has_version(stock, TEXT("v1")));
    assert_true(digest_equal(stock->keyed, own->keyed));
    assert_true(text_is(resource_bytes(stock), "b"));
    assert_true(text_is(resource_name(stock), "a"));
    resource_unref(own);
    resource_unref(told);
    resource_unref(stock);
}

static void a_commit_record_fits_only_its_set(void **state)
{
    (void)state;
    struct resource_set set;
    struct arena arena;
    struct faults faults;
    resource_set_init(&set);
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    put(&set, RESOURCE_ROUTE, "a", "1");
    struct snapshot_version version = {.epoch = 1};
    assert_true(version_set(&version, TEXT("directory"), 4));
    struct resource *resource = record_new(&set.sums, &version);
    struct resource *again = record_new(&set.sums, &version);
    assert_true(digest_equal(resource->digest, again->digest));
    resource_unref(again);
    struct record record;
    assert_int_equal(record_read(resource_bytes(resource), &arena, &record), ERR_NONE);
    assert_int_equal(version_compare(&record.version, &version), VERSION_EQUAL);
    resource_set_put(&set, resource); /* itself is not counted */
    assert_int_equal(record_check(&record, &set.sums, &faults), RECORD_FITS);
    assert_int_equal(faults.count, 0);
    put(&set, RESOURCE_ROUTE, "a", "2");
    assert_int_equal(record_check(&record, &set.sums, &faults), RECORD_DIGEST);
    put(&set, RESOURCE_ROUTE, "b", "2");
    assert_int_equal(record_check(&record, &set.sums, &faults), RECORD_INCOMPLETE);
    assert_int_equal(faults.count, 2);
    assert_int_equal(record_read(TEXT("\x0a"), &arena, &record), ERR_PROTOCOL);
    assert_int_equal(record_read(TEXT(""), &arena, &record), ERR_INVALID);
    resource_unref(resource);
    faults_fini(&faults);
    arena_fini(&arena);
    resource_set_fini(&set);
}

static void a_record_of_changes_is_made_whole_by_the_one_before_it(void **state)
{
    (void)state;
    struct resource_set before, after;
    struct arena arena;
    struct record record;
    struct text whole;
    resource_set_init(&before);
    resource_set_init(&after);
    arena_init(&arena, 0);
    put(&before, RESOURCE_ROUTE, "a", "1");
    put(&before, RESOURCE_LISTENER, "l", "1");
    resource_set_copy(&after, &before);
    put(&after, RESOURCE_ROUTE, "a", "2");
    struct snapshot_version old = {.epoch = 7}, new;
    assert_true(version_set(&old, TEXT("Gateway"), 4) && version_set(&old, TEXT("Secret"), 5));
    new = old;
    assert_true(version_set(&new, TEXT("HTTPRoute"), 1) && version_set(&new, TEXT("Secret"), 6));
    struct resource *first = record_new(&before.sums, &old);
    struct resource *second = record_new(&after.sums, &new);
    const struct record_content from = {&before.sums, &old}, to = {&after.sums, &new};
    struct resource *changes = record_since(second, &to, &from);
    assert_true(changes->bytes_len * 2 < second->bytes_len);
    char hex[33];
    assert_true(resource_has_version(changes, resource_version(second, hex)));
    assert_int_equal(
        record_complete(resource_bytes(changes), resource_bytes(first), &arena, &whole), ERR_NONE);
    assert_true(text_equal(whole, resource_bytes(second)));
    assert_int_equal(record_complete(resource_bytes(second), TEXT_NONE, &arena, &whole), ERR_NONE);
    assert_true(text_equal(whole, resource_bytes(second)));

    assert_int_equal(record_read(resource_bytes(changes), &arena, &record), ERR_INVALID);
    assert_int_equal(record_complete(resource_bytes(changes), TEXT_NONE, &arena, &whole),
                     ERR_INVALID);
    old.epoch = 6;
    struct resource *other = record_new(&before.sums, &old);
    assert_int_equal(
        record_complete(resource_bytes(changes), resource_bytes(other), &arena, &whole),
        ERR_INVALID);
    struct resource *same = record_since(second, &to, &from); /* of another epoch: all of it */
    assert_ptr_equal(same, second);
    resource_unref(same);
    old = new;
    assert_true(version_set(&old, TEXT("TLSRoute"), 1)); /* that went: no change can say so */
    same = record_since(second, &to, &from);
    assert_ptr_equal(same, second);
    resource_unref(same);
    resource_unref(first);
    resource_unref(second);
    resource_unref(changes);
    resource_unref(other);
    arena_fini(&arena);
    resource_set_fini(&before);
    resource_set_fini(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_follow_every_change_and_forget_the_order),
        cmocka_unit_test(a_name_and_its_content_cannot_trade_bytes),
        cmocka_unit_test(a_difference_leads_from_one_set_to_the_other),
        cmocka_unit_test(a_version_is_the_digest_unless_a_stock_server_says_otherwise),
        cmocka_unit_test(a_commit_record_fits_only_its_set),
        cmocka_unit_test(a_record_of_changes_is_made_whole_by_the_one_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
