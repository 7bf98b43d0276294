/* A certificate that vouches for itself, for planes that trust exactly this one. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"

/* P-256, self-signed, good from an hour ago for `days`, for these DNS names; PEM in `arena`. False:
 * the TLS library refuses. */
MUST_USE bool tls_make_certificate(const struct text *names, size_t count, uint32_t days,
                                   struct arena *arena, struct text *ret_chain,
                                   struct text *ret_key);
