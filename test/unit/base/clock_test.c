/* Time as it is written. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "test.h"

static void times_are_written_in_one_form(void **state)
{
    (void)state;
    static const struct {
        uint64_t wall_ns;
        const char *want;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {999999, "1970-01-01T00:00:00.000Z"},
        {951782400000000000u, "2000-02-29T00:00:00.000Z"},
        {1790000000123456789u, "2026-09-21T14:13:20.123Z"},
        {4102444799999999999u, "2099-12-31T23:59:59.999Z"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[25];
        clock_format(rows[i].wall_ns, out);
        assert_string_equal(out, rows[i].want);
    }
}

static void the_monotonic_clock_does_not_go_back(void **state)
{
    (void)state;
    uint64_t before = clock_monotonic_ns();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_monotonic_ns();
        assert_true(now >= before);
        before = now;
    }
    assert_true(clock_wall_ns() > 1700000000000000000u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_in_one_form),
        cmocka_unit_test(the_monotonic_clock_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
