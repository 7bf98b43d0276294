/* A real directory under a real loop: what a person, an editor and a mounted volume do to files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/files/world.h"

static void wait_version(struct world *world, const char *name, const char *want)
{
    uint64_t until = now_ms(world) + DEADLINE_MS;
    while (strcmp(version_of(world, name), want) != 0) {
        if (loop_now_ms(world->loop) > until)
            fail_msg("%s is %s, not %s; faults: %s", name, version_of(world, name), want,
                     faults_of(world));
        loop_turn(world->loop, 20);
    }
}

static void wait_faults(struct world *world, const char *want)
{
    uint64_t until = now_ms(world) + DEADLINE_MS;
    while (strcmp(faults_of(world), want) != 0) {
        if (loop_now_ms(world->loop) > until)
            fail_msg("faults: %s, not %s", faults_of(world), want);
        loop_turn(world->loop, 20);
    }
}

/* ---- reading ---- */

/* A file is replaced as an editor does it: another inode, so that it is seen to differ. */
static void put_anew(struct world *world, const char *name, const char *content)
{
    put_file(world, ".new", content);
    assert_int_equal(rename(path_of(world, ".new"), path_of(world, name)), 0);
    load(world);
}

static void an_object_that_stands_often_comes_from_the_first_file_and_place(void **state)
{
    struct world *world = *state;
    put_anew(world, "b.yaml", two(world, service(world, "s", "3"), service(world, "s", "4")));
    put_anew(world, "c.yaml", service(world, "s", "5"));
    assert_string_equal(version_of(world, "s"), "3");
    put_anew(world, "a.yaml", two(world, service(world, "s", "1"), service(world, "s", "2")));
    assert_string_equal(version_of(world, "s"), "1");
    put_anew(world, "c.yaml", service(world, "t", "6"));
    put_anew(world, "a.yaml", service(world, "t", "0"));
    assert_string_equal(version_of(world, "s"), "3");
    put_anew(world, "c.yaml", service(world, "s", "7"));
    put_anew(world, "b.yaml", service(world, "s", "8"));
    assert_string_equal(version_of(world, "s"), "8");
    put_anew(world, "b.yaml", "");
    assert_string_equal(version_of(world, "s"), "7");
    put_anew(world, "c.yaml", "");
    assert_string_equal(version_of(world, "s"), "-");
    assert_string_equal(version_of(world, "t"), "0");
}

static void only_files_that_count_are_read(void **state)
{
    struct world *world = *state;
    put_file(world, "a.yaml", service(world, "a", "1"));
    put_file(world, "b.yml", service(world, "b", "1"));
    put_file(world, "c.json",
             "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"c\",\"labels\":"
             "{\"v\":\"1\"}},\"spec\":{\"ports\":[{\"port\":80}]}}");
    put_file(world, ".d.yaml", service(world, "d", "1"));
    put_file(world, "e.yaml~", service(world, "e", "1"));
    put_file(world, "yaml", service(world, "f", "1"));
    load(world);
    assert_int_equal(store_count(world->store, KIND_SERVICE), 3);
    size_t count = 0;
    const struct files_file *list = files_list(world->files, &world->arena, &count);
    assert_int_equal(count, 3);
    assert_string_equal(list[2].name.data, path_of(world, "c.json"));
    assert_int_equal(list[2].object_count, 1);
    assert_string_equal(faults_of(world), "");
}

