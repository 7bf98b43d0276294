/* Bytes as text and back, RFC 4648 section 4. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"

/* With padding; line ends are skipped, as the Kubernetes API server does. False: it is not base64.
 */
MUST_USE bool base64_decode(struct text text, struct arena *arena, struct text *ret_bytes);
struct text base64_encode(struct text bytes, struct arena *arena);
