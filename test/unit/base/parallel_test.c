/* Every piece of work is done once, whatever thread draws it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include "base/parallel.h"
#include "test.h"

#define PIECES 5000

static void count_one(void *owner, size_t index)
{
    ((unsigned char *)owner)[index]++;
}

static void every_piece_is_done_once(void **state)
{
    (void)state;
    static unsigned char done[PIECES];
    parallel_each(PIECES, done, count_one);
    for (size_t i = 0; i < PIECES; i++)
        assert_int_equal(done[i], 1);
    parallel_each(1, done, count_one);
    assert_int_equal(done[0], 2);
    parallel_each(0, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_piece_is_done_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
