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

/* Written once before main: the constants that a process draws for itself. */
static uint64_t table_seed;
static uint64_t front_seeds[2];

__attribute__((constructor)) static void draw_seed(void)
{
    random_secure(&table_seed, sizeof(table_seed));
    random_secure(front_seeds, sizeof(front_seeds));
    front_seeds[1] |= 1; /* what is multiplied by it keeps its bits */
}

uint64_t hash_text(struct text text)
{
    return XXH3_64bits_withSeed(text.data, text.len, table_seed);
}

/* ---- hashes of beginnings: words are folded in one after the other, and an end closes them ----
 */

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t front_step(uint64_t state, uint64_t word)
{
    return fold(state ^ word, UINT64_C(0x9E3779B97F4A7C15));
}

/* `word`: the bytes behind the last whole word, less than eight, so that its top byte is free. */
static inline uint64_t front_close(uint64_t state, uint64_t word, size_t len)
{
    return fold(state ^ word ^ ((uint64_t)len << 56), front_seeds[1]);
}

/* Eight bytes, or those that are left and zeros. */
static inline uint64_t word_at(struct text text, size_t at)
{
    uint64_t word = 0;
    size_t left = text.len - at;
    if (LIKELY(left >= sizeof(word))) {
        memcpy(&word, text.data + at, sizeof(word));
    } else if (left > 0 && text.len >= sizeof(word)) {
        memcpy(&word, text.data + text.len - sizeof(word), sizeof(word));
        word >>= 8 * (sizeof(word) - left);
    } else {
        for (size_t i = 0; i < left; i++)
            word |= (uint64_t)(unsigned char)text.data[at + i] << (8 * i);
    }
    return word;
}

uint64_t hash_front(struct text text)
{
    uint64_t state = front_seeds[0];
    size_t at = 0;
    for (; text.len - at >= sizeof(uint64_t); at += sizeof(uint64_t))
        state = front_step(state, word_at(text, at));
    return front_close(state, word_at(text, at), text.len);
}

/* The top bit of each byte of `word` that is `byte`. */
static inline uint64_t bytes_equal(uint64_t word, char byte)
{
    const uint64_t low = 0x7F7F7F7F7F7F7F7Fu;
    word ^= 0x0101010101010101u * (uint8_t)byte;
    return ~(((word & low) + low) | word | low);
}

uint32_t hash_elements(struct text text, char mark, uint64_t wanted,
                       struct hash_element ret_elements[HASH_ELEMENTS_MAX])
{
    uint64_t state = front_seeds[0];
    uint32_t count = 0, last = 63u - (uint32_t)__builtin_clzll(wanted | 1);
    if (wanted & 1)
        ret_elements[0] = (struct hash_element){0, front_close(state, 0, 0)};
    if (last == 0 || text.len == 0)
        return 0;
    size_t at = 0;
    uint64_t word = word_at(text, at); /* zeros behind the text are no mark */
    uint64_t marks = bytes_equal(word, mark) & ~UINT64_C(0xFF);
    for (;;) {
        for (; marks != 0; marks &= marks - 1) {
            count++;
            if (wanted >> count & 1) {
                unsigned bits = (unsigned)__builtin_ctzll(marks) & ~7u;
                size_t end = at + bits / 8;
                uint64_t part = word & ((UINT64_C(1) << bits) - 1);
                ret_elements[count] = (struct hash_element){end, front_close(state, part, end)};
            }
            if (count == last)
                return count;
        }
        if (text.len - at < sizeof(word))
            break;
        state = front_step(state, word);
        at += sizeof(word);
        word = word_at(text, at);
        marks = bytes_equal(word, mark);
    }
    count++;
    ret_elements[count] = (struct hash_element){text.len, front_close(state, word, text.len)};
    return count;
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
