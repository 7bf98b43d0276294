/* What is given back is used again, up to a limit, and nothing is lost. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/macros.h"
#include "base/spares.h"
#include "test.h"

static int dropped, others;

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

static void every_piece_is_taken_again_or_dropped(void **state)
{
    (void)state;
    static char pieces[LIMIT_SPARES + 5];
    struct spares spares = {0};
    dropped = others = 0;
    for (size_t i = 0; i < sizeof(pieces); i++)
        spares_give(&spares, &pieces[i], drop);
    int taken = 0;
    while (spares_take(&spares, drop) != NULL)
        taken++;
    assert_int_equal(taken + dropped, sizeof(pieces));
    assert_true(taken <= LIMIT_SPARES);
    spares_give(&spares, &pieces[0], drop);
    assert_null(spares_take(&spares, drop_other));
    spares_give(&spares, &pieces[1], drop_other); /* not mixed while the first kind is there */
    assert_true(others == 1 || dropped == (int)sizeof(pieces) - taken + 1);
    spares_fini(&spares);
    assert_int_equal(taken + dropped + others, sizeof(pieces) + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_piece_is_taken_again_or_dropped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
