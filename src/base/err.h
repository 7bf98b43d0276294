/* What can go wrong, in the nine words the whole project uses. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

enum err {
    ERR_NONE = 0,
    ERR_AGAIN,    /* not now: the loop will call back */
    ERR_CLOSED,   /* the peer ended the stream, as it may */
    ERR_PROTOCOL, /* the peer broke the rules */
    ERR_LIMIT,    /* a bound of base/limits.h was reached */
    ERR_TIMEOUT,
    ERR_REFUSED, /* a policy said no, or nobody listens there */
    ERR_INVALID, /* configuration that cannot be obeyed */
    ERR_SYSTEM,  /* the kernel said no */
};

/* "none", "again", "closed", ...: a static string. */
const char *err_name(enum err err);
