/* Time. Deadlines by the monotonic clock; certificates and logs by the wall clock. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

uint64_t clock_monotonic_ns(void);
uint64_t clock_wall_ns(void);
/* "2026-11-23T03:04:05.678Z" and a NUL: 25 bytes. */
void clock_format(uint64_t wall_ns, char out[25]);
