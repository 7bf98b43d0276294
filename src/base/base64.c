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

bool base64_decode(struct text text, struct arena *arena, struct text *ret_bytes)
{
    char *out = arena_alloc(arena, text.len / 4 * 3 + 4);
    size_t len = 0, digits = 0, padding = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.data[i];
        if (byte == '\n' || byte == '\r')
            continue;
        if (byte == '=' && digits % 4 >= 2 && padding < 2) {
            padding++;
            digits++;
            bits <<= 6;
        } else {
            int digit = digit_of(byte);
            if (digit < 0 || padding > 0)
                return false;
            digits++;
            bits = bits << 6 | (uint32_t)digit;
        }
        if (digits % 4 != 0)
            continue;
        out[len++] = (char)(bits >> 16 & 0xff);
        out[len++] = (char)(bits >> 8 & 0xff);
        out[len++] = (char)(bits & 0xff);
        len -= padding;
    }
    *ret_bytes = text_from(out, len);
    return digits % 4 == 0;
}

struct text base64_encode(struct text bytes, struct arena *arena)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = arena_alloc(arena, bytes.len / 3 * 4 + 5);
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
    out[len] = '\0';
    return text_from(out, len);
}
