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

#include "base/bytes16.h"
#include "base/random.h"

/* Written once before main: the constants that a process draws for itself. */
static uint64_t table_seed;
static uint64_t front_seeds[3]; /* three: else the first two words of a text could change places */

__attribute__((constructor)) static void draw_seed(void)
{
    random_secure(&table_seed, sizeof(table_seed));
    random_secure(front_seeds, sizeof(front_seeds));
}

uint64_t hash_text(struct text text)
{
    return XXH3_64bits_withSeed(text.data, text.len, table_seed);
}

/* ---- hashes of beginnings: blocks are folded in one after the other, and an end closes them ----
 */

struct block {
    uint64_t words[2];
};

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t front_step(uint64_t state, struct block block)
{
    return fold(block.words[0] ^ front_seeds[0], block.words[1] ^ state);
}

/* The bytes behind the last whole block, less than sixteen, so that the top byte is free. */
static inline uint64_t front_close(uint64_t state, uint64_t low, uint64_t high, size_t len)
{
    return fold(low ^ front_seeds[1], high ^ state ^ ((uint64_t)len << 56));
}

/* `len` bytes, at most eight, and zeros. */
static inline uint64_t word_of(const char *data, size_t len)
{
    uint64_t word = 0;
    if (len >= 8) {
        memcpy(&word, data, sizeof(word));
    } else if (len >= 4) {
        uint32_t first, last;
        memcpy(&first, data, sizeof(first));
        memcpy(&last, data + len - sizeof(last), sizeof(last));
        word = first | (uint64_t)last << (8 * (len - sizeof(last)));
    } else {
        for (size_t i = 0; i < len; i++)
            word |= (uint64_t)(unsigned char)data[i] << (8 * i);
    }
    return word;
}

/* Sixteen bytes, or those that are left and zeros. */
static inline struct block block_at(struct text text, size_t at)
{
    struct block block = {{0}};
    size_t left = text.len - at;
    if (LIKELY(left >= sizeof(block))) {
        memcpy(&block, text.data + at, sizeof(block));
    } else if (text.len >= sizeof(block) && left > 0) {
        __extension__ unsigned __int128 bytes;
        memcpy(&bytes, text.data + text.len - sizeof(bytes), sizeof(bytes));
        bytes >>= 8 * (sizeof(bytes) - left);
        memcpy(&block, &bytes, sizeof(block));
    } else if (left > 8) {
        block.words[0] = word_of(text.data + at, 8);
        block.words[1] = word_of(text.data + at + 8, left - 8);
    } else {
        block.words[0] = word_of(text.data + at, left);
    }
    return block;
}

uint64_t hash_front(struct text text)
{
    uint64_t state = front_seeds[2];
    size_t at = 0;
    for (; text.len - at >= sizeof(struct block); at += sizeof(struct block))
        state = front_step(state, block_at(text, at));
    struct block rest = block_at(text, at);
    return front_close(state, rest.words[0], rest.words[1], text.len);
}

/* The top bit of each byte of the word that is `byte`. */
static inline uint64_t word_marks(uint64_t word, char byte)
{
    const uint64_t low = 0x7F7F7F7F7F7F7F7Fu;
    word ^= 0x0101010101010101u * (uint8_t)byte;
    return ~(((word & low) + low) | word | low);
}

