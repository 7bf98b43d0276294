/* Certificates of our own making: an authority that lives long, and what it vouches for, which does
 * not. P-256, good from an hour ago. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"

/* PEM in `arena`; both functions: false: the TLS library refuses. */
struct tls_made {
    struct text chain, key;
};

MUST_USE bool tls_make_authority(const char *name, uint32_t seconds, struct arena *arena,
                                 struct tls_made *ret_made);
/* A server's certificate for this DNS name, signed by the authority. False also when that is none:
 * a certificate of some other making. */
MUST_USE bool tls_make_certificate(struct text name, uint32_t seconds,
                                   const struct tls_made *authority, struct arena *arena,
                                   struct tls_made *ret_made);
