/* The end of a process whose own rules broke: what CHECK of base/macros.h calls. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/macros.h"

void check_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "CHECK failed: %s at %s:%d: a bug of this program, please report it\n", what,
            file, line);
    abort();
}
