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

static void a_time_that_was_written_is_read_as_it_was(void **state)
{
    (void)state;
    static const uint64_t TIMES_MS[] = {0,           1,           951782400000,  951868799999,
                                        68169599999, 68169600000, 1763870645678, 4102444800000};
    for (size_t i = 0; i < ARRAY_LEN(TIMES_MS); i++) {
        char text[25];
        uint64_t read_ms = 1;
        clock_format(TIMES_MS[i] * 1000000, text);
        assert_true(clock_parse(text_of(text), &read_ms));
        assert_int_equal(read_ms, TIMES_MS[i]);
    }
}

static void an_offset_and_a_fraction_count(void **state)
{
    (void)state;
    uint64_t ms = 0;
    assert_true(clock_parse(TEXT("2018-03-05T17:30:20-08:00"), &ms));
    assert_int_equal(ms, 1520299820000);
    assert_true(clock_parse(TEXT("2018-03-06T03:30:20.5+02:00"), &ms));
    assert_int_equal(ms, 1520299820500);
    assert_true(clock_parse(TEXT("2018-03-06T01:30:20.123456789Z"), &ms));
    assert_int_equal(ms, 1520299820123);
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const OTHERS[] = {
        "",
        "soon",
        "2018-03-05",
        "2018-03-05T17:30:20",
        "2018-03-05 17:30:20Z",
        "2018-13-05T17:30:20Z",
        "2018-00-05T17:30:20Z",
        "2018-03-32T17:30:20Z",
        "2018-03-05T24:30:20Z",
        "2018-03-05T17:30:20.Z",
        "2018-03-05T17:30:20+0200",
        "2018-03-05T17:30:20+02:00x",
        "2018-03-05T17:30:20Zz",
        "1969-12-31T23:59:59Z",
        "-018-03-05T17:30:20Z",
        "2018-03-05T17:30:2",
    };
    uint64_t ms = 7;
    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++)
        assert_false(clock_parse(text_of(OTHERS[i]), &ms));
    assert_int_equal(ms, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_in_one_form),
        cmocka_unit_test(the_monotonic_clock_does_not_go_back),
        cmocka_unit_test(a_time_that_was_written_is_read_as_it_was),
        cmocka_unit_test(an_offset_and_a_fraction_count),
        cmocka_unit_test(what_is_no_time_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
