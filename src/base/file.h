/* What every program does with files in the same way: the three standard descriptors are there, a
 * file is replaced whole, a directory has one user. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/text.h"

/* First thing in main: whichever of 0, 1 and 2 the parent closed leads to /dev/null, so that no
 * socket takes its number and gets what is printed. An answer that goes nowhere was not told: what
 * is written to 1 then fails with EBADF. */
void file_open_standard(void);

/* `path` holds `content` or what it held before, never a part; by way of ".NAME.new" beside it,
 * which does not stay. Not synced: after a power cut it may be either. False: errno. */
MUST_USE bool file_replace(const char *path, struct text content, unsigned mode);

/* Takes a directory for this process alone, until the descriptor is closed or the process ends,
 * whichever way. -1: errno, EWOULDBLOCK when another process has it. */
MUST_USE int file_lock(const char *directory);
