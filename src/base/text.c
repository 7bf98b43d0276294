/* Views of bytes: comparing, cutting, and numbers read strictly. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

static inline char lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte;
}

bool text_equal_nocase(struct text a, struct text b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

int text_compare(struct text a, struct text b)
{
    size_t shorter = MIN(a.len, b.len);
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool text_starts_with(struct text a, struct text prefix)
{
    return a.len >= prefix.len && text_equal(text_from(a.data, prefix.len), prefix);
}

bool text_ends_with(struct text a, struct text suffix)
{
    return a.len >= suffix.len &&
           (suffix.len == 0 || memcmp(a.data + a.len - suffix.len, suffix.data, suffix.len) == 0);
}

size_t text_find(struct text a, char byte, size_t from)
{
    if (from >= a.len)
        return a.len;
    const char *found = memchr(a.data + from, byte, a.len - from);
    return found == NULL ? a.len : (size_t)(found - a.data);
}

struct text text_slice(struct text a, size_t from, size_t to)
{
    to = MIN(to, a.len);
    from = MIN(from, to);
    return text_from(a.data == NULL ? NULL : a.data + from, to - from);
}

struct text text_trim(struct text a)
{
    while (a.len > 0 && (a.data[0] == ' ' || a.data[0] == '\t'))
        a = text_slice(a, 1, a.len);
    while (a.len > 0 && (a.data[a.len - 1] == ' ' || a.data[a.len - 1] == '\t'))
        a.len--;
    return a;
}

bool text_split(struct text *rest, char separator, struct text *ret_part)
{
    if (rest->data == NULL)
        return false;
    size_t at = text_find(*rest, separator, 0);
    *ret_part = text_slice(*rest, 0, at);
    *rest = at < rest->len ? text_slice(*rest, at + 1, rest->len) : TEXT_NONE;
    return true;
}

bool text_to_u64(struct text a, uint64_t *ret_value)
{
    if (a.len == 0)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < a.len; i++) {
        unsigned digit = (unsigned char)a.data[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *ret_value = value;
    return true;
}

/* Two digits at a time: every head and every log line passes here. */
struct text text_from_u64(uint64_t value, char room[TEXT_DIGITS])
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233"
        "34353637383940414243444546474849505152535455565758596061626364656667"
        "68697071727374757677787980818283848586878889909192939495969798"
        "99";
    size_t at = TEXT_DIGITS;
    while (value >= 100) {
        at -= 2;
        memcpy(room + at, pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        memcpy(room + at, pairs + value * 2, 2);
    } else {
        room[--at] = (char)('0' + value);
    }
    return text_from(room + at, TEXT_DIGITS - at);
}

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    char low = lower(byte);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

bool text_hex_to_u64(struct text a, uint64_t *ret_value)
{
    if (a.len == 0)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < a.len; i++) {
        int digit = hex_digit(a.data[i]);
        if (digit < 0 || value >> 60 != 0)
            return false;
        value = value << 4 | (uint64_t)digit;
    }
    *ret_value = value;
    return true;
}
