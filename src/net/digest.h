/* Digests that a protocol prescribes. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/text.h"

#define DIGEST_SHA1 20

/* Proves nothing about who made the bytes: for RFC 6455 1.3 alone. */
void digest_sha1(struct text bytes, uint8_t out[DIGEST_SHA1]);
