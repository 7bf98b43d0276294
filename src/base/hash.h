/* Hashes: xxh3 for tables (seeded against flooding) and for digests of bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/text.h"

struct digest {
    uint64_t high, low;
};

uint64_t hash_text(struct text text);        /* seeded per process: tables only */
uint64_t hash_stable(struct text text);      /* the same in every process */
struct digest hash_digest(struct text text); /* 128 bits, the same everywhere */
static inline bool digest_equal(struct digest a, struct digest b)
{
    return a.high == b.high && a.low == b.low;
}
/* 32 lower-case hex digits and a NUL. */
void digest_format(struct digest digest, char out[33]);
