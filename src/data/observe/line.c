/* The pieces of an access log line. Many bytes at a time while nothing needs an escape. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/observe/line.h"

#include "base/bytes16.h"

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

static const char HEX[] = "0123456789abcdef";

void line_digits(struct line *line, uint64_t value)
{
    char room[TEXT_DIGITS];
    line_raw(line, text_from_u64(value, room));
}

void line_ms(struct line *line, uint64_t ns)
{
    uint64_t us = ns / 1000;
    line_u64(line, us / 1000);
    uint64_t rest = us % 1000;
    *line->at++ = '.';
    *line->at++ = (char)('0' + rest / 100);
    *line->at++ = (char)('0' + rest / 10 % 10);
    *line->at++ = (char)('0' + rest % 10);
}

/* No byte below 0x20, above 0x7e, no quote, no backslash. */
static bool is_plain_word(uint64_t word)
{
    uint64_t low = (word - ONES * 0x20) & ~word;
    uint64_t quote = word ^ (ONES * '"');
    uint64_t slash = word ^ (ONES * '\\');
    uint64_t top = (word + ONES) | word; /* 0x7f becomes 0x80 */
    return ((low | ((quote - ONES) & ~quote) | ((slash - ONES) & ~slash) | top) & HIGHS) == 0;
}

static bool is_plain(bytes16 bytes)
{
    return !bytes16_any((bytes - 0x20 > 0x5e) | (bytes == '"') | (bytes == '\\'));
}

/* Length of the well-formed UTF-8 sequence at the front, 0 if there is none (RFC 3629). */
static size_t sequence_len(const unsigned char *at, size_t len)
{
    unsigned char first = at[0];
    size_t need = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || len < need)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool is_bad = (first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f) ||
                  (first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f);
    return is_bad ? 0 : need;
}

static void put_code(struct line *line, unsigned code)
{
    char out[6] = {'\\', 'u', '0', '0', HEX[code >> 4 & 15], HEX[code & 15]};
    line_raw(line, text_from(out, 6));
}

/* One byte or sequence that is not a plain run; returns how many input bytes it took. */
static size_t put_special(struct line *line, const unsigned char *at, size_t len)
{
    unsigned char byte = at[0];
    if (byte == '"' || byte == '\\') {
        *line->at++ = '\\';
        *line->at++ = (char)byte;
        return 1;
    }
    if (byte < 0x20 || byte == 0x7f) {
        put_code(line, byte);
        return 1;
    }
    if (byte < 0x80) {
        *line->at++ = (char)byte;
        return 1;
    }
    size_t sequence = sequence_len(at, len);
    if (sequence == 0) {
        line_literal(line, "\\ufffd");
        return 1;
    }
    if (byte == 0xc2 && at[1] < 0xa0) /* C1 controls move terminals too */
        put_code(line, at[1]);
    else if (byte == 0xe2 && at[1] == 0x80 && (at[2] & 0xfe) == 0xa8) /* some end lines there */
        line_raw(line, at[2] == 0xa8 ? TEXT("\\u2028") : TEXT("\\u2029"));
    else
        line_raw(line, text_from((const char *)at, sequence));
    return sequence;
}

/* The last bytes of a text as a word, blanks above them. `whole`: eight may be read before `end`.
 */
static uint64_t last_word(const unsigned char *at, const unsigned char *end, bool whole)
{
    size_t len = (size_t)(end - at);
    uint64_t word = 0;
    if (LIKELY(whole)) {
        memcpy(&word, end - 8, 8);
        word >>= 8 * (8 - len);
    } else {
        for (size_t i = 0; i < len; i++)
            word |= (uint64_t)at[i] << (8 * i);
    }
    return word | (ONES * 0x20) << (8 * len);
}

/* Of 8 to 15 bytes that need no escape. */
static bool put_short(struct line *line, struct text value)
{
    typedef uint64_t words __attribute__((vector_size(16)));
    uint64_t first, last;
    memcpy(&first, value.data, 8);
    memcpy(&last, value.data + value.len - 8, 8); /* some of it stands in the first */
    if (UNLIKELY(!is_plain((bytes16)(words){first, last})))
        return false;
    memcpy(line->at, &first, 8);
    memcpy(line->at + value.len - 8, &last, 8);
    line->at += value.len;
    return true;
}

void line_escaped(struct line *line, struct text value, size_t max)
{
    if (value.len >= 8 && value.len < 16 && max >= 16 && put_short(line, value))
        return;
    const unsigned char *at = (const unsigned char *)value.data;
    const unsigned char *end = at + value.len;
    const char *stop = line->at + max - 8;
    while (end - at >= 16 && line->at + 8 <= stop && LIKELY(is_plain(bytes16_at(at)))) {
        memcpy(line->at, at, 16);
        line->at += 16;
        at += 16;
    }
    ptrdiff_t rest = end - at;
    if (value.len >= 16 && rest > 0 && rest < 16 && line->at + 8 <= stop &&
        is_plain(bytes16_at(end - 16))) {
        memcpy(line->at + rest - 16, end - 16, 16); /* some of it stands there already */
        line->at += rest;
        return;
    }
    while (at < end && line->at <= stop) {
        size_t len = MIN((size_t)(end - at), (size_t)8);
        uint64_t word;
        if (len == 8)
            memcpy(&word, at, 8);
        else
            word = last_word(at, end, value.len >= 8);
        if (LIKELY(is_plain_word(word))) {
            memcpy(line->at, &word, 8); /* what is too much is written over, or behind the end */
            line->at += len;
            at += len;
            continue;
        }
        const unsigned char *until = at + len;
        while (at < until && line->at <= stop)
            at += put_special(line, at, (size_t)(end - at));
    }
}

void line_value(struct line *line, struct text value)
{
    if (value.len == 0) {
        line_literal(line, "null");
        return;
    }
    *line->at++ = '"';
    line_escaped(line, value, LINE_VALUE_MAX);
    *line->at++ = '"';
}

static bool is_secret(struct text name)
{
    static const char *const NAMES[] = {
        "access_token", "api_key",  "apikey",    "auth",     "client_secret",
        "code",         "id_token", "key",       "password", "refresh_token",
        "secret",       "sig",      "signature", "token",    "x-amz-signature",
    };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (text_equal_nocase(name, text_of(NAMES[i])))
            return true;
    return false;
}

void line_query(struct line *line, struct text query, size_t max)
{
    const char *stop = line->at + max - 16;
    struct text part;
    bool is_first = true;
    while (line->at < stop && text_split(&query, '&', &part)) {
        size_t equals = text_find(part, '=', 0);
        if (!is_first)
            *line->at++ = '&';
        is_first = false;
        if (equals < part.len && is_secret(text_slice(part, 0, equals))) {
            line_escaped(line, text_slice(part, 0, equals), 64);
            line_literal(line, "=***");
        } else if (line->at < stop) {
            line_escaped(line, part, (size_t)(stop - line->at) + 8);
        }
    }
}
