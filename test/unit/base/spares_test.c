/* What is given back is used again, up to a limit, and nothing is lost. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/macros.h"
#include "base/spares.h"
#include "test.h"

static int dropped, others, thirds;

static void drop(void *piece)
{
    (void)piece;
    dropped++;
}

static void drop_other(void *piece)
{
    (void)piece;
    others++;
}

static void drop_third(void *piece)
{
    (void)piece;
    thirds++;
}

static void every_piece_is_taken_again_or_dropped(void **state)
{
    (void)state;
    static char pieces[LIMIT_SPARES + 5];
    struct spares spares = {0};
    dropped = others = thirds = 0;
    for (size_t i = 0; i < sizeof(pieces); i++)
        spares_give(&spares, &pieces[i], drop);
    int taken = 0;
    while (spares_take(&spares, drop) != NULL)
        taken++;
    assert_int_equal(taken + dropped, sizeof(pieces));
    assert_true(taken <= LIMIT_SPARES);
    spares_give(&spares, &pieces[0], drop);
    assert_null(spares_take(&spares, drop_other));
    spares_give(&spares, &pieces[1], drop_other); /* kinds are not mixed */
    void *first = spares_take(&spares, drop);
    assert_true(first == NULL || first == &pieces[0]);
    spares_give(&spares, &pieces[0], drop);
    spares_give(&spares, &pieces[2], drop_third); /* one kind too many */
    assert_true(thirds == 1 || SPARES_KINDS > 2);
    spares_fini(&spares);
    assert_int_equal(taken + dropped + others + thirds, sizeof(pieces) + 3 + (first == NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_piece_is_taken_again_or_dropped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
