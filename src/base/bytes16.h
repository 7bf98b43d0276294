/* Sixteen bytes at a time, by the compiler's vectors: SSE2, NEON, or what there is. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t bytes16 __attribute__((vector_size(16)));

static inline bytes16 bytes16_at(const void *at)
{
    bytes16 bytes;
    memcpy(&bytes, at, sizeof(bytes));
    return bytes;
}

/* How many bytes in front are not 0; comparisons of vectors make 0xff where they hold. */
static inline unsigned bytes16_run(bytes16 bytes)
{
    uint64_t halves[2];
    memcpy(halves, &bytes, sizeof(bytes));
    if (~halves[0] != 0)
        return (unsigned)__builtin_ctzll(~halves[0]) / 8;
    return ~halves[1] != 0 ? 8 + (unsigned)__builtin_ctzll(~halves[1]) / 8 : 16;
}

/* Is any byte not 0? Comparisons of vectors make 0xff where they hold. */
static inline bool bytes16_any(bytes16 bytes)
{
    uint64_t halves[2];
    memcpy(halves, &bytes, sizeof(bytes));
    return (halves[0] | halves[1]) != 0;
}

/* A number with BYTES16_SPOT bits for each byte, the first one lowest, of which the lowest is set
 * where the byte is 0xff and clear where it is 0; comparisons of vectors make nothing else. */
#ifdef __SSE2__
#define BYTES16_SPOT 1u
static inline uint64_t bytes16_spots(bytes16 bytes)
{
    typedef char chars16 __attribute__((vector_size(16)));
    return (uint64_t)(unsigned)__builtin_ia32_pmovmskb128((chars16)bytes);
}
#else
#define BYTES16_SPOT 4u
static inline uint64_t bytes16_spots(bytes16 bytes)
{
    typedef uint16_t halves8 __attribute__((vector_size(16)));
    typedef uint8_t bytes8 __attribute__((vector_size(8)));
    bytes8 narrow = __builtin_convertvector((halves8)bytes >> 4, bytes8);
    uint64_t spots;
    memcpy(&spots, &narrow, sizeof(spots));
    return spots & 0x1111111111111111u;
}
#endif
