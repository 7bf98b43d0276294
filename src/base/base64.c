/* Bytes as text and back, with the standard alphabet. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

static int digit_of(char byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - '0' + 52;
    return byte == '+' ? 62 : byte == '/' ? 63 : -1;
}

static bool take_digit(struct base64_reader *reader, char byte)
{
    if (reader->is_over && !reader->is_joined)
        return false;
    if (byte == '=' && reader->digits >= 2) {
        reader->padding++;
        reader->bits <<= 6;
    } else {
        int digit = digit_of(byte);
        if (digit < 0 || reader->padding > 0)
            return false;
        reader->bits = reader->bits << 6 | (uint32_t)digit;
    }
    reader->digits++;
    return true;
}

bool base64_read(struct base64_reader *reader, struct text piece, char *out, size_t *ret_len)
{
    size_t len = 0;
    for (size_t i = 0; i < piece.len; i++) {
        if (piece.data[i] == '\n' || piece.data[i] == '\r')
            continue;
        if (!take_digit(reader, piece.data[i]))
            return false;
        if (reader->digits < 4)
            continue;
        uint32_t bits = reader->bits;
        char bytes[3] = {(char)(bits >> 16 & 0xff), (char)(bits >> 8 & 0xff), (char)(bits & 0xff)};
        memcpy(out + len, bytes, 3u - reader->padding);
        len += 3u - reader->padding;
        reader->is_over = reader->padding > 0;
        reader->bits = reader->digits = reader->padding = 0;
    }
    *ret_len = len;
    return true;
}

bool base64_decode(struct text text, struct arena *arena, struct text *ret_bytes)
{
    struct base64_reader reader = {.is_joined = false};
    size_t len = 0;
    char *out = arena_alloc(arena, BASE64_ROOM(text.len));
    if (!base64_read(&reader, text, out, &len) || !base64_is_whole(&reader))
        return false;
    *ret_bytes = text_from(out, len);
    return true;
}

size_t base64_write(struct text bytes, char *out)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = 0;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t bits = (uint32_t)(unsigned char)bytes.data[i] << 16;
        if (left > 1)
            bits |= (uint32_t)(unsigned char)bytes.data[i + 1] << 8;
        if (left > 2)
            bits |= (unsigned char)bytes.data[i + 2];
        out[len++] = DIGITS[bits >> 18];
        out[len++] = DIGITS[bits >> 12 & 63];
        out[len++] = left > 1 ? DIGITS[bits >> 6 & 63] : '=';
        out[len++] = left > 2 ? DIGITS[bits & 63] : '=';
    }
    return len;
}

struct text base64_encode(struct text bytes, struct arena *arena)
{
    char *out = arena_alloc(arena, bytes.len / 3 * 4 + 5);
    size_t len = base64_write(bytes, out);
    out[len] = '\0';
    return text_from(out, len);
}
