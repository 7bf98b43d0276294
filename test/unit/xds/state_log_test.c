/* The log behind the state file: one change is one entry, and what is torn or damaged ends it at
 * the snapshot before. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"
#include "event/loop.h"
#include "test.h"
#include "xds/record.h"
#include "xds/state.h"
#include "xds/state_log.h"
#include "xds/state_writer.h"

#define ENTRIES 12

struct place {
    char base[64], dir[80];
};

static void place_init(struct place *place)
{
    (void)snprintf(place->base, sizeof(place->base), "/tmp/nantian-log-XXXXXX");
    assert_non_null(mkdtemp(place->base));
    (void)snprintf(place->dir, sizeof(place->dir), "%s/state", place->base);
    assert_null(state_prepare(place->dir));
}

static const char *path_of(const struct place *place, const char *name, char out[128])
{
    (void)snprintf(out, 128, "%s/%s", place->dir, name);
    return out;
}

static void place_fini(struct place *place)
{
    static const char *const NAMES[] = {"snapshot", "snapshot.1", "snapshot.new", "snapshot.log",
                                        "snapshot.1.log"};
    char path[128];
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        (void)unlink(path_of(place, NAMES[i], path));
    assert_int_equal(rmdir(place->dir), 0);
    assert_int_equal(rmdir(place->base), 0);
}

static void put_record(struct resource_set *set, uint64_t revision)
{
    struct snapshot_version version = {.epoch = 1};
    assert_true(version_set(&version, TEXT("directory"), revision));
    struct resource *record = record_new(&set->sums, &version);
    resource_set_put(set, record);
    resource_unref(record);
}

static void fill(struct resource_set *set, int count)
{
    resource_set_init(set);
    for (int i = 0; i < count; i++) {
        char name[32], bytes[64];
        (void)snprintf(name, sizeof(name), "route-%d", i);
        (void)snprintf(bytes, sizeof(bytes), "the content of %d as it was at the beginning", i);
        struct resource *one =
            resource_new(RESOURCE_ROUTE, text_of(name), text_of(bytes), TEXT_NONE);
        resource_set_put(set, one);
        resource_unref(one);
    }
    put_record(set, 0);
}

/* One route differs, and every third time one goes; the edits are the caller's. */
static void change(struct resource_set *set, uint64_t revision, struct resource_edits *edits)
{
    char name[32], bytes[64];
    (void)snprintf(name, sizeof(name), "route-%d", (int)revision % 7);
    (void)snprintf(bytes, sizeof(bytes), "content of revision %d", (int)revision);
    struct resource *one = resource_new(RESOURCE_ROUTE, text_of(name), text_of(bytes), TEXT("own"));
    resource_edits_add(edits, resource_set_get(set, RESOURCE_ROUTE, text_of(name)), one);
    resource_unref(one);
    (void)snprintf(name, sizeof(name), "route-%d", 100 + (int)revision);
    struct resource *old = resource_set_get(set, RESOURCE_ROUTE, text_of(name));
    if (revision % 3 == 0 && old != NULL)
        resource_edits_add(edits, old, NULL);
    resource_set_apply(set, edits);
    put_record(set, revision);
}

static uint64_t revision_of(const struct resource_set *set)
{
    struct arena arena;
    struct record record;
    arena_init(&arena, 0);
    struct resource *one = resource_set_get(set, RESOURCE_SNAPSHOT, TEXT("snapshot"));
    assert_non_null(one);
    assert_int_equal(record_read(resource_bytes(one), &arena, &record), ERR_NONE);
    struct text text = version_format(&record.version, &arena);
    size_t digits = text.len;
    while (text.data[digits - 1] != '.')
        digits--;
    uint64_t revision = 0;
    assert_true(text_to_u64(text_slice(text, digits, text.len), &revision));
    arena_fini(&arena);
    return revision;
}

static uint64_t load(const struct place *place, struct state_loaded *ret_loaded)
{
    struct resource_set back;
    resource_set_init(&back);
    *ret_loaded = state_load(place->dir, &back);
    assert_true(ret_loaded->loaded);
    assert_null(state_record_judge(&back));
    uint64_t revision = revision_of(&back);
    resource_set_fini(&back);
    return revision;
}

/* A set written whole, and `ENTRIES` entries behind it. */
static void write_log(const struct place *place, struct resource_set *set, struct state_log *log,
                      int count)
{
    struct digest digest;
    fill(set, count);
    struct resource **all = calloc(resource_set_total(set) + 1, sizeof(*all)), *one;
    size_t used = 0;
    for (unsigned i = 0; i < RESOURCE_TYPES; i++) {
        for (size_t at = 0; (one = resource_set_next(set, (enum resource_type)i, &at)) != NULL;)
            all[used++] = one;
    }
    assert_null(state_write(place->dir, all, used, &digest));
    free(all);
    state_log_restart(log, digest);
}

