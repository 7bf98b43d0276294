/* The perfect hash of field names. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/names.h"
#include "test.h"

/* When a name was added: search new factors for slot_of in http/names.c so that no two names share
 * a slot, and write the table anew. */
static void every_name_finds_itself_in_any_case(void **state)
{
    (void)state;
    for (enum name_id id = NAME_OTHER + 1; id < NAME_COUNT; id++) {
        struct text name = name_text(id);
        char upper[64];
        assert_true(name.len > 0 && name.len < sizeof(upper));
        for (size_t i = 0; i < name.len; i++)
            upper[i] = (char)(name.data[i] >= 'a' && name.data[i] <= 'z' ? name.data[i] - 32
                                                                         : name.data[i]);
        if (name_lookup(name) != id)
            print_error(TEXT_FMT " is not in the table of http/names.c\n", TEXT_ARG(name));
        assert_int_equal(name_lookup(name), id);
        assert_int_equal(name_lookup(text_from(upper, name.len)), id);
    }
}

static void a_name_that_differs_in_one_byte_is_another(void **state)
{
    (void)state;
    for (enum name_id id = NAME_OTHER + 1; id < NAME_COUNT; id++) {
        struct text name = name_text(id);
        char other[64];
        for (size_t i = 0; i < name.len; i++)
            for (int byte = 0; byte < 256; byte++) {
                memcpy(other, name.data, name.len);
                other[i] = (char)byte;
                bool same = (byte >= 'A' && byte <= 'Z' ? byte + 32 : byte) == name.data[i];
                enum name_id found = name_lookup(text_from(other, name.len));
                assert_true(same ? found == id : found != id);
            }
    }
}

static void what_is_not_known_is_other(void **state)
{
    (void)state;
    assert_int_equal(name_lookup(TEXT("")), NAME_OTHER);
    assert_int_equal(name_lookup(TEXT("x")), NAME_OTHER);
    assert_int_equal(name_lookup(TEXT("x-forwarded-fox")), NAME_OTHER);
    assert_int_equal(name_lookup(TEXT("content_length")), NAME_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_finds_itself_in_any_case),
        cmocka_unit_test(a_name_that_differs_in_one_byte_is_another),
        cmocka_unit_test(what_is_not_known_is_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
