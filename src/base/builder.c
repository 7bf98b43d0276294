/* A growing string; it doubles, so adding is cheap. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/builder.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

#define PRINTF_GUESS 63 /* what is printed is formatted twice only when it is longer */

void builder_fini(struct builder *builder)
{
    if (builder == NULL)
        return;
    free(builder->data);
    *builder = (struct builder){0};
}

void builder_clear(struct builder *builder)
{
    builder->len = 0;
    if (builder->data != NULL)
        builder->data[0] = '\0';
}

char *builder_reserve(struct builder *builder, size_t extra)
{
    if (builder->cap - builder->len <= extra) {
        size_t cap = MAX(builder->cap * 2, builder->len + extra + 1);
        builder->data = memory_resize(builder->data, MAX(cap, 64));
        builder->cap = MAX(cap, 64);
    }
    return builder->data + builder->len;
}

void builder_add(struct builder *builder, struct text text)
{
    char *at = builder_reserve(builder, text.len);
    if (text.len > 0)
        memcpy(at, text.data, text.len);
    builder->len += text.len;
    builder->data[builder->len] = '\0';
}

void builder_add_string(struct builder *builder, const char *string)
{
    builder_add(builder, text_of(string));
}

void builder_add_char(struct builder *builder, char byte)
{
    char *at = builder_reserve(builder, 1);
    at[0] = byte;
    at[1] = '\0';
    builder->len++;
}

void builder_add_u64(struct builder *builder, uint64_t value)
{
    char room[TEXT_DIGITS];
    builder_add(builder, text_from_u64(value, room));
}

void builder_printf(struct builder *builder, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char *at = builder_reserve(builder, PRINTF_GUESS);
    size_t room = builder->cap - builder->len;
    int len = vsnprintf(at, room, format, again);
    va_end(again);
    CHECK(len >= 0);
    if ((size_t)len >= room)
        vsnprintf(builder_reserve(builder, (size_t)len), (size_t)len + 1, format, args);
    va_end(args);
    builder->len += (size_t)len;
}
