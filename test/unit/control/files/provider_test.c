/* What a file held when it was good, over restarts: forms with faults, and their copies on disk. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>

#include "control/files/world.h"

static const char *bad(struct world *world, const char *name)
{
    return arena_printf(&world->arena,
                        "---\napiVersion: v1\nkind: Service\nmetadata: {name: %s}\n"
                        "spec: {ports: [{port: many}]}\n",
                        name)
        .data;
}

/* A file is replaced as an editor does it: another inode, so that it is seen to differ. */
static void put(struct world *world, const char *content)
{
    put_file(world, ".new", content);
    assert_int_equal(rename(path_of(world, ".new"), path_of(world, "a.yaml")), 0);
}

static struct text state_of(struct world *world)
{
    return arena_printf(&world->arena, "%s/state", world->top);
}

/* The control plane ends, and another one starts. */
static void begin(struct world *world)
{
    files_free(world->files);
    store_free(world->store);
    world->store = store_new();
    world->files = files_new(text_of(world->directory), KIND_LENIENT, world->store);
    (void)mkdir(state_of(world).data, 0700);
    files_keep(world->files, state_of(world));
    load(world);
}

static void expect(struct world *world, const char *s, const char *t)
{
    assert_string_equal(version_of(world, "s"), s);
    assert_string_equal(version_of(world, "t"), t);
}

static size_t partial_copies(struct world *world)
{
    size_t count = 0;
    const struct dirent *entry = NULL;
    DIR *directory =
        opendir(arena_printf(&world->arena, "%s/files/partial", state_of(world).data).data);
    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

static void put_and_load(struct world *world, const char *content)
{
    put(world, content);
    load(world);
}

static void each_object_has_its_own_last_good_form_after_a_restart(void **state)
{
    struct world *world = *state;
    put(world, two(world, service(world, "s", "1"), service(world, "t", "1")));
    begin(world);
    put_and_load(world, two(world, service(world, "s", "2"), bad(world, "t")));
    put_and_load(world, two(world, bad(world, "s"), service(world, "t", "3")));
    expect(world, "2", "3");
    begin(world);
    expect(world, "2", "3");
    put(world, "no: yaml: at: all\n");
    begin(world);
    expect(world, "2", "3");
}

static void an_object_that_was_removed_does_not_come_back(void **state)
{
    struct world *world = *state;
    put(world, two(world, service(world, "s", "1"), service(world, "t", "1")));
    begin(world);
    put_and_load(world, bad(world, "s"));
    expect(world, "1", "-");
    put(world, "no: yaml: at: all\n");
    begin(world);
    expect(world, "1", "-");
    assert_string_equal(faults_of(world), "YamlSyntax a.yaml");
}

static void forms_that_nothing_needs_any_more_go(void **state)
{
    struct world *world = *state;
    char version[16];
    put(world, two(world, service(world, "s", "1"), service(world, "t", "1")));
    begin(world);
    for (int i = 2; i < 3 * LIMIT_FILE_FORMS; i++) {
        snprintf(version, sizeof(version), "%d", i);
        put_and_load(world, i % 2 == 0 ? two(world, service(world, "s", version), bad(world, "t"))
                                       : two(world, bad(world, "s"), service(world, "t", version)));
        assert_true(partial_copies(world) <= 2);
    }
    begin(world);
    assert_true(partial_copies(world) <= 2);
    put(world, two(world, service(world, "s", "1"), service(world, "t", "1")));
    begin(world);
    assert_int_equal(partial_copies(world), 0);
}

static void one_file_has_a_bounded_number_of_forms(void **state)
{
    struct world *world = *state;
    struct builder all CLEANUP(builder_fini) = {0};
    const size_t objects = LIMIT_FILE_FORMS + 4;
    for (size_t good = 0; good < objects; good++) { /* each form is the last good one of another */
        builder_clear(&all);
        for (size_t i = 0; i < objects; i++) {
            const char *name = arena_printf(&world->arena, "s%zu", i).data;
            builder_add_string(&all, i == good ? service(world, name, "1") : bad(world, name));
        }
        put(world, all.data);
        if (good == 0)
            begin(world);
        else
            load(world);
    }
    assert_true(partial_copies(world) < LIMIT_FILE_FORMS);
    begin(world);
    assert_string_equal(version_of(world, arena_printf(&world->arena, "s%zu", objects - 1).data),
                        "1");
}

static void a_directory_that_is_not_mounted_yet_costs_no_copies(void **state)
{
    struct world *world = *state;
    put(world, service(world, "s", "1"));
    begin(world);
    const char *away = arena_printf(&world->arena, "%s/away", world->top).data;
    assert_int_equal(rename(world->directory, away), 0);
    files_free(world->files);
    world->files = files_new(text_of(world->directory), KIND_LENIENT, world->store);
    files_keep(world->files, state_of(world));
    assert_false(files_load(world->files));
    assert_int_equal(rename(away, world->directory), 0);
    put(world, "no: yaml: at: all\n");
    begin(world);
    expect(world, "1", "-");
}

static void a_copy_that_could_not_be_written_is_written_when_it_can(void **state)
{
    struct world *world = *state;
    begin(world);
    const char *copy = arena_printf(&world->arena, "%s/files/a.yaml", state_of(world).data).data;
    assert_int_equal(mkdir(copy, 0700), 0); /* no file can be renamed to this */
    put(world, service(world, "s", "1"));
    follow(world);
    expect(world, "1", "-");
    struct stat facts;
    assert_int_equal(rmdir(copy), 0);
    while (stat(copy, &facts) != 0)
        loop_turn(world->loop, 50);
    put(world, "no: yaml: at: all\n");
    begin(world);
    expect(world, "1", "-");
}

#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(each_object_has_its_own_last_good_form_after_a_restart),
        IN_WORLD(an_object_that_was_removed_does_not_come_back),
        IN_WORLD(forms_that_nothing_needs_any_more_go),
        IN_WORLD(one_file_has_a_bounded_number_of_forms),
        IN_WORLD(a_directory_that_is_not_mounted_yet_costs_no_copies),
        IN_WORLD(a_copy_that_could_not_be_written_is_written_when_it_can),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
