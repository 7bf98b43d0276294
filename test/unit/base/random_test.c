/* The fast source repeats by seed and is even; the kernel's fills what it is given. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/macros.h"
#include "base/random.h"
#include "test.h"

static void a_seed_repeats_and_another_differs(void **state)
{
    (void)state;
    struct random a, b, c;
    random_seed(&a, 42);
    random_seed(&b, 42);
    random_seed(&c, 43);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t value = random_next(&a);
        assert_true(value == random_next(&b));
        same += value == random_next(&c);
    }
    assert_int_equal(same, 0);
    random_seed(&a, 0);
    assert_true(random_next(&a) != 0 || random_next(&a) != 0);
}

static void bounds_hold_and_all_values_come(void **state)
{
    (void)state;
    struct random random;
    int seen[7] = {0};
    random_seed(&random, 1);
    for (int i = 0; i < 7000; i++) {
        uint64_t value = random_below(&random, 7);
        assert_true(value < 7);
        seen[value]++;
        assert_int_equal(random_below(&random, 1), 0);
        assert_true(random_below(&random, UINT64_MAX) < UINT64_MAX);
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 850, 1150);
}

static void secure_bytes_fill_exactly_their_place(void **state)
{
    (void)state;
    unsigned char bytes[602] = {0}, seen[256] = {0};
    random_secure(bytes + 1, 600); /* more than the kernel gives at one go */
    assert_int_equal(bytes[0], 0);
    assert_int_equal(bytes[601], 0);
    int distinct = 0;
    for (int i = 1; i <= 600; i++)
        distinct += !seen[bytes[i]]++;
    assert_true(distinct > 180);
    random_secure(bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_repeats_and_another_differs),
        cmocka_unit_test(bounds_hold_and_all_values_come),
        cmocka_unit_test(secure_bytes_fill_exactly_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
