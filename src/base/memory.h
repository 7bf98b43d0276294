/* Heap memory that cannot fail for the caller, and growing arrays. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/text.h"

void *memory_alloc(size_t size); /* zeroed */
/* Zeroed; `alignment` is a power of two, at least that of a pointer. Given back with free(). */
void *memory_aligned(size_t alignment, size_t size);
void *memory_resize(void *old, size_t size);
char *memory_string(struct text text);
#define memory_new(type) ((type *)memory_alloc(sizeof(type)))

/* Room for one more than `count` items of `size` bytes: returns items, moved or not. */
void *memory_grow(void *items, size_t count, size_t *cap, size_t size);
