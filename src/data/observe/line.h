/* Writes one access log line into memory that is known to be large enough: JSON pieces, escaped. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/text.h"

struct line {
    char *at;
};

#define LINE_VALUE_MAX                                                                             \
    512 /* escaped bytes kept of a value: all together stay below LIMIT_LOG_LINE */
#define LINE_PATH_MAX 3072

static inline void line_raw(struct line *line, struct text text)
{
    memcpy(line->at, text.data, text.len);
    line->at += text.len;
}
/* For what stands in this line already: up to fifteen bytes behind it are read and written too. */
static inline void line_again(struct line *line, struct text text)
{
    for (size_t at = 0; at < text.len; at += 16)
        memcpy(line->at + at, text.data + at, 16); /* what is too much is written over */
    line->at += text.len;
}
#define line_literal(line, literal) line_raw(line, TEXT(literal))

void line_digits(struct line *line, uint64_t value);
static inline void line_u64(struct line *line, uint64_t value)
{
    if (LIKELY(value < 10)) /* as most are */
        *line->at++ = (char)('0' + value);
    else
        line_digits(line, value);
}
/* Nanoseconds as milliseconds with three decimals. */
void line_ms(struct line *line, uint64_t ns);
/* Between quotes already: escapes what JSON or a terminal would misread; cut at `max` bytes. */
void line_escaped(struct line *line, struct text value, size_t max);
/* With quotes; an empty text is null. */
void line_value(struct line *line, struct text value);
/* A query string; values of names that usually carry secrets become "***". */
void line_query(struct line *line, struct text query, size_t max);
