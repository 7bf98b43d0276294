/* The door to xxHash. Tables are seeded per process, so that no client can aim at one bucket. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <stdio.h>
#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <xxhash.h>
#pragma GCC diagnostic pop

#include "base/random.h"

/* Written once before main: the one constant that a process draws for itself. */
static uint64_t table_seed;

__attribute__((constructor)) static void draw_seed(void)
{
    random_secure(&table_seed, sizeof(table_seed));
}

uint64_t hash_text(struct text text)
{
    return XXH3_64bits_withSeed(text.data, text.len, table_seed);
}

uint64_t hash_stable(struct text text)
{
    return XXH3_64bits(text.data, text.len);
}

struct digest hash_digest(struct text text)
{
    XXH128_hash_t hash = XXH3_128bits(text.data, text.len);
    return (struct digest){hash.high64, hash.low64};
}

void digest_format(struct digest digest, char out[33])
{
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)digest.high,
             (unsigned long long)digest.low);
}
