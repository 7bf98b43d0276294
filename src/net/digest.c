/* The TLS library's digests. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/digest.h"

#include <openssl/evp.h>

#include "base/macros.h"

void digest_sha1(struct text bytes, uint8_t out[DIGEST_SHA1])
{
    unsigned int len = DIGEST_SHA1;
    CHECK(EVP_Digest(bytes.data, bytes.len, out, &len, EVP_sha1(), NULL) == 1);
}
