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

/* Every cut of three texts, each padded, one behind the other. */
static void a_text_may_come_in_pieces(void **state)
{
    (void)state;
    struct text joined = TEXT("Zm8=Zg==Zm9v\nYmFy");
    for (size_t first = 0; first <= joined.len; first++) {
        for (size_t second = first; second <= joined.len; second++) {
            struct base64_reader reader = {.is_joined = true};
            size_t cuts[] = {0, first, second, joined.len}, len = 0;
            char bytes[BASE64_ROOM(64)];
            for (size_t i = 0; i < 3; i++) {
                size_t more = 0;
                struct text piece = text_slice(joined, cuts[i], cuts[i + 1]);
                assert_true(base64_read(&reader, piece, bytes + len, &more));
                assert_true(more <= BASE64_ROOM(piece.len));
                len += more;
            }
            assert_true(base64_is_whole(&reader));
            assert_true(text_is(text_from(bytes, len), "foffoobar"));
        }
    }
}

static void a_piece_that_ends_within_four_digits_is_not_whole(void **state)
{
    (void)state;
    struct base64_reader reader = {.is_joined = true};
    char bytes[BASE64_ROOM(8)];
    size_t len = 9;
    assert_true(base64_read(&reader, TEXT("Zm9"), bytes, &len));
    assert_int_equal(len, 0);
    assert_false(base64_is_whole(&reader));
    assert_false(base64_read(&reader, TEXT("-"), bytes, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_standard_go_both_ways),
        cmocka_unit_test(line_ends_are_skipped_and_anything_else_is_refused),
        cmocka_unit_test(a_text_may_come_in_pieces),
        cmocka_unit_test(a_piece_that_ends_within_four_digits_is_not_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
