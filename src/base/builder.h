/* A growing string: what is written to logs, answers and files. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/text.h"

struct builder {
    char *data; /* owns; always terminated once anything was added */
    size_t len, cap;
};

void builder_fini(struct builder *builder);
void builder_clear(struct builder *builder);
/* Room for `extra` more bytes at data + len; the caller adds to len what it wrote. */
char *builder_reserve(struct builder *builder, size_t extra);
void builder_add(struct builder *builder, struct text text);
void builder_add_string(struct builder *builder, const char *string);
void builder_add_char(struct builder *builder, char byte);
void builder_add_u64(struct builder *builder, uint64_t value);
void builder_printf(struct builder *builder, const char *format, ...) PRINTF_LIKE(2, 3);
static inline struct text builder_text(const struct builder *builder)
{
    return (struct text){builder->data, builder->len};
}
