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

static void elements_hash_as_the_beginnings_they_are(void **state)
{
    (void)state;
    static const char *const PATHS[] = {
        "",
        "/",
        "/a",
        "/a/",
        "//",
        "/a/b",
        "a/b",
        "/1234567",
        "/123456/",
        "/1234567/89",
        "///",
        "/app-99999/api/items/42",
        "/1234567/9abcde/",
        "/1234567/9abcdef/",
        "/1234567/9abcdefg/hijklmno",
        "/1234567/9abcdefg/hijklmn/pqrstu/wxyz",
        "/a/b/c/d/e/f/g/h/i",
        "x",
    };
    for (size_t p = 0; p < ARRAY_LEN(PATHS); p++) {
        struct text path = text_of(PATHS[p]);
        for (uint64_t wanted = 0; wanted < 1024; wanted++) {
            struct hash_element elements[HASH_ELEMENTS_MAX] = {{0}};
            uint32_t count = hash_elements(path, '/', wanted, elements), at = 0, depth = 0;
            for (size_t end = 0; end <= path.len; end++) {
                if (end > 0 && end < path.len && path.data[end] != '/')
                    continue;
                if (wanted >> depth & 1) {
                    assert_int_equal(elements[at].end, end);
                    assert_true(elements[at].hash == hash_front(text_slice(path, 0, end)));
                    at++;
                }
                depth++;
            }
            assert_int_equal(count, at);
        }
    }
}

static void one_element_hashes_as_among_all(void **state)
{
    (void)state;
    char path[40];
    for (size_t step = 1; step < 24; step++) {
        for (size_t len = 0; len <= sizeof(path); len++) {
            for (size_t i = 0; i < len; i++)
                path[i] = "./"[i % step == 0];
            for (uint32_t depth = 1; depth < HASH_ELEMENTS_MAX; depth++) {
                struct hash_element all[HASH_ELEMENTS_MAX], one = {0, 0};
                struct text text = text_from(path, len);
                uint32_t count = hash_elements(text, '/', UINT64_C(1) << depth, all);
                assert_int_equal(hash_element(text, '/', depth, &one), count == 1);
                if (count == 1)
                    assert_true(one.end == all[0].end && one.hash == all[0].hash);
                struct hash_near near = {0};
                char bytes[16] = {0};
                bool is_near = len >= sizeof(bytes) && count == 1 && one.end < sizeof(bytes);
                assert_int_equal(hash_element_near(text, '/', depth, &near), is_near);
                if (!is_near)
                    continue;
                memcpy(bytes, path, one.end);
                assert_true(near.end == one.end && near.hash == one.hash);
                assert_memory_equal(near.bytes, bytes, sizeof(bytes));
            }
        }
    }
}

static void the_order_of_words_in_a_beginning_counts(void **state)
{
    (void)state;
    static const char *const TWINS[][2] = {
        {"/aaaaaaa/bbbbbbb", "/bbbbbbb/aaaaaaa"},
        {"/aaaaaaa/bbbbbbb/c", "/bbbbbbb/aaaaaaa/c"},
        {"/aaaaaaa/aaaaaaa/bbbbbbb/ccccccc", "/aaaaaaa/aaaaaaa/ccccccc/bbbbbbb"},
        {"/aaaaaaa/bbbbbbb/ccccccc/ddddddd", "/ccccccc/ddddddd/aaaaaaa/bbbbbbb"},
    };
    for (size_t i = 0; i < ARRAY_LEN(TWINS); i++)
        assert_true(hash_front(text_of(TWINS[i][0])) != hash_front(text_of(TWINS[i][1])));
}

static void every_byte_of_a_beginning_counts(void **state)
{
    (void)state;
    char bytes[64] = {0};
    for (size_t len = 0; len < sizeof(bytes); len++) {
        struct text text = text_from(bytes, len);
        uint64_t before = hash_front(text);
        assert_true(hash_front(text_from(bytes, len + 1)) != before); /* a zero more */
        for (size_t i = 0; i < len; i++) {
            bytes[i] = 1;
            assert_true(hash_front(text) != before);
            bytes[i] = 0;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_digest_never_changes),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(tables_are_seeded_and_nothing_hashes_alike),
        cmocka_unit_test(elements_hash_as_the_beginnings_they_are),
        cmocka_unit_test(one_element_hashes_as_among_all),
        cmocka_unit_test(the_order_of_words_in_a_beginning_counts),
        cmocka_unit_test(every_byte_of_a_beginning_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