static void append(const struct place *place, struct resource_set *set, struct state_log *log,
                   uint64_t revision)
{
    struct builder entry = {0};
    struct resource_edits edits = {0};
    change(set, revision, &edits);
    size_t at = state_log_open(&entry);
    for (size_t i = 0; i < edits.count; i++) {
        if (edits.items[i].after != NULL)
            state_record_add(&entry, edits.items[i].after);
        else
            state_record_add_gone(&entry, edits.items[i].before);
    }
    state_record_add(&entry, resource_set_get(set, RESOURCE_SNAPSHOT, TEXT("snapshot")));
    state_log_close(&entry, at);
    assert_null(state_log_append(log, place->dir, &entry));
    resource_edits_fini(&edits);
    builder_fini(&entry);
}

static size_t read_whole(const char *path, char *out, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t got = read(fd, out, room);
    assert_true(got > 0 && (size_t)got < room);
    close(fd);
    return (size_t)got;
}

static void write_whole(const char *path, const char *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

static void every_entry_is_loaded(void **state)
{
    (void)state;
    struct place place;
    struct resource_set set;
    struct state_log log;
    struct state_loaded loaded;
    struct stat stat_file;
    char path[128];
    place_init(&place);
    state_log_init(&log);
    write_log(&place, &set, &log, 200);
    assert_int_equal(load(&place, &loaded), 0);
    for (uint64_t revision = 1; revision <= ENTRIES; revision++) {
        append(&place, &set, &log, revision);
        assert_int_equal(load(&place, &loaded), revision);
        assert_true(!loaded.previous && loaded.why_log == NULL);
    }
    assert_int_equal(stat(path_of(&place, "snapshot.log", path), &stat_file), 0);
    assert_int_equal(stat_file.st_mode & 0777, 0600);
    state_log_fini(&log);
    resource_set_fini(&set);
    place_fini(&place);
}

static void a_log_cut_anywhere_ends_at_the_entry_before(void **state)
{
    (void)state;
    static char bytes[1 << 16];
    struct place place;
    struct resource_set set;
    struct state_log log;
    struct state_loaded loaded;
    char path[128];
    uint64_t last = 0;
    place_init(&place);
    state_log_init(&log);
    write_log(&place, &set, &log, 200);
    for (uint64_t revision = 1; revision <= ENTRIES; revision++)
        append(&place, &set, &log, revision);
    size_t len = read_whole(path_of(&place, "snapshot.log", path), bytes, sizeof(bytes));
    for (size_t cut = 0; cut <= len; cut += cut + 40 < len ? 7 : 1) {
        write_whole(path, bytes, cut);
        uint64_t revision = load(&place, &loaded);
        assert_true(revision == last || revision == last + 1);
        assert_false(loaded.previous);
        last = revision;
    }
    assert_int_equal(last, ENTRIES);
    state_log_fini(&log);
    resource_set_fini(&set);
    place_fini(&place);
}

static void a_damaged_log_never_gives_what_was_not_written(void **state)
{
    (void)state;
    static char bytes[1 << 16];
    struct place place;
    struct resource_set set;
    struct state_log log;
    struct state_loaded loaded;
    struct random random;
    char path[128];
    place_init(&place);
    random_seed(&random, 20261123);
    state_log_init(&log);
    write_log(&place, &set, &log, 200);
    for (uint64_t revision = 1; revision <= ENTRIES; revision++)
        append(&place, &set, &log, revision);
    size_t len = read_whole(path_of(&place, "snapshot.log", path), bytes, sizeof(bytes));
    for (int round = 0; round < 200; round++) {
        size_t at = random_below(&random, len);
        char keep = bytes[at];
        bytes[at] = (char)(keep ^ (1 << random_below(&random, 8)));
        write_whole(path, bytes, len);
        bytes[at] = keep;
        uint64_t revision = load(&place, &loaded); /* judged by its commit record */
        assert_true(revision < ENTRIES);
        assert_false(loaded.previous);
        assert_true(loaded.why_log != NULL || at < STATE_LOG_HEADER);
    }
    state_log_fini(&log);
    resource_set_fini(&set);
    place_fini(&place);
}

static void a_log_stays_with_its_state_file(void **state)
{
    (void)state;
    struct place place;
    struct resource_set set, next;
    struct state_log log;
    struct state_loaded loaded;
    char path[128];
    place_init(&place);
    state_log_init(&log);
    write_log(&place, &set, &log, 20);
    append(&place, &set, &log, 5);
    write_log(&place, &next, &log, 30);
    assert_int_equal(load(&place, &loaded), 0); /* the log is of the file before */
    append(&place, &next, &log, 7);
    assert_int_equal(load(&place, &loaded), 7);
    assert_int_equal(unlink(path_of(&place, "snapshot", path)), 0);
    assert_int_equal(load(&place, &loaded), 5); /* and stands in with it */
    assert_true(loaded.previous);
    state_log_fini(&log);
    resource_set_fini(&set);
    resource_set_fini(&next);
    place_fini(&place);
}

static void a_writer_killed_at_any_moment_loses_nothing_that_was_synced(void **state)
{
    (void)state;
    struct place place;
    struct state_loaded loaded;
    struct random random;
    random_seed(&random, 5);
    place_init(&place);
    for (int round = 0; round < 40; round++) {
        int synced[2];
        assert_int_equal(pipe(synced), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct resource_set set;
            struct state_log log;
            state_log_init(&log);
            write_log(&place, &set, &log, 100);
            for (uint64_t revision = 1;; revision++) {
                append(&place, &set, &log, revision);
                (void)!write(synced[1], &revision, sizeof(revision));
            }
        }
        close(synced[1]);
        uint64_t told = 0, next;
        (void)!read(synced[0], &told, sizeof(told)); /* it has begun */
        struct timespec moment = {0, (long)random_below(&random, 3000000)};
        (void)nanosleep(&moment, NULL); /* the moment of the kill is the input of this test */
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        while (read(synced[0], &next, sizeof(next)) == (ssize_t)sizeof(next))
            told = next;
        close(synced[0]);
        uint64_t revision = load(&place, &loaded);
        assert_true(told > 0 && revision >= told && revision <= told + 1);
        assert_false(loaded.previous);
    }
    place_fini(&place);
}

static void on_written(void *owner, const char *why, uint64_t took_us)
{
    (void)took_us;
    *(const char **)owner = why;
}

static ino_t inode_of(const struct place *place)
{
    struct stat stat_file;
    char path[128];
    assert_int_equal(stat(path_of(place, "snapshot", path), &stat_file), 0);
    return stat_file.st_ino;
}

static void submit(struct state_writer *writer, struct loop *loop, struct resource_set *set,
                   uint64_t revision)
{
    struct resource_edits edits = {0};
    change(set, revision, &edits);
    state_writer_note(writer, &edits);
    state_writer_submit(writer, set);
    resource_edits_fini(&edits);
    for (int i = 0; i < 1000 && state_writer_busy(writer); i++)
        loop_turn(loop, 100);
    assert_false(state_writer_busy(writer));
}

static void one_change_of_a_large_set_is_an_entry_until_the_log_is_long(void **state)
{
    (void)state;
    struct place place;
    struct resource_set set;
    struct state_loaded loaded;
    const char *why = NULL;
    struct loop *loop = loop_new(NULL);
    place_init(&place);
    struct state_writer *writer = state_writer_new(loop, place.dir, on_written, &why);
    fill(&set, 6000);
    submit(writer, loop, &set, 1); /* nothing to stand behind yet: whole */
    ino_t first = inode_of(&place);
    for (uint64_t revision = 2; revision < 20; revision++)
        submit(writer, loop, &set, revision);
    assert_null(why);
    assert_true(inode_of(&place) == first);
    assert_int_equal(load(&place, &loaded), 19);
    struct resource_edits edits = {0};
    for (int i = 0; i < 6000; i++) { /* more than the log may hold: whole again */
        char name[32];
        (void)snprintf(name, sizeof(name), "more-%d", i);
        struct resource *one =
            resource_new(RESOURCE_ROUTE, text_of(name),
                         TEXT("what all of these many say, word by word"), TEXT_NONE);
        resource_edits_add(&edits, NULL, one);
        resource_unref(one);
    }
    resource_set_apply(&set, &edits);
    put_record(&set, 20);
    state_writer_note(writer, &edits);
    state_writer_submit(writer, &set);
    resource_edits_fini(&edits);
    submit(writer, loop, &set, 21);
    assert_null(why);
    assert_true(inode_of(&place) != first);
    assert_int_equal(load(&place, &loaded), 21);
    state_writer_free(writer);
    resource_set_fini(&set);
    loop_free(loop);
    place_fini(&place);
}

static void entries_that_come_while_a_set_is_written_follow_it(void **state)
{
    (void)state;
    struct place place;
    struct resource_set set;
    struct state_loaded loaded;
    const char *why = NULL;
    struct loop *loop = loop_new(NULL);
    place_init(&place);
    struct state_writer *writer = state_writer_new(loop, place.dir, on_written, &why);
    fill(&set, 6000);
    state_writer_submit(writer, &set);
    for (uint64_t revision = 1; revision < 50; revision++) {
        struct resource_edits edits = {0};
        change(&set, revision, &edits);
        state_writer_note(writer, &edits);
        state_writer_submit(writer, &set);
        resource_edits_fini(&edits);
    }
    state_writer_free(writer); /* what waits at the end is written */
    assert_null(why);
    assert_int_equal(load(&place, &loaded), 49);
    assert_false(loaded.previous);
    resource_set_fini(&set);
    loop_free(loop);
    place_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_is_loaded),
        cmocka_unit_test(a_log_cut_anywhere_ends_at_the_entry_before),
        cmocka_unit_test(a_damaged_log_never_gives_what_was_not_written),
        cmocka_unit_test(a_log_stays_with_its_state_file),
        cmocka_unit_test(a_writer_killed_at_any_moment_loses_nothing_that_was_synced),
        cmocka_unit_test(one_change_of_a_large_set_is_an_entry_until_the_log_is_long),
        cmocka_unit_test(entries_that_come_while_a_set_is_written_follow_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
