/* The chunked coding (RFC 9112 7.1), read strictly: sizes, extensions dropped, CRLF only, bounded
 * overhead. Knows no trailers: they are lines, h1_parse.h reads them. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/text.h"

struct h1_chunk {
    uint64_t left; /* data bytes of this chunk that are still to come; the caller takes them off */
    uint64_t size; /* as far as its digits have come */
    uint64_t data_bytes, overhead_bytes;
    uint32_t extension_bytes;
    uint8_t state;
    bool lenient; /* responses: blanks behind a size are let through */
    const char *why;
};

void h1_chunk_init(struct h1_chunk *chunk, bool lenient);
/* Reads framing from the front of `data`, *ret_used bytes of it. ERR_NONE: `left` bytes of data
 * follow, or, with left 0, the trailer section. ERR_AGAIN: all used, more is needed.
 * ERR_PROTOCOL: why is set. Call when left is 0. */
MUST_USE enum err h1_chunk_read(struct h1_chunk *chunk, const char *data, size_t len,
                                size_t *ret_used);
bool h1_chunk_is_last(const struct h1_chunk *chunk); /* the trailer section is next */
