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

/* Its last digits are brief: for some there is no room beside the key. */
static void brief_item(const void *value, struct shard_brief *ret_brief)
{
    struct text name = item_key(value);
    ret_brief->words[0] = ((struct item *)(uintptr_t)value)->name;
    ret_brief->rest = text_slice(name, name.len - 4, name.len);
    ret_brief->mark = name.len % 2 == 1;
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

/* What is brief of an item stands beside it if its key leaves room. */
static void check_line(const struct shard_line *line, const struct item *item)
{
    struct shard_brief brief = {0};
    brief_item(item, &brief);
    struct text name = item_key(item);
    bool room = name.len > SHARD_KEY_MAX || name.len + brief.rest.len <= SHARD_KEY_MAX;
    assert_ptr_equal(line->brief[0], room ? item->name : NULL);
    assert_true(text_equal(shard_line_rest(line), room ? brief.rest : TEXT("")));
    assert_int_equal(line->mark, room && brief.mark);
}

static const struct shard_line *find_near(const struct world *world, const struct shard_map *map,
                                          size_t at)
{
    struct text name = item_key(&world->items[at]);
    uint64_t bytes[2] = {0, 0};
    memcpy(bytes, name.data, name.len);
    return shard_map_find_near(map, hash_item(world, at), bytes, name.len);
}

static void check_all(const struct world *world, const struct shard_map *map)
{
    size_t count = 0;
    for (size_t i = 0; i < ITEMS; i++) {
        const struct shard_line *line =
            shard_map_find(map, &OPS, hash_item(world, i), item_key(&world->items[i]));
        assert_ptr_equal(line == NULL ? NULL : line->value,
                         world->there[i] ? &world->items[i] : NULL);
        if (line != NULL)
            check_line(line, &world->items[i]);
        if (item_key(&world->items[i]).len <= 16)
            assert_ptr_equal(find_near(world, map, i), line);
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
