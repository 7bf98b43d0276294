/* The first message of a TLS client, read without answering it: which server it wants. Strict and
 * bounded; what it takes the TLS library may still refuse. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/limits.h"
#include "base/text.h"

struct client_hello {
    char server_name[LIMIT_HOSTNAME + 1]; /* lower case; "" when none is named */
    size_t server_name_len;
};

/* ERR_AGAIN: more bytes are wanted. ERR_PROTOCOL: this is no ClientHello (RFC 8446 4.1.2, RFC 6066
 * 3). ERR_LIMIT: it is longer than LIMIT_CLIENT_HELLO. */
MUST_USE enum err client_hello_parse(struct text bytes, struct client_hello *ret_hello);
/* The same of the message alone, as it stands in the records: type, length, body. */
MUST_USE bool client_hello_read(struct text message, struct client_hello *ret_hello);
