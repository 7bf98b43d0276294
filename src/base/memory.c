/* The heap: when it is used up the process ends here, and the supervisor starts it again. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

__attribute__((noreturn, cold)) static void out_of_memory(size_t size)
{
    fprintf(stderr, "out of memory: %zu bytes asked for\n", size);
    abort();
}

void *memory_alloc(size_t size)
{
    void *memory = calloc(1, size == 0 ? 1 : size);
    if (memory == NULL)
        out_of_memory(size);
    return memory;
}

void *memory_aligned(size_t alignment, size_t size)
{
    void *memory = NULL;
    if (posix_memalign(&memory, alignment, size) != 0)
        out_of_memory(size);
    return memset(memory, 0, size);
}

void *memory_resize(void *old, size_t size)
{
    void *memory = realloc(old, size == 0 ? 1 : size);
    if (memory == NULL)
        out_of_memory(size);
    return memory;
}

char *memory_string(struct text text)
{
    char *copy = memory_resize(NULL, text.len + 1);
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

void *memory_grow(void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return items;
    size_t more = *cap == 0 ? 8 : *cap * 2;
    size_t bytes = 0;
    if (__builtin_mul_overflow(more, size, &bytes))
        out_of_memory(SIZE_MAX);
    *cap = more;
    return memory_resize(items, bytes);
}
