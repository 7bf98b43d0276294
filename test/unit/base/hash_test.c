/* Digests are the same everywhere and for ever: they stand in state files and on the wire. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "test.h"

static void a_digest_never_changes(void **state)
{
    (void)state;
    char hex[33];
    digest_format(hash_digest(TEXT("")), hex);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f"); /* XXH3's published vector */
    digest_format((struct digest){1, UINT64_MAX}, hex);
    assert_string_equal(hex, "0000000000000001ffffffffffffffff");
    assert_true(hash_stable(TEXT("")) == 0x2d06800538d394c2u);
}

static void every_byte_counts(void **state)
{
    (void)state;
    unsigned char bytes[300] = {0};
    struct text all = text_from((char *)bytes, sizeof(bytes));
    struct digest before = hash_digest(all);
    uint64_t table = hash_text(all), stable = hash_stable(all);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = 1;
        assert_false(digest_equal(hash_digest(all), before));
        assert_true(hash_text(all) != table && hash_stable(all) != stable);
        bytes[i] = 0;
    }
    assert_true(digest_equal(hash_digest(all), before));
    assert_false(digest_equal(hash_digest(text_slice(all, 0, 299)), before));
}

static void tables_are_seeded_and_nothing_hashes_alike(void **state)
{
    (void)state;
    assert_true(hash_text(TEXT("a")) == hash_text(text_from("ab", 1)));
    assert_true(hash_text(TEXT_NONE) == hash_text(TEXT("")));
    assert_true(hash_text(TEXT("a")) != hash_stable(TEXT("a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_digest_never_changes),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(tables_are_seeded_and_nothing_hashes_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
