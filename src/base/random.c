/* xoroshiro128+ for choices; getrandom for keys. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

#include "base/macros.h"

static uint64_t mix(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void random_seed(struct random *random, uint64_t seed)
{
    random->state[0] = mix(&seed);
    random->state[1] = mix(&seed) | 1;
}

static inline uint64_t rotate(uint64_t value, int by)
{
    return value << by | value >> (64 - by);
}

uint64_t random_next(struct random *random)
{
    uint64_t a = random->state[0], b = random->state[1], sum = a + b;
    b ^= a;
    random->state[0] = rotate(a, 24) ^ b ^ b << 16;
    random->state[1] = rotate(b, 37);
    return sum;
}

uint64_t random_below(struct random *random, uint64_t bound)
{
    CHECK(bound > 0);
    __extension__ unsigned __int128 wide = (unsigned __int128)random_next(random) * bound;
    return (uint64_t)(wide >> 64);
}

void random_secure(void *out, size_t len)
{
    char *at = out;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        CHECK(got > 0 || errno == EINTR);
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        }
    }
}
