/* The state file: what is damaged is never loaded, and what was good is found. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/builder.h"
#include "base/random.h"
#include "event/loop.h"
#include "test.h"
#include "xds/record.h"
#include "xds/state.h"
#include "xds/state_writer.h"

struct place {
    char base[64], dir[80], current[100], previous[100];
};

static void place_init(struct place *place)
{
    (void)snprintf(place->base, sizeof(place->base), "/tmp/nantian-state-XXXXXX");
    assert_non_null(mkdtemp(place->base));
    (void)snprintf(place->dir, sizeof(place->dir), "%s/state", place->base);
    (void)snprintf(place->current, sizeof(place->current), "%s/snapshot", place->dir);
    (void)snprintf(place->previous, sizeof(place->previous), "%s/snapshot.1", place->dir);
    assert_null(state_prepare(place->dir));
}

static void place_fini(struct place *place)
{
    char rest[100];
    (void)snprintf(rest, sizeof(rest), "%s/snapshot.new", place->dir);
    (void)unlink(rest);
    (void)unlink(place->current);
    (void)unlink(place->previous);
    (void)chmod(place->dir, 0700);
    assert_int_equal(rmdir(place->dir), 0);
    assert_int_equal(rmdir(place->base), 0);
}

/* `count` routes, and the record of revision `revision`. */
static void fill(struct resource_set *set, int count, uint64_t revision)
{
    resource_set_init(set);
    for (int i = 0; i < count; i++) {
        char name[32], bytes[64];
        (void)snprintf(name, sizeof(name), "route-%d", i);
        (void)snprintf(bytes, sizeof(bytes), "content of %d at %d", i, (int)revision);
        struct resource *one = resource_new(i % 3 ? RESOURCE_ROUTE : RESOURCE_SECRET, text_of(name),
                                            text_of(bytes), i % 5 ? TEXT_NONE : TEXT("stock"));
        resource_set_put(set, one);
        resource_unref(one);
    }
    struct snapshot_version version = {.epoch = 1};
    assert_true(version_set(&version, TEXT("directory"), revision));
    struct resource *record = record_new(&set->sums, &version);
    resource_set_put(set, record);
    resource_unref(record);
}

static struct resource **list(const struct resource_set *set, size_t *ret_count)
{
    struct resource **all = calloc(resource_set_total(set) + 1, sizeof(*all)), *one;
    *ret_count = 0;
    for (unsigned i = 0; i < RESOURCE_TYPES; i++) {
        for (size_t at = 0; (one = resource_set_next(set, (enum resource_type)i, &at)) != NULL;)
            all[(*ret_count)++] = one;
    }
    return all;
}

static const char *write_set(const char *dir, const struct resource_set *set)
{
    size_t count;
    struct resource **all = list(set, &count);
    const char *why = state_write(dir, all, count, NULL);
    free(all);
    return why;
}

static bool same(const struct resource_set *a, const struct resource_set *b)
{
    struct resource *one = resource_set_get(a, RESOURCE_SNAPSHOT, TEXT("snapshot"));
    struct resource *other = resource_set_get(b, RESOURCE_SNAPSHOT, TEXT("snapshot"));
    return one != NULL && other != NULL && digest_equal(one->digest, other->digest) &&
           memcmp(&a->sums, &b->sums, sizeof(a->sums)) == 0;
}

static void read_whole(const char *path, struct builder *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (ssize_t got = 1; got > 0; out->len += (size_t)got) {
        char *at = builder_reserve(out, 65536);
        got = read(fd, at, 65536);
        assert_true(got >= 0);
    }
    close(fd);
}

static void write_whole(const char *path, struct text bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.data, bytes.len), (ssize_t)bytes.len);
    close(fd);
}

static void what_was_written_is_loaded_versions_and_all(void **state)
{
    (void)state;
    struct place place;
    struct resource_set set, back;
    place_init(&place);
    fill(&set, 20000, 1); /* more than one block of the digest chain */
    assert_null(write_set(place.dir, &set));
    resource_set_init(&back);
    struct state_loaded loaded = state_load(place.dir, &back);
    assert_true(loaded.loaded && !loaded.previous);
    assert_true(same(&set, &back));
    assert_true(resource_has_version(resource_set_get(&back, RESOURCE_ROUTE, TEXT("route-5")),
                                     TEXT("stock")));
    struct stat stat_file;
    assert_int_equal(stat(place.current, &stat_file), 0);
    assert_int_equal(stat_file.st_mode & 0777, 0600);
    resource_set_fini(&set);
    resource_set_fini(&back);
    place_fini(&place);
}

