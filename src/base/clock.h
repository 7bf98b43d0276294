/* Time. Deadlines by the monotonic clock; certificates and logs by the wall clock. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

uint64_t clock_monotonic_ns(void);
uint64_t clock_wall_ns(void);
/* "2026-11-23T03:04:05.678Z" and a NUL: 25 bytes. */
void clock_format(uint64_t wall_ns, char out[25]);
/* RFC 3339: "2026-11-23T03:04:05Z", also with a fraction or an offset, not before 1970.
 * Milliseconds.
 */
MUST_USE bool clock_parse(struct text time, uint64_t *ret_wall_ms);
