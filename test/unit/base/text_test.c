/* Views at their edges: empty ones, ends, numbers that do not fit. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/text.h"
#include "test.h"

static void views_of_nothing_are_equal(void **state)
{
    (void)state;
    assert_true(text_equal(TEXT_NONE, TEXT("")));
    assert_true(text_is(TEXT_NONE, ""));
    assert_true(text_equal(text_of(NULL), TEXT_NONE));
    assert_true(text_starts_with(TEXT_NONE, TEXT_NONE));
    assert_true(text_ends_with(TEXT_NONE, TEXT_NONE));
    assert_int_equal(text_compare(TEXT_NONE, TEXT("")), 0);
    assert_true(text_compare(TEXT_NONE, TEXT("a")) < 0);
    assert_int_equal(text_find(TEXT_NONE, 'a', 0), 0);
    assert_int_equal(text_trim(TEXT_NONE).len, 0);
    assert_int_equal(text_slice(TEXT_NONE, 3, 9).len, 0);
}

static void comparing_is_by_bytes(void **state)
{
    (void)state;
    assert_true(text_equal_nocase(TEXT("Host-NAME"), TEXT("hOST-name")));
    assert_false(text_equal_nocase(TEXT("@"), TEXT("`"))); /* 0x20 apart, but no letters */
    assert_false(text_equal_nocase(TEXT("["), TEXT("{")));
    assert_false(text_equal_nocase(TEXT("\xc4"), TEXT("\xe4")));
    assert_false(text_equal_nocase(TEXT("ab"), TEXT("a")));
    assert_true(text_compare(TEXT("a"), TEXT("ab")) < 0);
    assert_true(text_compare(TEXT("b"), TEXT("ab")) > 0);
    assert_true(text_compare(TEXT("\x80"), TEXT("\x7f")) > 0); /* unsigned */
    assert_int_equal(text_compare(text_from("a\0b", 3), text_from("a\0b", 3)), 0);
    assert_false(text_equal(text_from("a\0b", 3), text_from("a\0c", 3)));
}

static void cutting_is_clamped(void **state)
{
    (void)state;
    struct text text = TEXT("abcdef");
    assert_true(text_is(text_slice(text, 2, 4), "cd"));
    assert_true(text_is(text_slice(text, 2, SIZE_MAX), "cdef"));
    assert_true(text_is(text_slice(text, 4, 2), ""));
    assert_true(text_is(text_slice(text, SIZE_MAX, SIZE_MAX), ""));
    assert_int_equal(text_find(text, 'c', 2), 2);
    assert_int_equal(text_find(text, 'c', 3), 6);
    assert_int_equal(text_find(text, 'c', 99), 6);
    assert_true(text_is(text_trim(TEXT(" \t a b\t ")), "a b"));
    assert_true(text_is(text_trim(TEXT(" \t ")), ""));
    assert_true(text_is(text_trim(TEXT("\n")), "\n"));
    assert_false(text_starts_with(TEXT("ab"), TEXT("abc")));
    assert_true(text_ends_with(TEXT("ab"), TEXT("b")));
}

static void splitting_sees_empty_parts_and_the_last(void **state)
{
    (void)state;
    struct text rest = TEXT(",a,,b,"), part = TEXT_NONE;
    const char *const want[] = {"", "a", "", "b", ""};
    size_t count = 0;
    while (text_split(&rest, ',', &part)) {
        assert_true(count < ARRAY_LEN(want));
        assert_true(text_is(part, want[count++]));
    }
    assert_int_equal(count, ARRAY_LEN(want));
    rest = TEXT("");
    assert_true(text_split(&rest, ',', &part));
    assert_false(text_split(&rest, ',', &part));
    rest = TEXT_NONE;
    assert_false(text_split(&rest, ',', &part));
}

static void numbers_are_digits_that_fit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"0", 0},
                {"000000000000000000000000000007", 7},
                {"18446744073709551615", UINT64_MAX},
                {"10", 10}};
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "+1",
                                      "-1",
                                      "0x10",
                                      "1.0",
                                      "1e3",
                                      "18446744073709551616",
                                      "99999999999999999999",
                                      "184467440737095516150",
                                      "\xd9\xa1",
                                      "a",
                                      "/",
                                      ":"};
    uint64_t value = 5;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(text_to_u64(text_of(good[i].text), &value));
        assert_int_equal(value, good[i].value);
    }
    value = 5;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(text_to_u64(text_of(bad[i]), &value));
    assert_false(text_to_u64(text_from("1\0", 2), &value));
    assert_int_equal(value, 5); /* untouched */
}

static void a_number_is_written_as_it_is_read(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {
        0, 9, 10, 99, 100, 101, 999, 1000, 1234567890, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};
    char room[TEXT_DIGITS], want[32];
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        snprintf(want, sizeof(want), "%llu", (unsigned long long)numbers[i]);
        assert_true(text_is(text_from_u64(numbers[i], room), want));
    }
}

static void hex_numbers_are_digits_that_fit(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "g", "0x1", "-1", " 1", "10000000000000000", "@", "`"};
    uint64_t value = 5;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(text_hex_to_u64(text_of(bad[i]), &value));
    assert_int_equal(value, 5);
    assert_true(text_hex_to_u64(TEXT("ffffFFFFffffFFFF"), &value));
    assert_true(value == UINT64_MAX);
    assert_true(text_hex_to_u64(TEXT("00000000000000000000aB9"), &value));
    assert_int_equal(value, 0xab9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_of_nothing_are_equal),
        cmocka_unit_test(comparing_is_by_bytes),
        cmocka_unit_test(cutting_is_clamped),
        cmocka_unit_test(splitting_sees_empty_parts_and_the_last),
        cmocka_unit_test(numbers_are_digits_that_fit),
        cmocka_unit_test(a_number_is_written_as_it_is_read),
        cmocka_unit_test(hex_numbers_are_digits_that_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
