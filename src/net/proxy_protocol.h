/* The PROXY protocol's header, versions 1 and 2: what a load balancer in front of us says of the
 * client before the client's first byte. Streams only; every deviation from the form is refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/builder.h"
#include "base/err.h"
#include "net/address.h"

struct proxy_protocol {
    int version;                        /* 1 or 2 */
    bool is_local;                      /* the proxy's own connection: a health check */
    bool has_addresses;                 /* else the connection's own ends count */
    struct address source, destination; /* the client, and whom it asked */
};

/* Reads the header at the front of `bytes`. ERR_NONE: it is `*ret_len` bytes long. ERR_AGAIN: not
 * whole yet; `*ret_len` bytes in all are certain to belong to it, so that a reader who never asks
 * for more takes nothing of what follows. ERR_PROTOCOL, ERR_LIMIT: never will be one; *ret_why
 * is static. */
MUST_USE enum err proxy_protocol_parse(struct text bytes, struct proxy_protocol *ret_header,
                                       size_t *ret_len, const char **ret_why);
/* Without addresses (or with two families): UNKNOWN in version 1, LOCAL or UNSPEC in version 2. */
void proxy_protocol_write(struct builder *out, const struct proxy_protocol *header);
