/* What is equal in its canonical form, asked of every pair. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/canonical.h"
#include "test.h"

static const char *const DOCUMENTS[] = {
    "null",
    "true",
    "false",
    "1",
    "-1",
    "1.0",
    "1.5",
    "\"1\"",
    "\"\"",
    "[]",
    "[1]",
    "[1.0]",
    "[1,2]",
    "[2,1]",
    "{}",
    "{\"a\":null}",
    "{\"a\":1}",
    "{\"a\":1,\"b\":null}",
    "{\"b\":2,\"a\":1}",
    "{\"a\":1,\"b\":2}",
    "{\"a\":1,\"c\":2}",
    "{\"a\":{\"x\":[{\"y\":null}]}}",
    "{\"a\":{\"x\":[{}]}}",
    "{\"a\":{\"x\":[]}}",
    "9007199254740993",
    "9007199254740992.0",
};

static void equal_is_what_has_one_form(void **state)
{
    (void)state;
    struct arena arena;
    struct faults faults;
    struct value *values[ARRAY_LEN(DOCUMENTS)];
    struct builder forms[ARRAY_LEN(DOCUMENTS)] = {0};
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    for (size_t i = 0; i < ARRAY_LEN(DOCUMENTS); i++) {
        assert_true(
            value_parse_json(text_of(DOCUMENTS[i]), TEXT_NONE, &arena, &values[i], &faults));
        canonical_add(&forms[i], values[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(DOCUMENTS); i++)
        for (size_t k = 0; k < ARRAY_LEN(DOCUMENTS); k++)
            assert_int_equal(canonical_equal(values[i], values[k]),
                             text_equal(builder_text(&forms[i]), builder_text(&forms[k])));
    for (size_t i = 0; i < ARRAY_LEN(DOCUMENTS); i++)
        builder_fini(&forms[i]);
    faults_fini(&faults);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equal_is_what_has_one_form)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
