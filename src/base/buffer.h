/* A queue of bytes between a socket and a parser, on blocks that a pool lends.
 * An empty buffer holds no block: an idle connection costs nothing here. One thread only. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct buffer_pool {
    void *free_blocks; /* owns */
    uint32_t free_count, free_max;
    size_t lent_bytes; /* what all buffers of this pool hold now */
};

struct buffer {
    struct buffer_pool *pool; /* borrows; outlives every buffer on it */
    char *data;               /* lent by the pool, or NULL */
    uint32_t start, end, cap;
};

void buffer_pool_init(struct buffer_pool *pool, uint32_t free_max);
void buffer_pool_fini(struct buffer_pool *pool);

void buffer_init(struct buffer *buffer, struct buffer_pool *pool);
void buffer_fini(struct buffer *buffer);
static inline size_t buffer_len(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}
static inline struct text buffer_text(const struct buffer *buffer)
{
    return (struct text){buffer->data + buffer->start, buffer->end - buffer->start};
}
/* Room for at least `size` bytes behind the content; moves content to the front or a larger block
 * when it must (views into the buffer end there). The caller adds to `end` what it wrote. */
char *buffer_reserve(struct buffer *buffer, size_t size);
static inline size_t buffer_room(const struct buffer *buffer)
{
    return buffer->cap - buffer->end;
}
void buffer_add(struct buffer *buffer, const void *data, size_t len);
/* Takes `len` bytes off the front; the block goes back to the pool when nothing is left. */
void buffer_consume(struct buffer *buffer, size_t len);
/* The same, but keeps the block even when empty (views stay valid until the next reserve). */
void buffer_skip(struct buffer *buffer, size_t len);
/* Gives the block back if the buffer is empty. */
void buffer_release(struct buffer *buffer);
