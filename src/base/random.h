/* Two kinds: a fast one for choices (seedable, so a simulation repeats), and the kernel's for keys.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[2];
};

void random_seed(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
uint64_t random_below(struct random *random, uint64_t bound); /* 0 .. bound-1; bound > 0 */
void random_secure(void *out, size_t len);
