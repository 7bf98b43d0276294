/* Known field names by a perfect hash over length, first, last and one inner byte. The table is
 * checked whole by names_test, which prints a new one when a name was added. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/names.h"

#define NAME_TEXT(id, text) [NAME_##id] = {text, sizeof(text) - 1},
static const struct text TEXTS[NAME_COUNT] = {NAME_LIST(NAME_TEXT)};
#undef NAME_TEXT

static const uint8_t SLOTS[128] = {
    [0] = NAME_DATE,
    [4] = NAME_RETRY_AFTER,
    [13] = NAME_GRPC_TIMEOUT,
    [15] = NAME_HOST,
    [17] = NAME_KEEP_ALIVE,
    [30] = NAME_X_FORWARDED_FOR,
    [32] = NAME_VIA,
    [34] = NAME_TRACEPARENT,
    [37] = NAME_PROXY_AUTHORIZATION,
    [42] = NAME_UPGRADE,
    [43] = NAME_PROXY_AUTHENTICATE,
    [44] = NAME_TRAILER,
    [46] = NAME_ACCESS_CONTROL_REQUEST_HEADERS,
    [48] = NAME_COOKIE,
    [50] = NAME_USER_AGENT,
    [52] = NAME_ACCEPT,
    [55] = NAME_ORIGIN,
    [58] = NAME_GRPC_MESSAGE,
    [61] = NAME_CONTENT_ENCODING,
    [72] = NAME_SET_COOKIE,
    [74] = NAME_TRANSFER_ENCODING,
    [76] = NAME_GRPC_STATUS,
    [80] = NAME_LOCATION,
    [84] = NAME_CONTENT_TYPE,
    [85] = NAME_X_FORWARDED_HOST,
    [87] = NAME_PROXY_CONNECTION,
    [89] = NAME_X_FORWARDED_PROTO,
    [95] = NAME_FORWARDED,
    [97] = NAME_TE,
    [100] = NAME_AUTHORIZATION,
    [102] = NAME_HTTP2_SETTINGS,
    [106] = NAME_ACCEPT_ENCODING,
    [112] = NAME_X_FORWARDED_PORT,
    [114] = NAME_ACCESS_CONTROL_REQUEST_METHOD,
    [117] = NAME_CONNECTION,
    [118] = NAME_CONTENT_LENGTH,
    [119] = NAME_EXPECT,
    [124] = NAME_SERVER,
    [125] = NAME_X_REAL_IP,
    [126] = NAME_X_REQUEST_ID,
};

static unsigned lower(char byte)
{
    unsigned value = (unsigned char)byte;
    return value - 'A' < 26 ? value | 0x20 : value;
}

/* The byte in lower case; another one for what stands in no known name. */
static unsigned folded(char byte)
{
    return (unsigned char)byte | 0x20u;
}

static unsigned slot_of(struct text name)
{
    unsigned hash = (unsigned)name.len * 17 + folded(name.data[0]) * 33 +
                    folded(name.data[name.len - 1]) * 25 + folded(name.data[name.len * 3 / 4]) * 45;
    return (hash ^ (hash >> 5)) & 127;
}

/* Eight bytes against lower-case ones: they may differ in bit 5, where the lower one is a letter.
 */
static bool differ(const char *any, const char *low)
{
    uint64_t a, b;
    memcpy(&a, any, sizeof(a));
    memcpy(&b, low, sizeof(b));
    return ((a ^ b) & ~((b & 0x4040404040404040u) >> 1)) != 0;
}

static bool equal_lower(const char *any, const char *low, size_t len)
{
    if (len >= 8) {
        for (size_t i = 0; i + 8 < len; i += 8)
            if (differ(any + i, low + i))
                return false;
        return !differ(any + len - 8, low + len - 8);
    }
    for (size_t i = 0; i < len; i++)
        if (lower(any[i]) != (unsigned char)low[i])
            return false;
    return true;
}

enum name_id name_lookup(struct text name)
{
    if (name.len == 0)
        return NAME_OTHER;
    enum name_id id = SLOTS[slot_of(name)];
    if (TEXTS[id].len != name.len || !equal_lower(name.data, TEXTS[id].data, name.len))
        return NAME_OTHER;
    return id;
}

struct text name_text(enum name_id id)
{
    return TEXTS[id];
}
