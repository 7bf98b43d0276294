/* Faults are copies in one arena, and bounded. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/fault.h"
#include "base/limits.h"
#include "test.h"

static void a_fault_is_a_copy_of_all_it_names(void **state)
{
    (void)state;
    struct arena arena;
    struct faults faults;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    char where[] = "HTTPRoute a/b", field[] = "spec", hint[] = "do", file[] = "f.yaml";
    struct fault fault = {.level = FAULT_WARNING,
                          .code = "Code",
                          .where = text_of(where),
                          .field = text_of(field),
                          .hint = text_of(hint),
                          .file = text_of(file),
                          .line = 3,
                          .column = 4};
    faults_add(&faults, &fault, "%d of %s", 2, "three");
    memset(where, 'x', sizeof(where) - 1);
    memset(field, 'x', sizeof(field) - 1);
    memset(hint, 'x', sizeof(hint) - 1);
    memset(file, 'x', sizeof(file) - 1);
    const struct fault *copy = &faults.items[0];
    assert_int_equal(copy->level, FAULT_WARNING);
    assert_string_equal(copy->code, "Code");
    assert_string_equal(copy->where.data, "HTTPRoute a/b");
    assert_string_equal(copy->field.data, "spec");
    assert_string_equal(copy->what.data, "2 of three");
    assert_string_equal(copy->hint.data, "do");
    assert_string_equal(copy->file.data, "f.yaml");
    assert_int_equal(copy->line * 10 + copy->column, 34);
    faults_fini(&faults);
    arena_fini(&arena);
}

static void only_so_many_are_kept_the_rest_is_counted(void **state)
{
    (void)state;
    struct arena arena;
    struct faults faults;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    for (int i = 0; i < LIMIT_FAULTS + 5; i++)
        faults_add(&faults, &(struct fault){.code = "C"}, "number %d", i);
    assert_int_equal(faults.count, LIMIT_FAULTS);
    assert_int_equal(faults.dropped, 5);
    assert_string_equal(faults.items[0].what.data, "number 0");
    char last[32];
    snprintf(last, sizeof(last), "number %d", LIMIT_FAULTS - 1);
    assert_string_equal(faults.items[LIMIT_FAULTS - 1].what.data, last);
    size_t used = arena.used;
    faults_copy(&faults, &(struct fault){.what = TEXT("one more")});
    assert_int_equal(arena.used, used); /* what is dropped costs nothing */
    assert_int_equal(faults.dropped, 6);
    faults_fini(&faults);
    faults_fini(&faults);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_is_a_copy_of_all_it_names),
        cmocka_unit_test(only_so_many_are_kept_the_rest_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
