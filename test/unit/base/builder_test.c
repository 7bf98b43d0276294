/* A growing string is whole and terminated after every step. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/builder.h"
#include "base/random.h"
#include "test.h"

static void each_way_of_adding_terminates(void **state)
{
    (void)state;
    struct builder out CLEANUP(builder_fini) = {0};
    builder_clear(&out); /* nothing there yet */
    builder_add(&out, TEXT_NONE);
    assert_string_equal(out.data, "");
    builder_add_string(&out, "a");
    builder_add_char(&out, 'b');
    builder_add_u64(&out, 0);
    builder_add_u64(&out, UINT64_MAX);
    builder_printf(&out, "<%s>", "c");
    builder_printf(&out, "%s", "");
    assert_string_equal(out.data, "ab018446744073709551615<c>");
    assert_int_equal(builder_text(&out).len, strlen(out.data));
    builder_clear(&out);
    assert_string_equal(out.data, "");
    builder_add(&out, text_from("x\0y", 3));
    assert_int_equal(out.len, 3);
    assert_memory_equal(out.data, "x\0y", 4);
}

static void growth_keeps_what_was_there(void **state)
{
    (void)state;
    struct builder out CLEANUP(builder_fini) = {0};
    for (int i = 0; i < 20000; i++) {
        builder_add_char(&out, (char)('a' + i % 26));
        assert_true(out.cap > out.len);
    }
    for (int i = 0; i < 20000; i++)
        assert_int_equal(out.data[i], 'a' + i % 26);
    builder_printf(&out, "%100000s", "");
    assert_int_equal(out.len, 120000);
    assert_int_equal(out.data[out.len], '\0');
}

static void reserved_room_may_be_written_and_terminated(void **state)
{
    (void)state;
    for (size_t extra = 0; extra < 300; extra++) {
        struct builder out CLEANUP(builder_fini) = {0};
        builder_add_string(&out, "0123456789");
        char *at = builder_reserve(&out, extra);
        memset(at, 'x', extra);
        at[extra] = '\0'; /* one more than asked for is always there */
        out.len += extra;
        assert_int_equal(strlen(out.data), 10 + extra);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way_of_adding_terminates),
        cmocka_unit_test(growth_keeps_what_was_there),
        cmocka_unit_test(reserved_room_may_be_written_and_terminated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
