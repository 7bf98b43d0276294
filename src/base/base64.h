/* Bytes as text and back, RFC 4648 section 4. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"

/* With padding; line ends are skipped, as the Kubernetes API server does. False: it is not base64.
 */
MUST_USE bool base64_decode(struct text text, struct arena *arena, struct text *ret_bytes);
struct text base64_encode(struct text bytes, struct arena *arena);

/* The same in pieces, cut anywhere. */
struct base64_reader {
    uint32_t bits;
    uint8_t digits, padding; /* of the four under way */
    bool is_joined;          /* several texts, each padded, may stand one behind the other */
    bool is_over;            /* padding was read: without is_joined nothing follows */
};
/* Room for that many bytes is enough for a piece of `len`. */
#define BASE64_ROOM(len) ((len) / 4 * 3 + 3)
/* To `out`; false: it is not base64. */
MUST_USE bool base64_read(struct base64_reader *reader, struct text piece, char *out,
                          size_t *ret_len);
static inline bool base64_is_whole(const struct base64_reader *reader)
{
    return reader->digits == 0;
}
/* To `out`, with padding; returns how many: four for three bytes begun. */
size_t base64_write(struct text bytes, char *out);
