/* The byte notation of the tables in test/hostile: escapes, {N*x}, {pause}, {fin}, {drop}. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/builder.h"
#include "test.h"

struct h1_bytes {
    struct builder bytes;
    size_t pause_at; /* the last one's */
    bool pause, fin, drop;
};

static inline void h1_bytes_plain(struct h1_bytes *what, struct text text)
{
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.data[i];
        if (byte != '\\') {
            builder_add_char(&what->bytes, byte);
            continue;
        }
        byte = text.data[++i];
        uint64_t value = 0;
        if (byte == 'x') {
            assert_true(text_hex_to_u64(text_slice(text, i + 1, i + 3), &value));
            i += 2;
            byte = (char)value;
        } else {
            byte = byte == 'r' ? '\r' : byte == 'n' ? '\n' : byte == 't' ? '\t' : byte;
            byte = byte == '0' ? '\0' : byte;
        }
        builder_add_char(&what->bytes, byte);
    }
}

static inline void h1_bytes_mark(struct h1_bytes *what, struct text inside)
{
    size_t star = text_find(inside, '*', 0);
    uint64_t times = 0;
    if (text_is(inside, "pause")) {
        what->pause = true;
        what->pause_at = what->bytes.len;
    }
    what->fin |= text_is(inside, "fin");
    what->drop |= text_is(inside, "drop");
    if (star < inside.len && text_to_u64(text_slice(inside, 0, star), &times))
        while (times-- > 0)
            h1_bytes_plain(what, text_slice(inside, star + 1, inside.len));
}

static inline void h1_bytes_read(struct h1_bytes *what, struct text text)
{
    while (text.len > 0) {
        size_t open = text_find(text, '{', 0), close = text_find(text, '}', open);
        h1_bytes_plain(what, text_slice(text, 0, open));
        h1_bytes_mark(what, text_slice(text, open + 1, close));
        text = text_slice(text, close + 1, text.len);
    }
}
