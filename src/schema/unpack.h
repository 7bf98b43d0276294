/* From wire bytes to a message, safely: depth, framing and strings are judged before the decoder
 * sees them, and its memory is an arena with a bound. For everything that comes from a peer or a
 * file. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"

/* The message lives in `arena` (never free it alone) and copies what it needs of `bytes`.
 * ERR_PROTOCOL: no such message, or a string that is not UTF-8 or holds a NUL.
 * ERR_LIMIT: deeper than LIMIT_PROTO_DEPTH, or it would grow beyond LIMIT_PROTO_EXPANSION. */
MUST_USE enum err schema_unpack(const ProtobufCMessageDescriptor *type, struct text bytes,
                                struct arena *arena, void **ret_message);

/* Well-formed (shortest forms, no surrogates) and without NUL. */
bool unpack_is_utf8(struct text text);

static inline struct text unpack_bytes(const ProtobufCBinaryData *data)
{
    return (struct text){(const char *)data->data, data->len};
}
