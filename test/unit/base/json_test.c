/* What the writer writes, and that the reader reads it back. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "test.h"

static void commas_and_nesting_are_its_business(void **state)
{
    (void)state;
    struct builder out CLEANUP(builder_fini) = {0};
    struct json json;
    json_init(&json, &out, 0);
    json_object_begin(&json, NULL);
    json_int(&json, "a", INT64_MIN);
    json_array_begin(&json, "b");
    json_bool(&json, NULL, true);
    json_null(&json, NULL);
    json_object_begin(&json, NULL);
    json_object_end(&json);
    json_array_end(&json);
    json_double(&json, "c", 0.5);
    json_double(&json, "z", -0.0);
    json_string(&json, "d", "x");
    json_object_end(&json);
    assert_string_equal(
        out.data,
        "{\"a\":-9223372036854775808,\"b\":[true,null,{}],\"c\":0.5,\"z\":0,\"d\":\"x\"}");
}

static void indented_output_is_for_people(void **state)
{
    (void)state;
    struct builder out CLEANUP(builder_fini) = {0};
    struct json json;
    json_init(&json, &out, 2);
    json_object_begin(&json, NULL);
    json_array_begin(&json, "a");
    json_int(&json, NULL, 1);
    json_int(&json, NULL, 2);
    json_array_end(&json);
    json_array_begin(&json, "b");
    json_array_end(&json);
    json_object_end(&json);
    assert_string_equal(out.data, "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": []\n}");
}

static void escapes_make_every_output_valid(void **state)
{
    (void)state;
    struct builder out CLEANUP(builder_fini) = {0};
    json_escape(&out, TEXT("\"\\\n\t\x01\x7f \xc3\xa4 \xff \xed\xa0\x80 \xf0\x9f\x98\x80"));
    assert_string_equal(out.data, "\\\"\\\\\\n\\t\\u0001\\u007f \xc3\xa4 \xef\xbf\xbd "
                                  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xf0\x9f\x98\x80");
    builder_clear(&out);
    json_escape(&out, text_from("a\0b", 3));
    assert_string_equal(out.data, "a\\u0000b");
}

static void values_come_back_the_same(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct faults faults;
    faults_init(&faults, &arena);
    struct value *value = NULL;
    struct text input = TEXT("{\"a\":[1,-2,0.25,true,false,null,\"\\u0001\\\"\"],\"\":{}}");
    assert_true(value_parse_json(input, TEXT("f"), &arena, &value, &faults));
    struct builder out CLEANUP(builder_fini) = {0};
    struct json json;
    json_init(&json, &out, 0);
    json_value(&json, NULL, value);
    assert_int_equal(out.len, input.len);
    assert_memory_equal(out.data, input.data, input.len);
    faults_fini(&faults);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_and_nesting_are_its_business),
        cmocka_unit_test(indented_output_is_for_people),
        cmocka_unit_test(escapes_make_every_output_valid),
        cmocka_unit_test(values_come_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
