/* Pieces keep apart and aligned, large ones too, and a reset gives the memory back. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "base/random.h"
#include "test.h"

static void pieces_are_aligned_and_do_not_overlap(void **state)
{
    (void)state;
    struct arena arena;
    struct random random;
    struct piece {
        unsigned char *data, mark;
        size_t size;
    } pieces[400];
    arena_init(&arena, 512);
    random_seed(&random, 7);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct piece *piece = &pieces[i];
        piece->size = random_below(&random, random_below(&random, 10) == 0 ? 5000 : 60);
        piece->mark = (unsigned char)i;
        piece->data = arena_alloc(&arena, piece->size);
        assert_int_equal((uintptr_t)piece->data % 16, 0);
        memset(piece->data, piece->mark, piece->size);
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        for (size_t b = 0; b < pieces[i].size; b++)
            assert_int_equal(pieces[i].data[b], pieces[i].mark);
    arena_fini(&arena);
}

static void a_large_piece_leaves_the_room_of_the_newest_block(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    char *first = arena_alloc(&arena, 16);
    char *large = arena_alloc(&arena, 1 << 20);
    memset(large, 1, 1 << 20);
    char *second = arena_alloc(&arena, 16);
#ifndef ARENA_PIECES_APART
    assert_ptr_equal(second, first + 16);
#endif
    memset(second, 2, 16);
    memset(first, 3, 16);
    assert_int_equal(large[0], 1);
    arena_fini(&arena);
}

static void reset_counts_from_nothing_again(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    arena_reset(&arena); /* with nothing in it */
    for (int round = 0; round < 3; round++) {
        assert_int_equal(arena.used, 0);
        memset(arena_alloc(&arena, 100), 1, 100);
        memset(arena_alloc(&arena, 100000), 2, 100000);
        memset(arena_alloc(&arena, 4000), 3, 4000);
        assert_int_equal(arena.used, 104100);
        arena_reset(&arena);
    }
    memset(arena_alloc(&arena, 300000), 4, 300000); /* the first piece is large */
    arena_reset(&arena);
    assert_int_equal(*(char *)arena_zalloc(&arena, 1), 0);
    arena_fini(&arena);
    arena_fini(&arena);
}

static void nothing_is_a_piece_of_its_own(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    const void *a = arena_alloc(&arena, 0), *b = arena_alloc(&arena, 0);
    assert_non_null(a);
    assert_ptr_not_equal(a, b);
    arena_fini(&arena);
}

static void copies_end_with_a_nul(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct text copy = arena_text(&arena, text_from("abcdef", 3));
    assert_int_equal(copy.len, 3);
    assert_string_equal(copy.data, "abc");
    copy = arena_text(&arena, TEXT_NONE);
    assert_int_equal(copy.len, 0);
    assert_string_equal(copy.data, "");
    assert_string_equal(arena_string(&arena, text_from("a\0b", 3)), "a");
    copy = arena_printf(&arena, "%s-%05d" TEXT_FMT, "x", 42, TEXT_ARG(TEXT("yz")));
    assert_string_equal(copy.data, "x-00042yz");
    assert_int_equal(copy.len, 9);
    assert_int_equal(arena_printf(&arena, "%10000s", "").len, 10000);
    const uint64_t *zeros = arena_array(&arena, uint64_t, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(zeros[i], 0);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_do_not_overlap),
        cmocka_unit_test(a_large_piece_leaves_the_room_of_the_newest_block),
        cmocka_unit_test(reset_counts_from_nothing_again),
        cmocka_unit_test(nothing_is_a_piece_of_its_own),
        cmocka_unit_test(copies_end_with_a_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
