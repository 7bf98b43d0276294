/* Ring and Maglev: shares by weight, and how few keys a change of the endpoints moves. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "base/limits.h"
#include "data/snapshot/hash_table.h"
#include "test.h"

#define KEYS 20000u
#define MANY 100u

static const enum balance KINDS[] = {BALANCE_RING_HASH, BALANCE_MAGLEV};

/* Endpoints from..to-1, those with an odd number of weight `odd`. */
static uint32_t make(struct endpoint *out, struct arena *arena, uint32_t from, uint32_t to,
                     uint32_t odd)
{
    uint32_t count = 0;
    for (uint32_t i = from; i < to; i++)
        out[count++] = (struct endpoint){.text = arena_printf(arena, "10.0.0.%u:8080", i),
                                         .weight = i % 2 == 1 ? odd : 1};
    return count;
}

static struct text owner(const struct hash_table *table, const struct endpoint *endpoints,
                         uint32_t key)
{
    uint64_t hash = hash_stable(text_from((const char *)&key, sizeof(key)));
    return endpoints[table->owners[hash_table_place(table, hash)]].text;
}

static void each_gets_its_share(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < 2; kind++) {
        for (uint32_t odd = 1; odd <= 3; odd += 2) {
            struct arena arena;
            struct endpoint endpoints[MANY];
            uint32_t hits[MANY] = {0};
            arena_init(&arena, 0);
            uint32_t count = make(endpoints, &arena, 0, 10, odd);
            const struct hash_table *table = hash_table_new(KINDS[kind], endpoints, count, &arena);
            for (uint32_t key = 0; key < KEYS; key++) {
                struct text text = owner(table, endpoints, key);
                for (uint32_t i = 0; i < count; i++)
                    hits[i] += text_equal(text, endpoints[i].text);
            }
            for (uint32_t i = 0; i < count; i++) {
                uint32_t fair = KEYS * endpoints[i].weight / (5 + 5 * odd);
                assert_in_range(hits[i], fair * 3 / 4, fair * 5 / 4);
            }
            arena_fini(&arena);
        }
    }
}

/* How many keys have another owner; of them `forced`, whose old owner is gone or new one is new. */
static uint32_t moved(enum balance kind, uint32_t from, uint32_t to, uint32_t *ret_forced)
{
    struct arena arena;
    struct endpoint before[MANY], after[MANY];
    uint32_t count = 0;
    arena_init(&arena, 0);
    uint32_t many = make(before, &arena, 0, 50, 1), few = make(after, &arena, from, to, 1);
    const struct hash_table *a = hash_table_new(kind, before, many, &arena);
    const struct hash_table *b = hash_table_new(kind, after, few, &arena);
    *ret_forced = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        struct text was = owner(a, before, key), is = owner(b, after, key);
        bool is_there = false, is_new = true;
        for (uint32_t i = 0; i < few; i++)
            is_there = is_there || text_equal(was, after[i].text);
        for (uint32_t i = 0; i < many; i++)
            is_new = is_new && !text_equal(is, before[i].text);
        count += !text_equal(was, is);
        *ret_forced += !is_there || is_new;
    }
    arena_fini(&arena);
    return count;
}

static void a_ring_moves_only_the_keys_of_who_came_or_went(void **state)
{
    (void)state;
    uint32_t forced;
    uint32_t count = moved(BALANCE_RING_HASH, 1, 50, &forced);
    assert_int_equal(count, forced);
    assert_in_range(forced, KEYS / 100, KEYS / 25);
    count = moved(BALANCE_RING_HASH, 0, 51, &forced);
    assert_int_equal(count, forced);
    assert_in_range(forced, KEYS / 100, KEYS / 25);
}

static void maglev_moves_few_more(void **state)
{
    (void)state;
    uint32_t forced;
    uint32_t count = moved(BALANCE_MAGLEV, 1, 50, &forced);
    assert_in_range(count, forced, forced + KEYS / 20);
    count = moved(BALANCE_MAGLEV, 0, 51, &forced);
    assert_in_range(count, forced, forced + KEYS / 20);
}

static void the_order_of_endpoints_does_not_matter_to_a_ring(void **state)
{
    (void)state;
    struct arena arena;
    struct endpoint one[MANY], two[MANY];
    arena_init(&arena, 0);
    uint32_t count = make(one, &arena, 0, 20, 2);
    for (uint32_t i = 0; i < count; i++)
        two[i] = one[count - 1 - i];
    const struct hash_table *a = hash_table_new(BALANCE_RING_HASH, one, count, &arena);
    const struct hash_table *b = hash_table_new(BALANCE_RING_HASH, two, count, &arena);
    for (uint32_t key = 0; key < 1000; key++)
        assert_true(text_equal(owner(a, one, key), owner(b, two, key)));
    arena_fini(&arena);
}

static void many_endpoints_and_great_weights_have_bounds(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct endpoint *endpoints = arena_array(&arena, struct endpoint, LIMIT_ENDPOINTS);
    for (uint32_t i = 0; i < LIMIT_ENDPOINTS; i++)
        endpoints[i] = (struct endpoint){.text = arena_printf(&arena, "e%u", i),
                                         .weight = i == 0 ? LIMIT_ENDPOINT_WEIGHT : 1};
    for (size_t kind = 0; kind < 2; kind++) {
        const struct hash_table *table =
            hash_table_new(KINDS[kind], endpoints, LIMIT_ENDPOINTS, &arena);
        assert_in_range(table->count, LIMIT_ENDPOINTS, LIMIT_RING_MAX + LIMIT_ENDPOINTS);
    }
    assert_null(hash_table_new(BALANCE_MAGLEV, endpoints, 0, &arena));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_gets_its_share),
        cmocka_unit_test(a_ring_moves_only_the_keys_of_who_came_or_went),
        cmocka_unit_test(maglev_moves_few_more),
        cmocka_unit_test(the_order_of_endpoints_does_not_matter_to_a_ring),
        cmocka_unit_test(many_endpoints_and_great_weights_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