static void the_one_before_is_kept_and_stands_in(void **state)
{
    (void)state;
    struct place place;
    struct resource_set first, second, back;
    place_init(&place);
    fill(&first, 10, 1);
    fill(&second, 11, 2);
    assert_null(write_set(place.dir, &first));
    assert_null(write_set(place.dir, &second));
    struct builder bytes = {0};
    read_whole(place.current, &bytes);
    write_whole(place.current, text_from(bytes.data, bytes.len / 2));
    resource_set_init(&back);
    struct state_loaded loaded = state_load(place.dir, &back);
    assert_true(loaded.loaded && loaded.previous);
    assert_string_equal(loaded.why_current, "it is cut short");
    assert_true(same(&first, &back));
    resource_set_clear(&back);
    assert_int_equal(unlink(place.current), 0); /* killed between the two renames */
    loaded = state_load(place.dir, &back);
    assert_true(loaded.loaded && loaded.previous);
    assert_string_equal(loaded.why_current, "there is none");
    builder_fini(&bytes);
    resource_set_fini(&first);
    resource_set_fini(&second);
    resource_set_fini(&back);
    place_fini(&place);
}

/* One of the ways in which a file goes bad; false: this one left it as it was. */
static bool damage(struct builder *bytes, struct random *random, int kind)
{
    size_t at = random_below(random, bytes->len);
    size_t span = 1 + random_below(random, 64);
    switch (kind) {
    case 0:
        bytes->data[at] = (char)(bytes->data[at] ^ (1 << random_below(random, 8)));
        return true;
    case 1:
        bytes->len = at;
        return true;
    case 2:
        builder_add_char(bytes, (char)random_next(random));
        return true;
    case 3:
        memset(bytes->data + at, 0, MIN(span, bytes->len - at));
        return true;
    case 4: /* in the header's numbers */
        bytes->data[random_below(random, 48)] = (char)0xff;
        return true;
    default: /* two pieces swapped */
        span = MIN(span, bytes->len / 2);
        for (size_t i = 0; i < span; i++) {
            char keep = bytes->data[i];
            bytes->data[i] = bytes->data[bytes->len - span + i];
            bytes->data[bytes->len - span + i] = keep;
        }
        return true;
    }
}

static void two_hundred_damaged_files_are_refused_with_a_reason(void **state)
{
    (void)state;
    struct place place;
    struct resource_set good, back;
    struct random random;
    struct builder whole = {0};
    int refused = 0, unchanged = 0;
    random_seed(&random, 20261123);
    place_init(&place);
    fill(&good, 200, 1);
    assert_null(write_set(place.dir, &good));
    read_whole(place.current, &whole);
    write_whole(place.previous, builder_text(&whole));
    for (int round = 0; round < 600; round++) {
        struct builder bytes = {0};
        builder_add(&bytes, builder_text(&whole));
        (void)damage(&bytes, &random, round % 6);
        bool changed = !text_equal(builder_text(&bytes), builder_text(&whole));
        write_whole(place.current, builder_text(&bytes));
        resource_set_init(&back);
        struct state_loaded loaded = state_load(place.dir, &back);
        assert_true(loaded.loaded);
        assert_true(same(&good, &back));
        assert_int_equal(loaded.previous, changed);
        assert_int_equal(loaded.why_current != NULL, changed);
        refused += changed;
        unchanged += !changed;
        resource_set_fini(&back);
        builder_fini(&bytes);
    }
    assert_true(refused >= 200 && unchanged < 60);
    builder_fini(&whole);
    resource_set_fini(&good);
    place_fini(&place);
}