/* Not inlined: its many variables want the registers. */
__attribute__((noinline)) uint32_t
hash_elements(struct text text, char mark, uint64_t wanted,
              struct hash_element ret_elements[HASH_ELEMENTS_MAX])
{
    uint64_t state = front_seeds[2];
    uint32_t count = 0;
    if (wanted & 1)
        ret_elements[count++] = (struct hash_element){0, front_close(state, 0, 0, 0)};
    if (wanted <= 1 || text.len == 0)
        return count;
    size_t at = 0;
    struct block block = block_at(text, at); /* zeros behind the text are no mark */
    uint64_t marks = word_marks(block.words[0], mark) & ~UINT64_C(0xFF);
    for (;;) {
        for (; marks != 0; marks &= marks - 1) {
            wanted >>= 1;
            if ((wanted & 1) == 0)
                continue;
            unsigned bits = (unsigned)__builtin_ctzll(marks) & ~7u;
            uint64_t low = block.words[0] & ((UINT64_C(1) << bits) - 1);
            size_t end = at + bits / 8;
            ret_elements[count++] = (struct hash_element){end, front_close(state, low, 0, end)};
            if (wanted == 1)
                return count;
        }
        for (marks = word_marks(block.words[1], mark); marks != 0; marks &= marks - 1) {
            wanted >>= 1;
            if ((wanted & 1) == 0)
                continue;
            unsigned bits = (unsigned)__builtin_ctzll(marks) & ~7u;
            uint64_t high = block.words[1] & ((UINT64_C(1) << bits) - 1);
            size_t end = at + 8 + bits / 8;
            ret_elements[count++] =
                (struct hash_element){end, front_close(state, block.words[0], high, end)};
            if (wanted == 1)
                return count;
        }
        if (text.len - at < sizeof(block))
            break;
        state = front_step(state, block);
        at += sizeof(block);
        block = block_at(text, at);
        marks = word_marks(block.words[0], mark);
    }
    if (wanted & 2)
        ret_elements[count++] = (struct hash_element){
            text.len, front_close(state, block.words[0], block.words[1], text.len)};
    return count;
}

/* bytes16_spots() of the bytes of the block that are `byte`. */
static inline uint64_t block_marks(struct block block, char byte)
{
    typedef uint64_t words2 __attribute__((vector_size(16)));
    bytes16 bytes = (bytes16)(words2){block.words[0], block.words[1]}; /* not through memory */
    return bytes16_spots((bytes16)(bytes == (uint8_t)byte));
}

/* Of the first `len` bytes of a block. */
static inline const void *front_mask(size_t len)
{
    static const uint64_t MASKS[4] = {UINT64_MAX, UINT64_MAX, 0, 0};
    return (const char *)MASKS + sizeof(struct block) - len;
}

/* The first `len` bytes of the block, and zeros. */
static inline struct block block_front(struct block block, size_t len)
{
    struct block mask;
    memcpy(&mask, front_mask(len), sizeof(mask));
    return (struct block){{block.words[0] & mask.words[0], block.words[1] & mask.words[1]}};
}

/* The block of the `depth`th mark and its place in it; false: there are not as many. */
static inline bool nth_mark(uint64_t marks, uint32_t *depth, size_t *ret_at)
{
    for (; marks != 0; marks &= marks - 1) {
        if (--*depth > 0)
            continue;
        *ret_at = (unsigned)__builtin_ctzll(marks) / BYTES16_SPOT;
        return true;
    }
    return false;
}

bool hash_element(struct text text, char mark, uint32_t depth, struct hash_element *ret_element)
{
    if (text.len == 0)
        return false;
    uint64_t state = front_seeds[2];
    size_t at = 0, len = 0;
    struct block block = block_at(text, at); /* zeros behind the text are no mark */
    uint64_t marks = block_marks(block, mark) & ~UINT64_C(1); /* one in front ends nothing */
    for (;;) {
        if (nth_mark(marks, &depth, &len)) {
            block = block_front(block, len);
            text.len = at + len;
            break;
        }
        if (text.len - at < sizeof(block)) {
            if (depth != 1)
                return false;
            break;
        }
        state = front_step(state, block);
        at += sizeof(block);
        block = block_at(text, at);
        marks = block_marks(block, mark);
    }
    *ret_element = (struct hash_element){
        text.len, front_close(state, block.words[0], block.words[1], text.len)};
    return true;
}

/* Inlined, where the linker may, so that what it finds stays in registers. */
__attribute__((always_inline)) inline bool
hash_element_near(struct text text, char mark, uint32_t depth, struct hash_near *ret_near)
{
    uint64_t low, high, masks[2];
    size_t len;
    if (text.len < sizeof(bytes16))
        return false;
    uint64_t marks = bytes16_spots((bytes16)(bytes16_at(text.data) == (uint8_t)mark));
    if (!nth_mark(marks & ~UINT64_C(1), &depth, &len))
        return false;
    memcpy(&low, text.data, sizeof(low));
    memcpy(&high, text.data + sizeof(low), sizeof(high));
    memcpy(masks, front_mask(len), sizeof(masks));
    low &= masks[0];
    high &= masks[1];
    ret_near->end = len;
    ret_near->hash = front_close(front_seeds[2], low, high, len);
    ret_near->bytes[0] = low;
    ret_near->bytes[1] = high;
    return true;
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
