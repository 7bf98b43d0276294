/* Packing into an arena, in one exact piece. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "schema/pack.h"

struct text schema_pack(const void *message, struct arena *arena)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *out = arena_alloc(arena, len == 0 ? 1 : len);
    size_t written = protobuf_c_message_pack(message, out);
    CHECK(written == len);
    return (struct text){(const char *)out, len};
}
