/* A queue of bytes against a plain array, and who holds a block when. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/random.h"
#include "test.h"

static void an_empty_buffer_holds_no_block(void **state)
{
    (void)state;
    struct buffer_pool pool;
    struct buffer buffer;
    buffer_pool_init(&pool, 4);
    buffer_init(&buffer, &pool);
    buffer_add(&buffer, "", 0);
    buffer_release(&buffer);
    assert_null(buffer.data);
    assert_int_equal(pool.lent_bytes, 0);
    buffer_add(&buffer, "hello", 5);
    assert_int_equal(pool.lent_bytes, LIMIT_BUFFER_BLOCK);
    buffer_consume(&buffer, 4);
    assert_true(text_is(buffer_text(&buffer), "o"));
    assert_non_null(buffer.data);
    buffer_consume(&buffer, 1);
    assert_null(buffer.data);
    assert_int_equal(pool.lent_bytes, 0);
    assert_int_equal(pool.free_count, 1);
    buffer_pool_fini(&pool);
}

static void skip_keeps_what_consume_gives_back(void **state)
{
    (void)state;
    struct buffer_pool pool;
    struct buffer buffer;
    buffer_pool_init(&pool, 4);
    buffer_init(&buffer, &pool);
    buffer_add(&buffer, "hello", 5);
    const char *view = buffer_text(&buffer).data;
    buffer_skip(&buffer, 5);
    assert_int_equal(buffer_len(&buffer), 0);
    assert_memory_equal(view, "hello", 5); /* still there for who looked before */
    assert_int_equal(pool.lent_bytes, LIMIT_BUFFER_BLOCK);
    buffer_release(&buffer);
    assert_int_equal(pool.lent_bytes, 0);
    buffer_add(&buffer, "x", 1);
    buffer_release(&buffer); /* not empty: nothing happens */
    assert_true(text_is(buffer_text(&buffer), "x"));
    buffer_fini(&buffer);
    buffer_fini(&buffer);
    buffer_pool_fini(&pool);
}

static void content_moves_to_the_front_before_the_block_grows(void **state)
{
    (void)state;
    struct buffer_pool pool;
    struct buffer buffer;
    buffer_pool_init(&pool, 4);
    buffer_init(&buffer, &pool);
    char *block = memory_alloc(LIMIT_BUFFER_BLOCK);
    memset(block, 'a', LIMIT_BUFFER_BLOCK);
    buffer_add(&buffer, block, LIMIT_BUFFER_BLOCK);
    assert_int_equal(buffer_room(&buffer), 0);
    buffer_consume(&buffer, LIMIT_BUFFER_BLOCK - 10);
    buffer_reserve(&buffer, LIMIT_BUFFER_BLOCK - 10);
    assert_int_equal(buffer.cap, LIMIT_BUFFER_BLOCK);
    assert_int_equal(buffer.start, 0);
    assert_int_equal(buffer_len(&buffer), 10);
    buffer_reserve(&buffer, LIMIT_BUFFER_BLOCK - 9); /* one byte too many */
    assert_int_equal(buffer.cap, 2 * LIMIT_BUFFER_BLOCK);
    assert_true(text_is(buffer_text(&buffer), "aaaaaaaaaa"));
    assert_int_equal(pool.lent_bytes, 2 * LIMIT_BUFFER_BLOCK);
    buffer_consume(&buffer, 10);
    assert_int_equal(pool.free_count, 1); /* the large block is not kept */
    free(block);
    buffer_pool_fini(&pool);
}

static void the_pool_keeps_no_more_than_it_may(void **state)
{
    (void)state;
    struct buffer_pool pool;
    struct buffer buffers[5];
    buffer_pool_init(&pool, 2);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5; i++) {
            buffer_init(&buffers[i], &pool);
            buffer_add(&buffers[i], "x", 1);
        }
        assert_int_equal(pool.free_count, 0);
        assert_int_equal(pool.lent_bytes, 5 * LIMIT_BUFFER_BLOCK);
        for (int i = 0; i < 5; i++)
            buffer_fini(&buffers[i]);
        assert_int_equal(pool.free_count, 2);
        assert_int_equal(pool.lent_bytes, 0);
    }
    buffer_pool_fini(&pool);
}

/* Random edits beside a model; `model` holds the same bytes. */
static void a_buffer_is_a_queue_whatever_the_edits(void **state)
{
    (void)state;
    struct buffer_pool pool;
    struct buffer buffer;
    struct random random;
    enum { MODEL_MAX = 200000 };
    unsigned char *model = memory_alloc(MODEL_MAX), next = 0;
    size_t len = 0;
    buffer_pool_init(&pool, 2);
    buffer_init(&buffer, &pool);
    random_seed(&random, 1);
    for (int step = 0; step < 4000; step++) {
        size_t size = random_below(&random, random_below(&random, 8) == 0 ? 30000 : 300);
        if (random_below(&random, 2) == 0 && len + size < MODEL_MAX) {
            unsigned char *at = (unsigned char *)buffer_reserve(&buffer, size + 1);
            assert_true(buffer_room(&buffer) >= size + 1);
            for (size_t i = 0; i < size; i++)
                at[i] = model[len++] = next++;
            buffer.end += (uint32_t)size;
        } else {
            size = MIN(size, len);
            (random_below(&random, 2) == 0 ? buffer_skip : buffer_consume)(&buffer, size);
            memmove(model, model + size, len - size);
            len -= size;
        }
        assert_int_equal(buffer_len(&buffer), len);
        assert_true(len == 0 || memcmp(buffer_text(&buffer).data, model, len) == 0);
    }
    buffer_fini(&buffer);
    assert_int_equal(pool.lent_bytes, 0);
    buffer_pool_fini(&pool);
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_holds_no_block),
        cmocka_unit_test(skip_keeps_what_consume_gives_back),
        cmocka_unit_test(content_moves_to_the_front_before_the_block_grows),
        cmocka_unit_test(the_pool_keeps_no_more_than_it_may),
        cmocka_unit_test(a_buffer_is_a_queue_whatever_the_edits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
