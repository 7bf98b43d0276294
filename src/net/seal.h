/* Small values that only the holder of a key can read or make: authenticated encryption by a
 * synthetic IV (the construction of RFC 5297 with HMAC-SHA256 as its only part). The same value
 * under the same key is the same bytes, so that nothing needs to be random or remembered. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/text.h"

#define SEAL_KEY       32 /* bytes of a key */
#define SEAL_TAG       16 /* added to a value */
#define SEAL_VALUE_MAX 32

struct seal_key {
    uint8_t sign[SEAL_KEY], hide[SEAL_KEY];
};

/* A key of its own for `label`, from any secret. */
void seal_derive(struct text secret, struct text label, uint8_t out[SEAL_KEY]);
void seal_key_init(struct seal_key *key, const uint8_t secret[SEAL_KEY]);
/* `len` bytes (at most SEAL_VALUE_MAX) to SEAL_TAG + len. */
void seal_close(const struct seal_key *key, const uint8_t *value, size_t len, uint8_t *out);
/* False: not made with this key. */
MUST_USE bool seal_open(const struct seal_key *key, const uint8_t *sealed, size_t len,
                        uint8_t *ret_value);
