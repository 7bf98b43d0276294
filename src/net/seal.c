/* The tag is the HMAC of the value; the value is hidden under the HMAC of the tag. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/macros.h"

static void sign(const uint8_t *key, size_t key_len, const void *data, size_t len,
                 uint8_t out[SEAL_KEY])
{
    unsigned int out_len = SEAL_KEY;
    CHECK(HMAC(EVP_sha256(), key, (int)key_len, data, len, out, &out_len) != NULL);
}

void seal_derive(struct text secret, struct text label, uint8_t out[SEAL_KEY])
{
    sign((const uint8_t *)secret.data, secret.len, label.data, label.len, out);
}

void seal_key_init(struct seal_key *key, const uint8_t secret[SEAL_KEY])
{
    sign(secret, SEAL_KEY, "sign", 4, key->sign);
    sign(secret, SEAL_KEY, "hide", 4, key->hide);
}

static void hide(const struct seal_key *key, const uint8_t *tag, const uint8_t *in, size_t len,
                 uint8_t *out)
{
    uint8_t stream[SEAL_KEY];
    CHECK(len <= SEAL_VALUE_MAX);
    sign(key->hide, SEAL_KEY, tag, SEAL_TAG, stream);
    for (size_t i = 0; i < len; i++)
        out[i] = in[i] ^ stream[i];
}

void seal_close(const struct seal_key *key, const uint8_t *value, size_t len, uint8_t *out)
{
    uint8_t tag[SEAL_KEY];
    sign(key->sign, SEAL_KEY, value, len, tag);
    memcpy(out, tag, SEAL_TAG);
    hide(key, tag, value, len, out + SEAL_TAG);
}

bool seal_open(const struct seal_key *key, const uint8_t *sealed, size_t len, uint8_t *ret_value)
{
    uint8_t tag[SEAL_KEY], value[SEAL_VALUE_MAX];
    if (len < SEAL_TAG || len > SEAL_TAG + SEAL_VALUE_MAX)
        return false;
    hide(key, sealed, sealed + SEAL_TAG, len - SEAL_TAG, value);
    sign(key->sign, SEAL_KEY, value, len - SEAL_TAG, tag);
    if (CRYPTO_memcmp(tag, sealed, SEAL_TAG) != 0)
        return false;
    memcpy(ret_value, value, len - SEAL_TAG);
    return true;
}
