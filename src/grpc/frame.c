/* Framing and status words of gRPC over HTTP/2. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/frame.h"

enum grpc_frame grpc_frame_read(struct text bytes, size_t max, struct text *ret_message,
                                size_t *ret_len)
{
    const unsigned char *at = (const unsigned char *)bytes.data;
    *ret_len = 0;
    if (bytes.len == 0)
        return GRPC_FRAME_PARTIAL;
    if (at[0] > 1)
        return GRPC_FRAME_BROKEN;
    if (at[0] == 1)
        return GRPC_FRAME_COMPRESSED;
    if (bytes.len < GRPC_FRAME_HEAD)
        return GRPC_FRAME_PARTIAL;
    size_t len = ((size_t)at[1] << 24) | ((size_t)at[2] << 16) | ((size_t)at[3] << 8) | at[4];
    if (len > max)
        return GRPC_FRAME_LARGE;
    *ret_len = GRPC_FRAME_HEAD + len;
    if (bytes.len < *ret_len)
        return GRPC_FRAME_PARTIAL;
    *ret_message = text_slice(bytes, GRPC_FRAME_HEAD, *ret_len);
    return GRPC_FRAME_WHOLE;
}

void grpc_frame_head(unsigned char out[GRPC_FRAME_HEAD], size_t len)
{
    CHECK(len <= UINT32_MAX);
    out[0] = 0;
    for (int i = 0; i < 4; i++)
        out[1 + i] = (unsigned char)(len >> (24 - 8 * i));
}

enum grpc_status grpc_status_parse(struct text text)
{
    uint64_t value;
    if (text.len > 2 || !text_to_u64(text, &value) || value > GRPC_UNAUTHENTICATED)
        return GRPC_UNKNOWN;
    return (enum grpc_status)value;
}

enum grpc_status grpc_status_of_http(int status)
{
    switch (status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

enum grpc_status grpc_status_of_err(enum err err, bool serving)
{
    switch (err) {
    case ERR_CLOSED:
        return serving ? GRPC_CANCELLED : GRPC_UNAVAILABLE;
    case ERR_PROTOCOL:
        return GRPC_INTERNAL;
    case ERR_LIMIT:
        return GRPC_RESOURCE_EXHAUSTED;
    default:
        return GRPC_UNAVAILABLE;
    }
}

static bool is_plain(char byte)
{
    return byte >= 0x20 && byte <= 0x7e && byte != '%';
}

struct text grpc_message_escape(struct arena *arena, struct text text)
{
    static const char HEX[] = "0123456789ABCDEF";
    char *out = arena_alloc(arena, text.len * 3 + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        /* A blank at an end is no valid field value. */
        bool edge = byte == ' ' && (i == 0 || i + 1 == text.len);
        if (is_plain(text.data[i]) && !edge) {
            out[len++] = text.data[i];
            continue;
        }
        out[len++] = '%';
        out[len++] = HEX[byte >> 4];
        out[len++] = HEX[byte & 15];
    }
    return text_from(out, len);
}

struct text grpc_message_unescape(struct arena *arena, struct text text)
{
    char *out = arena_alloc(arena, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint64_t value;
        if (text.data[i] == '%' && text.len - i > 2 &&
            text_hex_to_u64(text_slice(text, i + 1, i + 3), &value)) {
            out[len++] = (char)(unsigned char)value;
            i += 2;
        } else {
            out[len++] = text.data[i];
        }
    }
    return text_from(out, len);
}

bool grpc_timeout_parse(struct text text, uint64_t *ret_ms)
{
    uint64_t value;
    if (text.len < 2 || text.len > 9 || !text_to_u64(text_slice(text, 0, text.len - 1), &value))
        return false;
    switch (text.data[text.len - 1]) {
    case 'H':
        *ret_ms = value * 3600000;
        return true;
    case 'M':
        *ret_ms = value * 60000;
        return true;
    case 'S':
        *ret_ms = value * 1000;
        return true;
    case 'm':
        *ret_ms = value;
        return true;
    case 'u':
        *ret_ms = (value + 999) / 1000;
        return true;
    case 'n':
        *ret_ms = (value + 999999) / 1000000;
        return true;
    default:
        return false;
    }
}