static void what_is_no_file_is_named(void **state)
{
    struct world *world = *state;
    put_file(world, "a.yaml", service(world, "a", "1"));
    assert_int_equal(mkdir(path_of(world, "g.yaml"), 0755), 0);
    assert_int_equal(symlink("/nowhere", path_of(world, "h.yaml")), 0);
    assert_int_equal(mkfifo(path_of(world, "i.yaml"), 0600), 0);
    assert_int_equal(symlink("/dev/zero", path_of(world, "k.yaml")), 0);
    assert_int_equal(symlink("l.yaml", path_of(world, "l.yaml")), 0);
    int writer = open(path_of(world, "i.yaml"), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    assert_int_equal(writer, -1); /* nobody reads it, neither before nor after */
    load(world);
    assert_int_equal(store_count(world->store, KIND_SERVICE), 1);
    assert_string_equal(faults_of(world),
                        "FileUnreadable g.yaml; FileUnreadable h.yaml; FileUnreadable i.yaml; "
                        "FileUnreadable k.yaml; FileUnreadable l.yaml");
    assert_int_equal(unlink(path_of(world, "i.yaml")), 0);
    put_file(world, "i.yaml", service(world, "i", "1"));
    assert_int_equal(rmdir(path_of(world, "g.yaml")), 0);
    follow(world);
    wait_version(world, "i", "1");
    assert_string_equal(faults_of(world),
                        "FileUnreadable h.yaml; FileUnreadable k.yaml; FileUnreadable l.yaml");
}

static void a_link_whose_target_goes_keeps_what_it_held(void **state)
{
    struct world *world = *state;
    put_file(world, "../target", service(world, "s", "1"));
    assert_int_equal(symlink("../target", path_of(world, "a.yaml")), 0);
    follow(world);
    assert_int_equal(unlink(path_of(world, "../target")), 0);
    put_file(world, "b.yaml", service(world, "t", "1"));
    wait_version(world, "t", "1");
    wait_faults(world, "FileUnreadable a.yaml");
    assert_string_equal(version_of(world, "s"), "1");
    put_file(world, "../target", service(world, "s", "2"));
    wait_version(world, "s", "2");
    assert_string_equal(faults_of(world), "");
    assert_int_equal(unlink(path_of(world, "a.yaml")), 0);
    wait_version(world, "s", "-");
}

static void a_directory_that_is_not_there_is_said(void **state)
{
    struct world *world = *state;
    assert_int_equal(rmdir(world->directory), 0);
    assert_false(files_load(world->files));
    assert_false(files_watch(world->files, world->loop, &EVENTS, world));
}

static void the_first_file_by_name_wins_an_object(void **state)
{
    struct world *world = *state;
    put_file(world, "b.yaml", service(world, "s", "b"));
    put_file(world, "c.yaml", service(world, "s", "c"));
    load(world);
    assert_string_equal(version_of(world, "s"), "b");
    assert_string_equal(faults_of(world), "Duplicate c.yaml");
    put_file(world, "a.yaml", service(world, "s", "a"));
    follow(world);
    wait_version(world, "s", "a");
    unlink(path_of(world, "a.yaml"));
    wait_version(world, "s", "b");
    unlink(path_of(world, "b.yaml"));
    wait_version(world, "s", "c");
    unlink(path_of(world, "c.yaml"));
    wait_version(world, "s", "-");
}

static void twice_in_one_file_is_a_duplicate_too(void **state)
{
    struct world *world = *state;
    put_file(world, "a.yaml", two(world, service(world, "s", "1"), service(world, "s", "2")));
    load(world);
    assert_string_equal(version_of(world, "s"), "1");
    assert_string_equal(faults_of(world), "Duplicate a.yaml");
}

/* ---- broken ones ---- */

static void a_broken_file_keeps_its_last_good_objects(void **state)
{
    struct world *world = *state;
    put_file(world, "a.yaml", two(world, service(world, "s", "1"), service(world, "t", "1")));
    put_file(world, "b.yaml", service(world, "u", "1"));
    follow(world);
    put_file(world, "a.yaml", "kind: [unclosed\n");
    put_file(world, "b.yaml", service(world, "u", "2"));
    wait_version(world, "u", "2"); /* others go on */
    assert_string_equal(version_of(world, "s"), "1");
    assert_string_equal(version_of(world, "t"), "1");
    size_t count = 0;
    const struct files_file *list = files_list(world->files, &world->arena, &count);
    assert_true(list[0].broken && list[0].error_count > 0 && list[0].object_count == 2);
    assert_false(list[1].broken);
    put_file(world, "a.yaml", service(world, "s", "3"));
    wait_version(world, "s", "3");
    assert_string_equal(version_of(world, "t"), "-"); /* no longer in the file */
    assert_string_equal(faults_of(world), "");
}

static void an_object_with_an_error_keeps_its_own_last_good_form(void **state)
{
    struct world *world = *state;
    const char *bad =
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: s, labels: {v: \"2\"}}\n"
        "spec: {ports: [{port: many}]}\n";
    put_file(world, "a.yaml", two(world, service(world, "s", "1"), service(world, "t", "1")));
    follow(world);
    put_file(world, "a.yaml", two(world, bad, service(world, "t", "2")));
    wait_version(world, "t", "2");
    assert_string_equal(version_of(world, "s"), "1");
    assert_string_not_equal(faults_of(world), "");
    /* Without a good form before it, there is none. */
    put_file(world, "a.yaml", two(world, "", service(world, "t", "3")));
    wait_version(world, "t", "3");
    assert_string_equal(version_of(world, "s"), "-");
    put_file(world, "a.yaml", two(world, bad, service(world, "t", "4")));
    wait_version(world, "t", "4");
    assert_string_equal(version_of(world, "s"), "-");
}

static void an_unreadable_file_is_read_when_it_may_be(void **state)
{
    struct world *world = *state;
    if (geteuid() == 0)
        skip(); /* nothing is unreadable for root */
    put_file(world, "a.yaml", service(world, "s", "1"));
    chmod(path_of(world, "a.yaml"), 0);
    follow(world);
    assert_string_equal(faults_of(world), "FileUnreadable a.yaml");
    chmod(path_of(world, "a.yaml"), 0600);
    wait_version(world, "s", "1");
    assert_string_equal(faults_of(world), "");
}

/* ---- following ---- */

static void a_rename_over_a_file_is_one_change(void **state)
{
    struct world *world = *state;
    put_file(world, "a.yaml", service(world, "s", "1"));
    follow(world);
    put_file(world, ".a.yaml.swp", service(world, "s", "2"));
    assert_int_equal(rename(path_of(world, ".a.yaml.swp"), path_of(world, "a.yaml")), 0);
    wait_version(world, "s", "2");
    assert_int_equal(world->changes, 1);
}

static void a_file_that_gets_another_name_keeps_its_objects(void **state)
{
    struct world *world = *state;
    put_file(world, "a.yaml", service(world, "s", "1"));
    follow(world);
    store_changes_clear(world->store);
    assert_int_equal(rename(path_of(world, "a.yaml"), path_of(world, "z.yaml")), 0);
    uint64_t until = now_ms(world) + DEADLINE_MS;
    while (world->changes == 0 && loop_now_ms(world->loop) < until)
        loop_turn(world->loop, 20);
    struct store_changes changes = store_changes(world->store);
    assert_int_equal(changes.count, 1);
    assert_int_equal(changes.items[0].type, STORE_MOVED);
    assert_string_equal(version_of(world, "s"), "1");
}

static void a_burst_is_told_once(void **state)
{
    struct world *world = *state;
    follow(world);
    for (int i = 0; i < 50; i++) {
        const char *name = arena_printf(&world->arena, "s%d", i).data;
        put_file(world, arena_printf(&world->arena, "%s.yaml", name).data,
                 service(world, name, "1"));
    }
    wait_version(world, "s49", "1");
    assert_int_equal(store_count(world->store, KIND_SERVICE), 50);
    assert_int_equal(world->changes, 1);
    put_file(world, "s0.yaml", service(world, "s0", "1")); /* the same bytes */
    put_file(world, "s1.yaml", service(world, "s1", "2"));
    wait_version(world, "s1", "2");
    assert_int_equal(world->changes, 2);
}

static void writing_without_end_is_not_waited_out_for_ever(void **state)
{
    struct world *world = *state;
    put_file(world, "a.yaml", service(world, "s", "1"));
    follow(world);
    put_file(world, "a.yaml", service(world, "s", "2"));
    uint64_t until = now_ms(world) + DEADLINE_MS;
    while (strcmp(version_of(world, "s"), "2") != 0) { /* something changes every few ms */
        assert_true(loop_now_ms(world->loop) < until);
        put_file(world, "b.yaml", service(world, "t", "1"));
        loop_turn(world->loop, 5);
    }
}

static void half_a_file_is_not_taken_for_the_whole(void **state)
{
    struct world *world = *state;
    put_file(world, "a.yaml", two(world, service(world, "s", "1"), service(world, "t", "1")));
    follow(world);
    const char *whole = two(world, service(world, "s", "2"), service(world, "t", "2"));
    size_t half = strlen(service(world, "s", "2"));
    int old = open(path_of(world, "a.yaml"), O_WRONLY | O_TRUNC | O_CLOEXEC);
    int new = open(path_of(world, "n.yaml"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(old, whole, half), half);
    assert_int_equal(write(new, service(world, "new", "1"), 30), 30);
    put_file(world, "b.yaml", service(world, "u", "1")); /* something else happens meanwhile */
    wait_version(world, "u", "1");
    uint64_t until = now_ms(world) + LIMIT_DEBOUNCE_MS * 4;
    while (loop_now_ms(world->loop) < until)
        loop_turn(world->loop, 10);
    assert_string_equal(version_of(world, "s"), "1");
    assert_string_equal(version_of(world, "t"), "1");
    assert_string_equal(faults_of(world), ""); /* half of n.yaml would be one */
    assert_int_equal(write(old, whole + half, strlen(whole) - half), strlen(whole) - half);
    const char *rest = service(world, "new", "1") + 30;
    assert_int_equal(write(new, rest, strlen(rest)), strlen(rest));
    close(old);
    close(new);
    wait_version(world, "new", "1");
    wait_version(world, "s", "2");
    wait_version(world, "t", "2");
}

static void a_hard_link_is_seen(void **state)
{
    struct world *world = *state;
    put_file(world, "../elsewhere", service(world, "s", "1"));
    follow(world);
    assert_int_equal(link(path_of(world, "../elsewhere"), path_of(world, "a.yaml")), 0);
    wait_version(world, "s", "1");
}

static void a_mounted_volume_swaps_its_link(void **state)
{
    struct world *world = *state;
    mkdir(path_of(world, "..1"), 0755);
    mkdir(path_of(world, "..2"), 0755);
    put_file(world, "..1/a.yaml", service(world, "s", "1"));
    put_file(world, "..2/a.yaml", service(world, "s", "2"));
    assert_int_equal(symlink("..1", path_of(world, "..data")), 0);
    assert_int_equal(symlink("..data/a.yaml", path_of(world, "a.yaml")), 0);
    follow(world);
    assert_string_equal(version_of(world, "s"), "1");
    assert_int_equal(symlink("..2", path_of(world, "..data_tmp")), 0);
    assert_int_equal(rename(path_of(world, "..data_tmp"), path_of(world, "..data")), 0);
    wait_version(world, "s", "2");
}

static void the_target_of_a_link_is_looked_at_now_and_then(void **state)
{
    struct world *world = *state;
    put_file(world, "../target", service(world, "s", "1"));
    assert_int_equal(symlink("../target", path_of(world, "a.yaml")), 0);
    follow(world);
    assert_string_equal(version_of(world, "s"), "1");
    put_file(world, "../target", service(world, "s", "2"));
    wait_version(world, "s", "2");
}

static void a_directory_may_go_and_come_back(void **state)
{
    struct world *world = *state;
    put_file(world, "a.yaml", service(world, "s", "1"));
    follow(world);
    const char *away = arena_printf(&world->arena, "%s/away", world->top).data;
    assert_int_equal(rename(world->directory, away), 0);
    uint64_t until = now_ms(world) + LIMIT_DEBOUNCE_MS * 4;
    while (loop_now_ms(world->loop) < until)
        loop_turn(world->loop, 10);
    assert_string_equal(version_of(world, "s"), "1"); /* what was there stays */
    while (strcmp(faults_of(world), "DirectoryUnreadable config") != 0)
        loop_turn(world->loop, 10); /* and that it is away is said */
    assert_int_equal(mkdir(world->directory, 0755), 0);
    put_file(world, "b.yaml", service(world, "s", "2"));
    wait_version(world, "s", "2");
    put_file(world, "b.yaml", service(world, "s", "3")); /* the new one is followed */
    wait_version(world, "s", "3");
    assert_string_equal(faults_of(world), "");
}

static void an_empty_directory_in_its_place_takes_nothing_away(void **state)
{
    struct world *world = *state;
    put_file(world, "a.yaml", service(world, "s", "1"));
    put_file(world, "b.yaml", service(world, "t", "1"));
    follow(world);
    assert_int_equal(unlink(path_of(world, "a.yaml")), 0);
    assert_int_equal(unlink(path_of(world, "b.yaml")), 0);
    assert_int_equal(rmdir(world->directory), 0);
    assert_int_equal(mkdir(world->directory, 0755), 0);
    while (strcmp(faults_of(world), "DirectoryUnreadable config") != 0)
        loop_turn(world->loop, 10);
    assert_string_equal(version_of(world, "s"), "1");
    assert_string_equal(version_of(world, "t"), "1");
    put_file(world, "a.yaml", service(world, "s", "2")); /* now it is what it holds */
    wait_version(world, "s", "2");
    wait_version(world, "t", "-");
    assert_string_equal(faults_of(world), "");
    assert_int_equal(unlink(path_of(world, "a.yaml")), 0); /* and may become empty */
    wait_version(world, "s", "-");
    assert_string_equal(faults_of(world), "");
}

static void a_file_that_cannot_be_looked_at_is_not_gone(void **state)
{
    struct world *world = *state;
    char target[400];
    memset(target, 'x', sizeof(target) - 1); /* longer than a name may be */
    target[sizeof(target) - 1] = '\0';
    put_file(world, "a.yaml", service(world, "s", "1"));
    follow(world);
    assert_int_equal(symlink(target, path_of(world, "new")), 0);
    assert_int_equal(rename(path_of(world, "new"), path_of(world, "a.yaml")), 0);
    while (strcmp(faults_of(world), "FileUnreadable a.yaml") != 0)
        loop_turn(world->loop, 10);
    assert_string_equal(version_of(world, "s"), "1");
    assert_int_equal(unlink(path_of(world, "a.yaml")), 0);
    wait_version(world, "s", "-");
}

static void the_link_to_a_directory_may_be_swapped(void **state)
{
    struct world *world = *state;
    const char *one = arena_printf(&world->arena, "%s/one", world->top).data;
    const char *other = arena_printf(&world->arena, "%s/other", world->top).data;
    const char *link = arena_printf(&world->arena, "%s/link", world->top).data;
    put_file(world, "a.yaml", service(world, "s", "1"));
    assert_int_equal(rename(world->directory, one), 0);
    assert_int_equal(mkdir(world->directory, 0755), 0);
    put_file(world, "a.yaml", service(world, "s", "2"));
    assert_int_equal(rename(world->directory, other), 0);
    assert_int_equal(symlink("one", world->directory), 0);
    follow(world);
    assert_string_equal(version_of(world, "s"), "1");
    assert_int_equal(symlink("other", link), 0);
    assert_int_equal(rename(link, world->directory), 0);
    wait_version(world, "s", "2");
}

static void a_reload_reads_what_changed(void **state)
{
    struct world *world = *state;
    follow(world);
    put_file(world, "../a.yaml", service(world, "s", "1"));
    assert_int_equal(link(path_of(world, "../a.yaml"), path_of(world, "a.yaml")), 0);
    files_reload(world->files);
    wait_version(world, "s", "1");
}

#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(an_object_that_stands_often_comes_from_the_first_file_and_place),
        IN_WORLD(only_files_that_count_are_read),
        IN_WORLD(what_is_no_file_is_named),
        IN_WORLD(a_link_whose_target_goes_keeps_what_it_held),
        IN_WORLD(a_directory_that_is_not_there_is_said),
        IN_WORLD(the_first_file_by_name_wins_an_object),
        IN_WORLD(twice_in_one_file_is_a_duplicate_too),
        IN_WORLD(a_broken_file_keeps_its_last_good_objects),
        IN_WORLD(an_object_with_an_error_keeps_its_own_last_good_form),
        IN_WORLD(an_unreadable_file_is_read_when_it_may_be),
        IN_WORLD(a_rename_over_a_file_is_one_change),
        IN_WORLD(a_file_that_gets_another_name_keeps_its_objects),
        IN_WORLD(a_burst_is_told_once),
        IN_WORLD(writing_without_end_is_not_waited_out_for_ever),
        IN_WORLD(half_a_file_is_not_taken_for_the_whole),
        IN_WORLD(a_hard_link_is_seen),
        IN_WORLD(a_mounted_volume_swaps_its_link),
        IN_WORLD(the_target_of_a_link_is_looked_at_now_and_then),
        IN_WORLD(a_directory_may_go_and_come_back),
        IN_WORLD(an_empty_directory_in_its_place_takes_nothing_away),
        IN_WORLD(a_file_that_cannot_be_looked_at_is_not_gone),
        IN_WORLD(the_link_to_a_directory_may_be_swapped),
        IN_WORLD(a_reload_reads_what_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
