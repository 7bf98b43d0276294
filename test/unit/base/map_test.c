/* The table beside an array that cannot be wrong; removal with runs that wrap around the end. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/random.h"
#include "test.h"

enum { KEYS = 600 };

struct model {
    struct map map;
    char keys[KEYS][16];
    int *values[KEYS]; /* NULL: not in it */
    int numbers[2];
    size_t count;
};

static void compare(const struct model *model)
{
    assert_int_equal(model->map.count, model->count);
    for (size_t i = 0; i < KEYS; i++)
        assert_ptr_equal(map_get(&model->map, text_of(model->keys[i])), model->values[i]);
}

static void random_edits_agree_with_an_array(void **state)
{
    (void)state;
    static struct model model;
    struct random random;
    map_init(&model.map);
    random_seed(&random, 3);
    for (size_t i = 0; i < KEYS; i++)
        snprintf(model.keys[i], sizeof(model.keys[i]), "key-%zu", i);
    for (int step = 0; step < 20000; step++) {
        size_t at = random_below(&random, step % 4000 < 2000 ? KEYS : 12);
        struct text key = text_of(model.keys[at]);
        int *before = model.values[at];
        if (random_below(&random, 5) < 2) {
            int *value = &model.numbers[step % 2];
            assert_ptr_equal(map_put(&model.map, key, value), before);
            model.count += before == NULL;
            model.values[at] = value;
        } else {
            assert_ptr_equal(map_remove(&model.map, key), before);
            model.count -= before != NULL;
            model.values[at] = NULL;
        }
        assert_true(model.map.count * 4 <= model.map.cap * 3 || model.map.cap == 0);
        if (step % 200 == 0)
            compare(&model);
    }
    compare(&model);
    map_fini(&model.map);
}

/* Keys whose homes are the last places of a table of 16, so that the run wraps. */
static size_t crowd_keys(char keys[][16], size_t want)
{
    size_t count = 0;
    for (unsigned i = 0; count < want; i++) {
        snprintf(keys[count], 16, "%u", i);
        count += (hash_text(text_of(keys[count])) & 15) >= 14;
    }
    return count;
}

static void removal_moves_followers_back_around_the_end(void **state)
{
    (void)state;
    char keys[11][16];
    size_t count = crowd_keys(keys, ARRAY_LEN(keys));
    for (size_t gone = 0; gone < count; gone++) {
        struct map map;
        map_init(&map);
        for (size_t i = 0; i < count; i++)
            map_put(&map, text_of(keys[i]), keys[i]);
        assert_int_equal(map.cap, 16);
        for (size_t step = 0; step < count; step++) { /* from each key on, round about */
            size_t at = (gone + step * 7) % count;
            assert_ptr_equal(map_remove(&map, text_of(keys[at])), keys[at]);
            for (size_t later = step + 1; later < count; later++) {
                size_t other = (gone + later * 7) % count;
                assert_ptr_equal(map_get(&map, text_of(keys[other])), keys[other]);
            }
        }
        assert_int_equal(map.count, 0);
        map_fini(&map);
    }
}

static void an_empty_map_answers_and_the_empty_key_is_a_key(void **state)
{
    (void)state;
    struct map map;
    struct map_entry *entry = NULL;
    size_t at = 0, count = 9;
    map_init(&map);
    assert_null(map_get(&map, TEXT("a")));
    assert_null(map_remove(&map, TEXT("a")));
    assert_false(map_next(&map, &at, &entry));
    assert_null(map_sorted(&map, &count));
    assert_int_equal(count, 0);
    map_put(&map, TEXT_NONE, &count);
    assert_ptr_equal(map_get(&map, TEXT("")), &count);
    assert_ptr_equal(map_remove(&map, TEXT_NONE), &count);
    assert_int_equal(map.count, 0);
    map_fini(&map);
    map_fini(&map);
}

static void a_put_takes_the_new_key_as_well(void **state)
{
    (void)state;
    char old[] = "key", new[] = "key";
    int first = 0, second = 0;
    struct map map;
    map_init(&map);
    map_put(&map, text_of(old), &first);
    assert_ptr_equal(map_put(&map, text_of(new), &second), &first);
    memset(old, 'x', 3);
    assert_ptr_equal(map_get(&map, TEXT("key")), &second);
    map_fini(&map);
}

static void walking_and_sorting_see_each_entry_once(void **state)
{
    (void)state;
    static char keys[100][16];
    struct map map;
    struct map_entry *entry = NULL;
    map_init(&map);
    for (int i = 0; i < 100; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%02d", (i * 37) % 100);
        map_put(&map, text_of(keys[i]), keys[i]);
    }
    size_t seen = 0, count = 0;
    for (size_t at = 0; map_next(&map, &at, &entry);)
        seen++;
    assert_int_equal(seen, 100);
    char **sorted = (char **)map_sorted(&map, &count);
    assert_int_equal(count, 100);
    for (size_t i = 0; i < count; i++) {
        char want[24];
        snprintf(want, sizeof(want), "%02zu", i);
        assert_string_equal(sorted[i], want);
    }
    free(sorted);
    map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_edits_agree_with_an_array),
        cmocka_unit_test(removal_moves_followers_back_around_the_end),
        cmocka_unit_test(an_empty_map_answers_and_the_empty_key_is_a_key),
        cmocka_unit_test(a_put_takes_the_new_key_as_well),
        cmocka_unit_test(walking_and_sorting_see_each_entry_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
