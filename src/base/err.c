/* The words for enum err, and the end of a process whose own rules broke. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/macros.h"

const char *err_name(enum err err)
{
    static const char *const names[] = {
        [ERR_NONE] = "none",         [ERR_AGAIN] = "again",     [ERR_CLOSED] = "closed",
        [ERR_PROTOCOL] = "protocol", [ERR_LIMIT] = "limit",     [ERR_TIMEOUT] = "timeout",
        [ERR_REFUSED] = "refused",   [ERR_INVALID] = "invalid", [ERR_SYSTEM] = "system",
    };
    return (size_t)err < ARRAY_LEN(names) ? names[err] : "unknown";
}

void check_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "CHECK failed: %s at %s:%d: a bug of this program, please report it\n", what,
            file, line);
    abort();
}
