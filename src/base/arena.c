/* Blocks of growing size, newest first, since that is the likeliest to have room. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

#define ARENA_BLOCK 4096
#define ARENA_ALIGN 16

struct arena_block {
    struct arena_block *next;
    size_t size; /* of data */
    _Alignas(ARENA_ALIGN) char data[];
};

void arena_init(struct arena *arena, size_t block_size)
{
    *arena = (struct arena){.block_size = block_size == 0 ? ARENA_BLOCK : block_size};
}

static void free_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_fini(struct arena *arena)
{
    if (arena == NULL)
        return;
    free_blocks(arena->blocks);
    arena->blocks = NULL;
    arena->at = arena->end = NULL;
    arena->used = 0;
}

void arena_reset(struct arena *arena)
{
#ifdef ARENA_PIECES_APART
    arena_fini(arena);
#else
    struct arena_block *keep = arena->blocks;
    arena->used = 0;
    if (keep == NULL)
        return;
    free_blocks(keep->next);
    keep->next = NULL;
    if (keep->size > arena->block_size) { /* one large request must not hold memory for ever */
        free(keep);
        arena->blocks = NULL;
        arena->at = arena->end = NULL;
        return;
    }
    arena->at = keep->data;
    arena->end = keep->data + keep->size;
#endif
}

static struct arena_block *add_block(struct arena *arena, size_t size)
{
    struct arena_block *block = memory_resize(NULL, sizeof(*block) + size);
    block->size = size;
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    CHECK(size < SIZE_MAX / 2);
    size = size == 0 ? 1 : size;
    arena->used += size;
#ifdef ARENA_PIECES_APART
    return add_block(arena, size)->data;
#else
    size_t rounded = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (LIKELY((size_t)(arena->end - arena->at) >= rounded)) {
        char *piece = arena->at;
        arena->at += rounded;
        return piece;
    }
    if (rounded > arena->block_size / 2 && arena->blocks != NULL) {
        /* A large piece gets its own block behind the newest, which keeps its room. */
        struct arena_block *newest = arena->blocks;
        arena->blocks = newest->next;
        struct arena_block *own = add_block(arena, rounded);
        newest->next = own;
        arena->blocks = newest;
        return own->data;
    }
    struct arena_block *block = add_block(arena, MAX(arena->block_size, rounded));
    arena->at = block->data + rounded;
    arena->end = block->data + block->size;
    return block->data;
#endif
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    return memset(arena_alloc(arena, size), 0, size);
}

struct text arena_text(struct arena *arena, struct text text)
{
    return text_from(arena_string(arena, text), text.len);
}

char *arena_string(struct arena *arena, struct text text)
{
    char *copy = arena_alloc(arena, text.len + 1);
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

struct text arena_u64(struct arena *arena, uint64_t value)
{
    char room[TEXT_DIGITS];
    return arena_text(arena, text_from_u64(value, room));
}

struct text arena_vprintf(struct arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    char guess[256]; /* what is longer is formatted twice */
    int len = vsnprintf(guess, sizeof(guess), format, again);
    va_end(again);
    CHECK(len >= 0);
    char *out = arena_alloc(arena, (size_t)len + 1);
    if ((size_t)len < sizeof(guess))
        memcpy(out, guess, (size_t)len + 1);
    else
        vsnprintf(out, (size_t)len + 1, format, args);
    return text_from(out, (size_t)len);
}

struct text arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct text text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}
