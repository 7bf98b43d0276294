/* The persistent map against a plain array of what should be in it, small and large. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/snapshot/shard_map.h"
#include "test.h"

struct item {
    uint32_t refs;
    char name[48]; /* of some it is too long for a line of the map */
};

static void *ref_item(void *value)
{
    ((struct item *)value)->refs++;
    return value;
}

static void unref_item(void *value)
{
    ((struct item *)value)->refs--;
}

static struct text item_key(const void *value)
{
    return text_of(((const struct item *)value)->name);
}

static void brief_item(const void *value, void *ret_brief[2])
{
    ret_brief[0] = ((struct item *)(uintptr_t)value)->name;
}

static const struct shard_ops OPS = {
    .ref = ref_item, .unref = unref_item, .key = item_key, .brief = brief_item};

#define ITEMS 3000

struct world {
    struct item items[ITEMS];
    bool there[ITEMS];
    uint64_t mask; /* of hashes: few bits make collisions */
};

static uint64_t hash_item(const struct world *world, size_t at)
{
    return hash_stable(text_of(world->items[at].name)) & world->mask;
}

static void check_all(const struct world *world, const struct shard_map *map)
{
    size_t count = 0;
    for (size_t i = 0; i < ITEMS; i++) {
        const struct shard_line *line =
            shard_map_find(map, &OPS, hash_item(world, i), item_key(&world->items[i]));
        assert_ptr_equal(line == NULL ? NULL : line->value,
                         world->there[i] ? &world->items[i] : NULL);
        assert_ptr_equal(line == NULL ? NULL : line->brief[0],
                         world->there[i] ? world->items[i].name : NULL);
        count += world->there[i];
    }
    assert_int_equal(shard_map_count(map), count);
}

static struct shard_map *random_edit(struct world *world, struct shard_map *map,
                                     struct random *random, size_t count)
{
    struct shard_edit *edits = memory_alloc(sizeof(*edits) * count);
    size_t first = random_below(random, ITEMS - count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t at = first + i;
        world->there[at] = random_below(random, 3) > 0;
        edits[i] = (struct shard_edit){hash_item(world, at), item_key(&world->items[at]),
                                       world->there[at] ? &world->items[at] : NULL};
    }
    struct shard_map *made = shard_map_edit(map, &OPS, edits, count);
    free(edits);
    return made;
}

static void run(uint64_t mask)
{
    struct world *world = memory_new(struct world), *before = memory_new(struct world);
    world->mask = mask;
    for (size_t i = 0; i < ITEMS; i++)
        snprintf(world->items[i].name, sizeof(world->items[i].name), "item-%0*zu",
                 (int)(1 + i % 40), i);
    struct random random;
    random_seed(&random, 3);
    struct shard_map *map = NULL;
    for (int step = 0; step < 60; step++) {
        memcpy(before->there, world->there, sizeof(world->there));
        size_t count = step % 10 == 0 ? ITEMS / 2 : 1 + random_below(&random, 5);
        struct shard_map *made = random_edit(world, map, &random, count);
        check_all(world, made);
        for (size_t i = 0; i < ITEMS; i += 7) /* the old one is as it was */
            assert_int_equal(
                shard_map_get(map, &OPS, hash_item(world, i), item_key(&world->items[i])) != NULL,
                before->there[i]);
        shard_map_unref(map, &OPS);
        map = made;
    }
    struct shard_edit *edits = memory_alloc(sizeof(*edits) * ITEMS);
    for (size_t i = 0; i < ITEMS; i++)
        edits[i] = (struct shard_edit){hash_item(world, i), item_key(&world->items[i]), NULL};
    assert_null(shard_map_edit(map, &OPS, edits, ITEMS));
    free(edits);
    shard_map_unref(map, &OPS);
    for (size_t i = 0; i < ITEMS; i++)
        assert_int_equal(world->items[i].refs, 0);
    free(world);
    free(before);
}

static void it_holds_what_was_put_and_gives_every_reference_back(void **state)
{
    (void)state;
    run(UINT64_MAX);
}

static void equal_hashes_share_a_shard(void **state)
{
    (void)state;
    run(0x7); /* eight hashes for 3,000 keys */
    run(0xF00000000000000F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_what_was_put_and_gives_every_reference_back),
        cmocka_unit_test(equal_hashes_share_a_shard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
