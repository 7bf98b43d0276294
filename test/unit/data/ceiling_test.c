/* The bound on memory: where it comes from, and what each amount amounts to. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "data/ceiling.h"
#include "test.h"

#define MIB ((uint64_t)1 << 20)

struct tree { /* what a kernel would show */
    char root[64];
    char self[96];
};

static void write_file(const struct tree *tree, const char *name, const char *content)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", tree->root, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static void make_folder(const struct tree *tree, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", tree->root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void tree_make(struct tree *tree)
{
    snprintf(tree->root, sizeof(tree->root), "/tmp/nantian-ceiling-XXXXXX");
    assert_non_null(mkdtemp(tree->root));
    snprintf(tree->self, sizeof(tree->self), "%s/self", tree->root);
    make_folder(tree, "memory");
    make_folder(tree, "memory/a");
    make_folder(tree, "pod");
    make_folder(tree, "pod/a");
}

static void tree_drop(const struct tree *tree)
{
    static const char *const NAMES[] = {"self",
                                        "memory.max",
                                        "pod/memory.max",
                                        "pod/a/memory.max",
                                        "memory/memory.limit_in_bytes",
                                        "memory/a/memory.limit_in_bytes",
                                        "pod/a",
                                        "pod",
                                        "memory/a",
                                        "memory",
                                        ""};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        char path[256];
        snprintf(path, sizeof(path), "%s/%s", tree->root, NAMES[i]);
        (void)remove(path);
    }
}

static void the_default_is_a_share_of_the_lowest_limit_above_us(void **state)
{
    (void)state;
    struct tree tree;
    tree_make(&tree);
    assert_int_equal(ceiling_default(tree.self, tree.root), 0); /* no such file */
    write_file(&tree, "self", "0::/pod/a\n");
    assert_int_equal(ceiling_default(tree.self, tree.root), 0);
    write_file(&tree, "pod/a/memory.max", "max\n");
    assert_int_equal(ceiling_default(tree.self, tree.root), 0);
    write_file(&tree, "pod/memory.max", "104857600\n");
    assert_int_equal(ceiling_default(tree.self, tree.root), 75 * MIB);
    write_file(&tree, "pod/a/memory.max", "209715200\n");
    assert_int_equal(ceiling_default(tree.self, tree.root), 75 * MIB);
    write_file(&tree, "pod/a/memory.max", "52428800\n");
    assert_in_range(ceiling_default(tree.self, tree.root), 37 * MIB, 38 * MIB);
    write_file(&tree, "self", "0::/\n"); /* a container's own view */
    write_file(&tree, "memory.max", "419430400\n");
    assert_int_equal(ceiling_default(tree.self, tree.root), 300 * MIB);
    tree_drop(&tree);
}

static void version_1_of_cgroups_is_understood_as_well(void **state)
{
    (void)state;
    struct tree tree;
    tree_make(&tree);
    write_file(&tree, "self", "5:cpu,cpuacct:/\n4:memory:/docker/b\n1:name=systemd:/\n0::/\n");
    write_file(&tree, "memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(ceiling_default(tree.self, tree.root), 0);
    write_file(&tree, "memory/memory.limit_in_bytes", "104857600\n"); /* a container's root */
    assert_int_equal(ceiling_default(tree.self, tree.root), 75 * MIB);
    write_file(&tree, "self", "4:memory:/a\n0::/\n");
    write_file(&tree, "memory/a/memory.limit_in_bytes", "41943040\n");
    assert_in_range(ceiling_default(tree.self, tree.root), 29 * MIB, 30 * MIB);
    tree_drop(&tree);
}

static void each_level_begins_at_its_mark_and_ends_below_it(void **state)
{
    (void)state;
    static const struct {
        uint64_t used;
        enum pressure before, level;
    } rows[] = {
        {0, PRESSURE_NONE, PRESSURE_NONE},       {89, PRESSURE_NONE, PRESSURE_NONE},
        {90, PRESSURE_NONE, PRESSURE_TIGHT},     {86, PRESSURE_TIGHT, PRESSURE_TIGHT},
        {84, PRESSURE_TIGHT, PRESSURE_NONE},     {100, PRESSURE_NONE, PRESSURE_FULL},
        {96, PRESSURE_FULL, PRESSURE_FULL},      {96, PRESSURE_TIGHT, PRESSURE_TIGHT},
        {94, PRESSURE_FULL, PRESSURE_TIGHT},     {110, PRESSURE_NONE, PRESSURE_CLOSED},
        {106, PRESSURE_CLOSED, PRESSURE_CLOSED}, {104, PRESSURE_CLOSED, PRESSURE_FULL},
        {10, PRESSURE_CLOSED, PRESSURE_NONE},    {5000, PRESSURE_FULL, PRESSURE_CLOSED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(ceiling_level(rows[i].used * MIB, 100 * MIB, rows[i].before),
                         rows[i].level);
    assert_int_equal(ceiling_level(5000 * MIB, 0, PRESSURE_NONE), PRESSURE_NONE);
}

static void on_pressure(void *owner, enum pressure level)
{
    *(enum pressure *)owner = level;
}

static void what_is_used_is_measured_and_told(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct ceiling ceiling;
    enum pressure told = PRESSURE_NONE;
    assert_true(ceiling_open(&ceiling, loop, 4096, &told, on_pressure));
    assert_int_equal(told, PRESSURE_CLOSED);
    assert_true(ceiling.used > 65536);
    ceiling.max = (uint64_t)1 << 60; /* as if it fell */
    for (int i = 0; i < 1000 && told != PRESSURE_NONE; i++)
        loop_turn(loop, 20);
    assert_int_equal(told, PRESSURE_NONE);
    ceiling_close(&ceiling);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_is_a_share_of_the_lowest_limit_above_us),
        cmocka_unit_test(version_1_of_cgroups_is_understood_as_well),
        cmocka_unit_test(each_level_begins_at_its_mark_and_ends_below_it),
        cmocka_unit_test(what_is_used_is_measured_and_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
