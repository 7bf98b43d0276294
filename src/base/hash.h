/* Hashes: xxh3 for tables (seeded against flooding) and for digests of bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/text.h"

struct digest {
    uint64_t high, low;
};

uint64_t hash_text(struct text text); /* seeded per process: tables only */

/* One for the beginnings of a text, all found in one reading of it: seeded, tables only. An element
 * is what ends before a `mark` or at the end of the text; a mark in front ends nothing. */
struct hash_element {
    size_t end;    /* bytes of the text up to here */
    uint64_t hash; /* hash_front() of those */
};
uint64_t hash_front(struct text text);
#define HASH_ELEMENTS_MAX 64
/* Fills ret_elements, the shortest first, for each set bit d of `wanted`: with the first d elements
 * of the text if it has as many, with nothing of it for d = 0. Returns how many. */
uint32_t hash_elements(struct text text, char mark, uint64_t wanted,
                       struct hash_element ret_elements[HASH_ELEMENTS_MAX]);
/* The same for the first `depth` elements alone, 1 or more. False: the text has fewer. */
bool hash_element(struct text text, char mark, uint32_t depth, struct hash_element *ret_element);
/* The same for those that end before a mark in the first sixteen bytes, as most do, in a few
 * instructions; with the bytes themselves and zeros. False: ask hash_element(). */
struct hash_near {
    size_t end;
    uint64_t hash;
    uint64_t bytes[2];
};
bool hash_element_near(struct text text, char mark, uint32_t depth, struct hash_near *ret_near);

uint64_t hash_stable(struct text text);      /* the same in every process */
struct digest hash_digest(struct text text); /* 128 bits, the same everywhere */
static inline bool digest_equal(struct digest a, struct digest b)
{
    return a.high == b.high && a.low == b.low;
}
/* 32 lower-case hex digits and a NUL. */
void digest_format(struct digest digest, char out[33]);
