/* A view of bytes that somebody else owns; not terminated. The string type of the project. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/macros.h"

struct text {
    const char *data; /* borrows */
    size_t len;
};

#define TEXT(literal)  ((struct text){"" literal, sizeof(literal) - 1})
#define TEXT_NONE      ((struct text){NULL, 0})
#define TEXT_FMT       "%.*s" /* with TEXT_ARG */
#define TEXT_ARG(text) (int)(text).len, (text).data

static inline struct text text_of(const char *string)
{
    return (struct text){string, string == NULL ? 0 : strlen(string)};
}

static inline struct text text_from(const char *data, size_t len)
{
    return (struct text){data, len};
}

static inline bool text_equal(struct text a, struct text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* The same for short texts on a hot path: nothing is called. */
static inline bool text_equal_short(struct text a, struct text b)
{
    if (a.len != b.len)
        return false;
    size_t at = 0;
    if (LIKELY(a.len >= 16)) {
        for (; at + 16 < a.len; at += 16) {
            if (memcmp(a.data + at, b.data + at, 16) != 0)
                return false;
        }
        return memcmp(a.data + a.len - 16, b.data + a.len - 16, 16) == 0;
    }
    if (a.len >= 8)
        return memcmp(a.data, b.data, 8) == 0 &&
               memcmp(a.data + a.len - 8, b.data + a.len - 8, 8) == 0;
    if (a.len >= 4)
        return memcmp(a.data, b.data, 4) == 0 &&
               memcmp(a.data + a.len - 4, b.data + a.len - 4, 4) == 0;
    while (at < a.len && a.data[at] == b.data[at])
        at++;
    return at == a.len;
}

static inline bool text_is(struct text a, const char *string)
{
    return text_equal(a, text_of(string));
}

/* ASCII only: names of fields, hosts, schemes. */
bool text_equal_nocase(struct text a, struct text b);
int text_compare(struct text a, struct text b);
bool text_starts_with(struct text a, struct text prefix);
bool text_ends_with(struct text a, struct text suffix);
/* Index of the first `byte` at or after `from`, or a.len. */
size_t text_find(struct text a, char byte, size_t from);
struct text text_slice(struct text a, size_t from, size_t to); /* clamped */
struct text text_trim(struct text a);                          /* blanks and tabs at both ends */
/* The part before the first `separator`; *rest moves behind it. False when *rest is used up. */
bool text_split(struct text *rest, char separator, struct text *ret_part);

/* Digits only, no sign, no blanks, overflow refused. Base 10 or 16. */
MUST_USE bool text_to_u64(struct text a, uint64_t *ret_value);
MUST_USE bool text_hex_to_u64(struct text a, uint64_t *ret_value);
#define TEXT_DIGITS 20 /* of the largest number */
/* In decimal, at the end of `room`, of which it is a view. */
struct text text_from_u64(uint64_t value, char room[TEXT_DIGITS]);
