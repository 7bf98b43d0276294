/* Memory that is given back all at once: one arena a request, a configuration, a translation. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/text.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* owns; newest first */
    char *at, *end;
    size_t used; /* bytes handed out */
    size_t block_size;
};

/* Nothing is allocated before the first piece. block_size 0 means 4 KiB. */
void arena_init(struct arena *arena, size_t block_size);
void arena_fini(struct arena *arena);
/* Gives back all but one block, for the next use. */
void arena_reset(struct arena *arena);

/* Aligned to 16; never NULL (the process ends when memory does). */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_zalloc(struct arena *arena, size_t size);
#define arena_new(arena, type)          ((type *)arena_zalloc(arena, sizeof(type)))
#define arena_array(arena, type, count) ((type *)arena_zalloc(arena, sizeof(type) * (count)))

/* Copies, with a NUL behind that is not counted. */
struct text arena_text(struct arena *arena, struct text text);
char *arena_string(struct arena *arena, struct text text);
/* In decimal. */
struct text arena_u64(struct arena *arena, uint64_t value);
struct text arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
struct text arena_vprintf(struct arena *arena, const char *format, va_list args);
