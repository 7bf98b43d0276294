/* A real directory with its loop and store, for tests of what stands in it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/builder.h"
#include "base/limits.h"
#include "base/memory.h"
#include "control/files/files.h"
#include "test.h"

#define DEADLINE_MS 20000

struct world {
    char top[64], directory[80];
    struct loop *loop;
    struct store *store;
    struct files *files;
    struct arena arena;
    uint32_t changes;
};

static void on_change(void *owner, struct files *files)
{
    (void)files;
    ((struct world *)owner)->changes++;
}

static const struct files_events EVENTS = {.on_change = on_change};

static int setup(void **state)
{
    struct world *world = memory_new(struct world);
    const char *base = getenv("TMPDIR");
    snprintf(world->top, sizeof(world->top), "%.40s/nantian-XXXXXX", base == NULL ? "/tmp" : base);
    assert_non_null(mkdtemp(world->top));
    snprintf(world->directory, sizeof(world->directory), "%s/config", world->top);
    assert_int_equal(mkdir(world->directory, 0755), 0);
    world->loop = loop_new(NULL);
    world->store = store_new();
    world->files = files_new(text_of(world->directory), KIND_LENIENT, world->store);
    arena_init(&world->arena, 0);
    *state = world;
    return 0;
}

static int remove_one(const char *path, const struct stat *facts, int type, struct FTW *place)
{
    (void)facts, (void)type, (void)place;
    return remove(path);
}

static int teardown(void **state)
{
    struct world *world = *state;
    files_free(world->files);
    store_free(world->store);
    loop_free(world->loop);
    arena_fini(&world->arena);
    nftw(world->top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(world);
    return 0;
}

static uint64_t now_ms(struct world *world)
{
    loop_tick(world->loop);
    return loop_now_ms(world->loop);
}

static const char *path_of(struct world *world, const char *name)
{
    return arena_printf(&world->arena, "%s/%s", world->directory, name).data;
}

static void put_file(struct world *world, const char *name, const char *content)
{
    int fd = open(path_of(world, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

/* A Service with a version in its label. */
static const char *service(struct world *world, const char *name, const char *version)
{
    return arena_printf(&world->arena,
                        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: %s\n"
                        "  labels: {v: \"%s\"}\nspec:\n  ports: [{port: 80}]\n",
                        name, version)
        .data;
}

static const char *two(struct world *world, const char *first, const char *second)
{
    return arena_printf(&world->arena, "%s%s", first, second).data;
}

/* Its version in the store, or "-". */
static const char *version_of(struct world *world, const char *name)
{
    const struct kind_object *object =
        store_get(world->store, KIND_SERVICE, TEXT("default"), text_of(name));
    if (object == NULL)
        return "-";
    return arena_string(&world->arena, kind_pairs_get(&object->meta.labels, "v"));
}

/* "Duplicate b.yaml; SyntaxError a.yaml": errors and where. */
static const char *faults_of(struct world *world)
{
    struct faults faults;
    struct builder out CLEANUP(builder_fini) = {0};
    faults_init(&faults, &world->arena);
    files_faults(world->files, &faults);
    for (size_t i = 0; i < faults.count; i++) {
        struct text file = faults.items[i].file;
        size_t from = file.len;
        while (from > 0 && file.data[from - 1] != '/')
            from--;
        builder_printf(&out, "%s%s " TEXT_FMT, i == 0 ? "" : "; ", faults.items[i].code,
                       TEXT_ARG(text_slice(file, from, file.len)));
    }
    builder_add_string(&out, "");
    faults_fini(&faults);
    return arena_string(&world->arena, builder_text(&out));
}

static void load(struct world *world)
{
    assert_true(files_load(world->files));
}

/* Follows, and lets the first look (for what changed since the load) pass. */
static void follow(struct world *world)
{
    load(world);
    assert_true(files_watch(world->files, world->loop, &EVENTS, world));
    uint64_t until = now_ms(world) + LIMIT_DEBOUNCE_MS * 3;
    while (loop_now_ms(world->loop) < until)
        loop_turn(world->loop, 10);
    world->changes = 0;
}
