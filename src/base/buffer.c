/* Byte queues on lent blocks. Blocks of the standard size go round; larger ones come and go. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"

void buffer_pool_init(struct buffer_pool *pool, uint32_t free_max)
{
    *pool = (struct buffer_pool){.free_max = free_max};
}

void buffer_pool_fini(struct buffer_pool *pool)
{
    if (pool == NULL)
        return;
    while (pool->free_blocks != NULL) {
        void *block = pool->free_blocks;
        memcpy(&pool->free_blocks, block, sizeof(void *));
        free(block);
    }
    pool->free_count = 0;
}

static char *lend(struct buffer_pool *pool, uint32_t size)
{
    pool->lent_bytes += size;
    if (size == LIMIT_BUFFER_BLOCK && pool->free_blocks != NULL) {
        char *block = pool->free_blocks;
        memcpy(&pool->free_blocks, block, sizeof(void *));
        pool->free_count--;
        return block;
    }
    return memory_resize(NULL, size);
}

static void give_back(struct buffer_pool *pool, char *block, uint32_t size)
{
    pool->lent_bytes -= size;
    if (size != LIMIT_BUFFER_BLOCK || pool->free_count >= pool->free_max) {
        free(block);
        return;
    }
    memcpy(block, &pool->free_blocks, sizeof(void *));
    pool->free_blocks = block;
    pool->free_count++;
}

void buffer_init(struct buffer *buffer, struct buffer_pool *pool)
{
    *buffer = (struct buffer){.pool = pool};
}

void buffer_fini(struct buffer *buffer)
{
    if (buffer == NULL || buffer->data == NULL)
        return;
    give_back(buffer->pool, buffer->data, buffer->cap);
    buffer->data = NULL;
    buffer->start = buffer->end = buffer->cap = 0;
}

static void grow(struct buffer *buffer, size_t size)
{
    size_t len = buffer_len(buffer), cap = MAX(buffer->cap, (uint32_t)LIMIT_BUFFER_BLOCK);
    while (cap < len + size)
        cap *= 2;
    CHECK(cap <= UINT32_MAX);
    char *block = lend(buffer->pool, (uint32_t)cap);
    if (len > 0)
        memcpy(block, buffer->data + buffer->start, len);
    if (buffer->data != NULL)
        give_back(buffer->pool, buffer->data, buffer->cap);
    buffer->data = block;
    buffer->cap = (uint32_t)cap;
    buffer->start = 0;
    buffer->end = (uint32_t)len;
}

char *buffer_reserve(struct buffer *buffer, size_t size)
{
    if (buffer->cap - buffer->end >= size && buffer->data != NULL)
        return buffer->data + buffer->end;
    size_t len = buffer_len(buffer);
    if (buffer->data != NULL && buffer->cap - len >= size) {
        memmove(buffer->data, buffer->data + buffer->start, len);
        buffer->start = 0;
        buffer->end = (uint32_t)len;
    } else {
        grow(buffer, size);
    }
    return buffer->data + buffer->end;
}

void buffer_add(struct buffer *buffer, const void *data, size_t len)
{
    if (len == 0)
        return;
    memcpy(buffer_reserve(buffer, len), data, len);
    buffer->end += (uint32_t)len;
}

void buffer_skip(struct buffer *buffer, size_t len)
{
    CHECK(len <= buffer_len(buffer));
    buffer->start += (uint32_t)len;
    if (buffer->start == buffer->end)
        buffer->start = buffer->end = 0;
}

void buffer_consume(struct buffer *buffer, size_t len)
{
    buffer_skip(buffer, len);
    buffer_release(buffer);
}

void buffer_release(struct buffer *buffer)
{
    if (buffer_len(buffer) == 0)
        buffer_fini(buffer);
}
