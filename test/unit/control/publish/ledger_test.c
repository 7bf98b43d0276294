/* Versions go up with the content, stay with it over restarts, and pass those that a data plane
 * already holds. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/publish/ledger.h"
#include "test.h"

#define DIRECTORY "directory"

struct world {
    char directory[64], path[80];
    struct ledger ledger;
};

static const struct digest A = {1, 2}, B = {3, 4};

static int setup(void **state)
{
    static struct world world;
    const char *base = getenv("TMPDIR");
    snprintf(world.directory, sizeof(world.directory), "%.40s/nantian-XXXXXX",
             base == NULL ? "/tmp" : base);
    assert_non_null(mkdtemp(world.directory));
    snprintf(world.path, sizeof(world.path), "%s/version", world.directory);
    ledger_open(&world.ledger, text_of(world.directory), 1000);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    ledger_close(&world->ledger);
    unlink(world->path);
    rmdir(world->directory);
    return 0;
}

static void reopen(struct world *world, uint64_t now_s)
{
    ledger_close(&world->ledger);
    ledger_open(&world->ledger, text_of(world->directory), now_s);
}

static void check(const struct world *world, uint64_t epoch, uint64_t revision)
{
    struct snapshot_version version = ledger_version(&world->ledger);
    assert_int_equal(version.epoch, epoch);
    assert_int_equal(version_get(&version, TEXT(DIRECTORY)), revision);
}

static void put(const struct world *world, const char *content)
{
    int fd = open(world->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static void the_same_content_keeps_its_revision(void **state)
{
    struct world *world = *state;
    check(world, 1000, 0);
    assert_true(ledger_advance(&world->ledger, A));
    check(world, 1000, 1);
    assert_true(ledger_advance(&world->ledger, A));
    check(world, 1000, 1);
    assert_true(ledger_advance(&world->ledger, B));
    check(world, 1000, 2);
    assert_true(ledger_advance(&world->ledger, A)); /* back to what was: newer all the same */
    check(world, 1000, 3);
}

static void nothing_is_a_content_as_well(void **state)
{
    struct world *world = *state;
    assert_true(ledger_advance(&world->ledger, (struct digest){0}));
    check(world, 1000, 1);
}

static void a_restart_goes_on_where_it_was(void **state)
{
    struct world *world = *state;
    assert_true(ledger_advance(&world->ledger, A));
    assert_true(ledger_advance(&world->ledger, B));
    reopen(world, 2000);
    check(world, 1000, 2);
    assert_true(ledger_advance(&world->ledger, B));
    check(world, 1000, 2);
    assert_true(ledger_advance(&world->ledger, A));
    check(world, 1000, 3);
}

static void a_lost_file_begins_a_newer_epoch(void **state)
{
    struct world *world = *state;
    assert_true(ledger_advance(&world->ledger, A));
    unlink(world->path);
    reopen(world, 2000);
    check(world, 2000, 0);
    assert_true(ledger_advance(&world->ledger, A));
    check(world, 2000, 1);
}

/* Half of a number would be a version from the past. */
static void a_damaged_file_is_as_good_as_lost(void **state)
{
    static const char *const damaged[] = {
        "",
        "\n",
        "nantian-version-1",
        "nantian-version-1\n",
        "nantian-version-2 5 6 7 8\n",
        "nantian-version-1 5 6 7\n",
        "nantian-version-1 5 6 7 8",
        "nantian-version-1 5 6 7 \n",
        "nantian-version-1 5 -6 7 8\n",
        "nantian-version-1 5 6 7 x\n",
        "nantian-version-1 5  6 7 8\n",
        "nantian-version-1 99999999999999999999 6 7 8\n",
    };
    struct world *world = *state;
    for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
        put(world, damaged[i]);
        reopen(world, 3000);
        check(world, 3000, 0);
    }
    put(world, "nantian-version-1 5 6 7 8\n");
    reopen(world, 3000);
    check(world, 5, 6);
    assert_true(digest_equal(world->ledger.digest, (struct digest){7, 8}));
}

static struct snapshot_version held(uint64_t epoch, uint64_t revision)
{
    struct snapshot_version version = {.epoch = epoch};
    assert_true(version_set(&version, TEXT(DIRECTORY), revision));
    return version;
}

static void newer_versions_that_are_held_are_overtaken(void **state)
{
    struct world *world = *state;
    assert_true(ledger_advance(&world->ledger, A));
    struct snapshot_version newer = held(1000, 40);
    ledger_overtake(&world->ledger, &newer);
    assert_true(ledger_advance(&world->ledger, A)); /* the same content, but above */
    check(world, 1000, 41);
    newer = held(5000, 7);
    ledger_overtake(&world->ledger, &newer);
    assert_true(ledger_advance(&world->ledger, A));
    check(world, 5001, 1);
    reopen(world, 9000);
    check(world, 5001, 1);
}

static void older_versions_that_are_held_cost_a_revision_at_most(void **state)
{
    struct world *world = *state;
    assert_true(ledger_advance(&world->ledger, A));
    assert_true(ledger_advance(&world->ledger, B));
    struct snapshot_version older = held(999, 70);
    ledger_overtake(&world->ledger, &older);
    assert_true(ledger_advance(&world->ledger, B));
    check(world, 1000, 3);
}

static void what_cannot_be_written_is_said_and_counted_on(void **state)
{
    struct world *world = *state;
    assert_true(ledger_advance(&world->ledger, A));
    free(world->ledger.path);
    world->ledger.path = strdup("/nonexistent/version");
    assert_false(ledger_advance(&world->ledger, B));
    check(world, 1000, 2);
}

#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(the_same_content_keeps_its_revision),
        IN_WORLD(nothing_is_a_content_as_well),
        IN_WORLD(a_restart_goes_on_where_it_was),
        IN_WORLD(a_lost_file_begins_a_newer_epoch),
        IN_WORLD(a_damaged_file_is_as_good_as_lost),
        IN_WORLD(newer_versions_that_are_held_are_overtaken),
        IN_WORLD(older_versions_that_are_held_cost_a_revision_at_most),
        IN_WORLD(what_cannot_be_written_is_said_and_counted_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
