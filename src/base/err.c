/* The words for enum err. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

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
