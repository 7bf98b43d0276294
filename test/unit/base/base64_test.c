/* Base64 against the vectors of RFC 4648 section 10. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"
#include "test.h"

static const struct {
    const char *bytes, *text;
} VECTORS[] = {{"", ""},
               {"f", "Zg=="},
               {"fo", "Zm8="},
               {"foo", "Zm9v"},
               {"foob", "Zm9vYg=="},
               {"fooba", "Zm9vYmE="},
               {"foobar", "Zm9vYmFy"}};

static void the_vectors_of_the_standard_go_both_ways(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(VECTORS); i++) {
        struct text bytes;
        assert_true(text_is(base64_encode(text_of(VECTORS[i].bytes), &arena), VECTORS[i].text));
        assert_true(base64_decode(text_of(VECTORS[i].text), &arena, &bytes));
        assert_true(text_is(bytes, VECTORS[i].bytes));
    }
    arena_fini(&arena);
}

static void line_ends_are_skipped_and_anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const BAD[] = {"Zg", "Zg=", "Z===", "Zg==Zg==", "Zm9*", "Zm9v Zg=="};
    struct arena arena;
    struct text bytes;
    arena_init(&arena, 0);
    assert_true(base64_decode(TEXT("Zm9v\r\nYmFy\n"), &arena, &bytes));
    assert_true(text_is(bytes, "foobar"));
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_false(base64_decode(text_of(BAD[i]), &arena, &bytes));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_standard_go_both_ways),
        cmocka_unit_test(line_ends_are_skipped_and_anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