static void a_file_that_is_not_ours_alone_is_refused(void **state)
{
    (void)state;
    struct place place;
    struct resource_set good, back;
    place_init(&place);
    fill(&good, 3, 1);
    assert_null(write_set(place.dir, &good));
    assert_int_equal(chmod(place.current, 0644), 0);
    resource_set_init(&back);
    struct state_loaded loaded = state_load(place.dir, &back);
    assert_false(loaded.loaded);
    assert_string_equal(loaded.why_current, "others have access to it");
    assert_string_equal(loaded.why_previous, "there is none");
    assert_int_equal(unlink(place.current), 0);
    assert_int_equal(symlink("/etc/passwd", place.current), 0);
    loaded = state_load(place.dir, &back);
    assert_string_equal(loaded.why_current, "it cannot be opened");
    assert_int_equal(unlink(place.current), 0);
    assert_int_equal(mkfifo(place.current, 0600), 0);
    loaded = state_load(place.dir, &back);
    assert_string_equal(loaded.why_current, "it is no regular file");
    assert_int_equal(chmod(place.dir, 0755), 0);
    assert_string_equal(state_prepare(place.dir), "others have access to it");
    assert_int_equal(resource_set_total(&back), 0);
    resource_set_fini(&good);
    resource_set_fini(&back);
    place_fini(&place);
}

static void a_writer_killed_at_any_moment_leaves_a_whole_file(void **state)
{
    (void)state;
    struct place place;
    struct resource_set sets[2], back;
    struct random random;
    random_seed(&random, 5);
    place_init(&place);
    fill(&sets[0], 3000, 1);
    fill(&sets[1], 3001, 2);
    assert_null(write_set(place.dir, &sets[0]));
    for (int round = 0; round < 100; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            for (int i = 0;; i++)
                (void)write_set(place.dir, &sets[i & 1]);
        }
        struct timespec moment = {0, (long)random_below(&random, 8000000)};
        (void)nanosleep(&moment, NULL); /* the moment of the kill is the input of this test */
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        resource_set_init(&back);
        struct state_loaded loaded = state_load(place.dir, &back);
        assert_true(loaded.loaded);
        assert_true(same(&sets[0], &back) || same(&sets[1], &back));
        if (loaded.previous)
            assert_string_equal(loaded.why_current, "there is none");
        resource_set_fini(&back);
    }
    resource_set_fini(&sets[0]);
    resource_set_fini(&sets[1]);
    place_fini(&place);
}

struct told {
    int count;
    const char *why;
};

static void on_written(void *owner, const char *why, uint64_t took_us)
{
    struct told *told = owner;
    (void)took_us;
    told->count++;
    told->why = why;
}

static void the_writer_keeps_the_newest_and_never_makes_the_loop_wait(void **state)
{
    (void)state;
    struct place place;
    struct resource_set sets[3], back;
    struct told told = {0};
    struct loop *loop = loop_new(NULL);
    place_init(&place);
    struct state_writer *writer = state_writer_new(loop, place.dir, on_written, &told);
    assert_non_null(writer);
    for (int i = 0; i < 3; i++) {
        fill(&sets[i], 2000, (uint64_t)i + 1);
        state_writer_submit(writer, &sets[i]);
    }
    assert_true(state_writer_busy(writer));
    for (int i = 0; i < 1000 && state_writer_busy(writer); i++)
        loop_turn(loop, 100);
    assert_false(state_writer_busy(writer));
    assert_true(told.count >= 1 && told.count <= 3);
    assert_null(told.why);
    resource_set_init(&back);
    assert_true(state_load(place.dir, &back).loaded);
    assert_true(same(&sets[2], &back));
    resource_set_clear(&back);
    state_writer_submit(writer, &sets[0]); /* what waits at the end is written */
    state_writer_free(writer);
    assert_true(state_load(place.dir, &back).loaded);
    assert_true(same(&sets[0], &back));
    for (int i = 0; i < 3; i++)
        resource_set_fini(&sets[i]);
    resource_set_fini(&back);
    loop_free(loop);
    place_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_loaded_versions_and_all),
        cmocka_unit_test(the_one_before_is_kept_and_stands_in),
        cmocka_unit_test(two_hundred_damaged_files_are_refused_with_a_reason),
        cmocka_unit_test(a_file_that_is_not_ours_alone_is_refused),
        cmocka_unit_test(a_writer_killed_at_any_moment_leaves_a_whole_file),
        cmocka_unit_test(the_writer_keeps_the_newest_and_never_makes_the_loop_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
