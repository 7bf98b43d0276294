/* Whole texts or nothing, in bounded time and memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/regex.h"
#include "test.h"

static bool matches(const char *pattern, struct text text)
{
    struct arena arena;
    struct text why = TEXT_NONE;
    arena_init(&arena, 0);
    struct regex *regex = regex_new(text_of(pattern), &arena, &why);
    assert_non_null(regex);
    bool matched = regex_matches(regex, text);
    regex_free(regex);
    arena_fini(&arena);
    return matched;
}

static void only_the_whole_text_matches(void **state)
{
    (void)state;
    assert_true(matches("a+", TEXT("aaa")));
    assert_false(matches("a+", TEXT("aaab")));
    assert_false(matches("a+", TEXT("baaa")));
    assert_true(matches("a|bc", TEXT("bc"))); /* the anchors hold both sides */
    assert_false(matches("a|bc", TEXT("ax")));
    assert_false(matches("a", TEXT("a\n")));
    assert_false(matches("(?m)a$", TEXT("a\nb")));
    assert_false(matches("(?m)^b", TEXT("a\nb")));
    assert_true(matches("", TEXT_NONE));
    assert_true(matches("", TEXT("")));
    assert_false(matches("", TEXT("a")));
    assert_true(matches("/v[0-9]+/(?:a|b)", TEXT("/v12/b")));
    assert_true(matches("(?i)ABC", TEXT("abc")));
    assert_true(matches("a.b", TEXT("a\xc3\xa4"
                                    "b")));
    assert_false(matches("a.b", TEXT("a\xff"
                                     "b"))); /* no character */
    assert_true(matches("a\\x00b", text_from("a\0b", 3)));
}

static void what_is_no_expression_is_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const bad[] = {"(",      ")",          "a)|(b",  "[a",        "a\\",
                                      "*",      "(?P<n>a",    "a{2,1}", "\\p{Nope}", "(?=a)",
                                      "(a)\\1", "a{1000000}", "[z-a]",  "(?<!a)b",   "\xff"};
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct text why = TEXT_NONE;
        assert_false(regex_check(text_of(bad[i]), &arena, &why));
        assert_true(why.len > 0);
    }
    arena_fini(&arena);
}

static void long_and_large_programs_are_refused(void **state)
{
    (void)state;
    struct arena arena;
    struct text why = TEXT_NONE;
    arena_init(&arena, 0);
    char *pattern = memory_alloc(LIMIT_REGEX_BYTES + 1);
    memset(pattern, 'a', LIMIT_REGEX_BYTES + 1);
    assert_true(regex_check(text_from(pattern, LIMIT_REGEX_BYTES), &arena, &why));
    assert_false(regex_check(text_from(pattern, LIMIT_REGEX_BYTES + 1), &arena, &why));
    assert_true(why.len > 0);
    why = TEXT_NONE;
    assert_false(regex_check(TEXT("(?:(?:\\w{50}){50}){50}"), &arena, &why));
    assert_true(why.len > 0);
    free(pattern);
    arena_fini(&arena);
}

/* What takes others exponential time; a minute would be far too long, so a second is generous. */
static void hostile_texts_take_linear_time(void **state)
{
    (void)state;
    enum { LEN = 20000 };
    char *text = memory_alloc(LEN + 1);
    memset(text, 'a', LEN);
    text[LEN] = '!';
    uint64_t began = clock_monotonic_ns();
    assert_false(matches("(a+)+", text_from(text, LEN + 1)));
    assert_false(matches("(a|aa)+", text_from(text, LEN + 1)));
    assert_false(matches("(.*)*(.*)*x", text_from(text, LEN + 1)));
    assert_true(clock_monotonic_ns() - began < 5000000000u);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_whole_text_matches),
        cmocka_unit_test(what_is_no_expression_is_refused_with_a_sentence),
        cmocka_unit_test(long_and_large_programs_are_refused),
        cmocka_unit_test(hostile_texts_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
