/* Request targets and hosts into their normal form, or refused with a reason. Linear in the input;
 * a target that is normal already is not copied. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/url.h"

#include "base/limits.h"

enum { BAD = 1, WORK = 2, UNRESERVED = 4, HOST = 8 };

/* BAD: never in a target. WORK: the path has to be looked at closely. */
__extension__ static const uint8_t CLASS[256] = {
    [0 ... ' '] = BAD,
    ['#'] = BAD,
    [0x7f ... 0xff] = BAD,
    ['%'] = WORK,
    ['\\'] = WORK,
    [';'] = WORK,
    ['/'] = WORK, /* only behind another '/' */
    ['.'] = WORK | UNRESERVED | HOST,
    ['0' ... '9'] = UNRESERVED | HOST,
    ['A' ... 'Z'] = UNRESERVED | HOST,
    ['a' ... 'z'] = UNRESERVED | HOST,
    ['-'] = UNRESERVED | HOST,
    ['_'] = UNRESERVED | HOST,
    ['~'] = UNRESERVED,
};

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    unsigned letter = ((unsigned char)byte | 0x20u) - 'a';
    return letter < 6 ? (int)letter + 10 : -1;
}

static bool refuse(const char **ret_why, const char *why)
{
    *ret_why = why;
    return false;
}

/* Is there anything in the path that normalising could change or refuse? */
static bool needs_work(struct text path)
{
    char before = 0;
    for (size_t i = 0; i < path.len; i++) {
        char byte = path.data[i];
        uint8_t class = CLASS[(unsigned char)byte];
        if (UNLIKELY(class & (BAD | WORK))) {
            if (class & BAD || byte == '%' || byte == '\\' || byte == ';')
                return true;
            if (before == '/') /* "//" or "/." */
                return true;
        }
        before = byte;
    }
    return false;
}

static char hex_upper(char digit)
{
    return digit >= 'a' ? (char)(digit & ~0x20) : digit;
}

/* Decodes unreserved escapes into `out`, which has room for all of path. The digits of the others
 * are upper-case (RFC 3986 6.2.2.1): a path that its backend takes for another's equal must not
 * miss that one's rule. An escaped '/' no rule can name; it stays as it came. */
static bool decode(struct text path, char *out, size_t *ret_len, const char **ret_why)
{
    size_t len = 0;
    for (size_t i = 0; i < path.len; i++) {
        char byte = path.data[i];
        if (CLASS[(unsigned char)byte] & BAD || byte == '\\')
            return refuse(ret_why, "target_character");
        if (byte != '%') {
            out[len++] = byte;
            continue;
        }
        int high = i + 2 < path.len ? hex_digit(path.data[i + 1]) : -1;
        int low = i + 2 < path.len ? hex_digit(path.data[i + 2]) : -1;
        if (high < 0 || low < 0)
            return refuse(ret_why, "target_escape");
        unsigned char value = (unsigned char)(high * 16 + low);
        if (value == 0)
            return refuse(ret_why, "target_nul");
        if (CLASS[value] & UNRESERVED) {
            out[len++] = (char)value;
        } else {
            bool is_slash = value == '/';
            out[len++] = '%';
            out[len++] = is_slash ? path.data[i + 1] : hex_upper(path.data[i + 1]);
            out[len++] = is_slash ? path.data[i + 2] : hex_upper(path.data[i + 2]);
        }
        i += 2;
    }
    *ret_len = len;
    return true;
}

/* "." and ".."; a path parameter behind them is a dot segment for some backends. */
static bool is_dots(const char *at, size_t len)
{
    const char *end = memchr(at, ';', len);
    size_t name = end == NULL ? len : (size_t)(end - at);
    return (name == 1 && at[0] == '.') || (name == 2 && at[0] == '.' && at[1] == '.');
}

static bool is_escaped_separator(const char *at, size_t left)
{
    return left >= 3 && at[0] == '%' &&
           ((at[1] == '2' && (at[2] | 0x20) == 'f') || (at[1] == '5' && (at[2] | 0x20) == 'c'));
}

/* A segment with an escaped '/' or '\' next to dots climbs for a backend that decodes it. */
static bool segment_hides_dots(const char *at, size_t len)
{
    size_t from = 0;
    bool split = false;
    for (size_t i = 0; i < len; i++) {
        if (!is_escaped_separator(at + i, len - i))
            continue;
        split = true;
        if (is_dots(at + from, i - from))
            return true;
        i += 2;
        from = i + 1;
    }
    if (split)
        return is_dots(at + from, len - from);
    return is_dots(at, len) && memchr(at, ';', len) != NULL;
}

/* Dot segments and empty segments, in place (RFC 3986 5.2.4); climbing above the root is refused.
 */
static bool resolve(char *path, size_t *len, bool merge_slashes, const char **ret_why)
{
    size_t out = 0, at = 0, end = *len;
    while (at < end) { /* path[at] is the '/' in front of a segment; out <= at */
        size_t from = at + 1;
        const char *slash = memchr(path + from, '/', end - from);
        size_t to = slash == NULL ? end : (size_t)(slash - path), size = to - from;
        bool last = slash == NULL;
        const char *segment = path + from;
        if (segment_hides_dots(segment, size))
            return refuse(ret_why, "target_dots");
        if (size == 1 && segment[0] == '.') {
            if (last)
                path[out++] = '/';
        } else if (size == 2 && segment[0] == '.' && segment[1] == '.') {
            if (out == 0)
                return refuse(ret_why, "target_above_root");
            do
                out--;
            while (path[out] != '/');
            if (last)
                path[out++] = '/';
        } else if (size > 0 || last || !merge_slashes) {
            path[out++] = '/';
            memmove(path + out, segment, size);
            out += size;
        }
        at = to;
    }
    *len = out;
    return true;
}

bool url_normalise(struct arena *arena, struct text path, bool merge_slashes, struct text *ret_path,
                   const char **ret_why)
{
    if (path.len == 0 || path.data[0] != '/')
        return refuse(ret_why, "target_form");
    if (!needs_work(path)) {
        *ret_path = path;
        return true;
    }
    char *copy = arena_alloc(arena, path.len + 1);
    size_t len;
    if (!decode(path, copy, &len, ret_why) || !resolve(copy, &len, merge_slashes, ret_why))
        return false;
    *ret_path = text_from(copy, len);
    return true;
}

static bool set_path(struct arena *arena, struct text target, bool merge_slashes,
                     struct message *message, const char **ret_why)
{
    size_t mark = text_find(target, '?', 0);
    message->has_query = mark < target.len;
    message->query = message->has_query ? text_slice(target, mark + 1, target.len) : TEXT("");
    for (size_t i = 0; i < message->query.len; i++)
        if (CLASS[(unsigned char)message->query.data[i]] & BAD)
            return refuse(ret_why, "target_character");
    target.len = mark;
    return url_normalise(arena, target, merge_slashes, &message->path, ret_why);
}

static size_t scheme_len(struct text target)
{
    if (text_equal_nocase(text_slice(target, 0, 7), TEXT("http://")))
        return 7;
    return text_equal_nocase(text_slice(target, 0, 8), TEXT("https://")) ? 8 : 0;
}

static bool parse_absolute(struct arena *arena, struct text target, bool merge_slashes,
                           struct message *message, const char **ret_why)
{
    size_t from = scheme_len(target), to = from;
    if (from == 0)
        return refuse(ret_why, "target_form");
    while (to < target.len && target.data[to] != '/' && target.data[to] != '?')
        to++;
    message->scheme = from == 7 ? TEXT("http") : TEXT("https");
    message->authority = text_slice(target, from, to);
    struct text rest = text_slice(target, to, target.len);
    if (rest.len > 0 && rest.data[0] == '/')
        return set_path(arena, rest, merge_slashes, message, ret_why);
    if (rest.len == 0 && message->method == METHOD_OPTIONS) {
        message->path = TEXT("*"); /* RFC 9112 3.2.4 */
        return true;
    }
    char *path = arena_alloc(arena, rest.len + 1);
    path[0] = '/';
    if (rest.len > 0)
        memcpy(path + 1, rest.data, rest.len);
    return set_path(arena, text_from(path, rest.len + 1), merge_slashes, message, ret_why);
}

bool url_parse_target(struct arena *arena, struct text target, bool merge_slashes,
                      struct message *message, const char **ret_why)
{
    message->has_query = false;
    message->query = TEXT("");
    if (target.len == 0)
        return refuse(ret_why, "target_form");
    if (LIKELY(target.data[0] == '/'))
        return set_path(arena, target, merge_slashes, message, ret_why);
    if (text_is(target, "*")) {
        if (message->method != METHOD_OPTIONS)
            return refuse(ret_why, "target_form");
        message->path = TEXT("*");
        return true;
    }
    return parse_absolute(arena, target, merge_slashes, message, ret_why);
}

static bool port_is_valid(struct text port)
{
    uint32_t value = 0;
    if (port.len == 0 || port.len > 5)
        return false;
    for (size_t i = 0; i < port.len; i++) {
        if (port.data[i] < '0' || port.data[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(port.data[i] - '0');
    }
    return value >= 1 && value <= 65535;
}

/* The length of the host in front of a port: brackets with hex digits, or a name. */
static size_t host_len(struct text text)
{
    if (text.len == 0 || text.data[0] != '[') {
        size_t colon = text_find(text, ':', 0);
        for (size_t i = 0; i < colon; i++)
            if (!(CLASS[(unsigned char)text.data[i]] & HOST) ||
                (text.data[i] == '.' && (i == 0 || text.data[i - 1] == '.')))
                return 0;
        return colon;
    }
    size_t end = text_find(text, ']', 0), colons = 0;
    if (end == text.len || end > 46)
        return 0;
    for (size_t i = 1; i < end; i++) {
        colons += text.data[i] == ':';
        if (text.data[i] != ':' && text.data[i] != '.' && hex_digit(text.data[i]) < 0)
            return 0;
    }
    return colons < 2 ? 0 : end + 1;
}

bool url_parse_authority(struct arena *arena, struct text authority, struct message *message,
                         const char **ret_why)
{
    size_t len = host_len(authority);
    if (len == 0 || len > LIMIT_HOSTNAME + 1)
        return refuse(ret_why, "host_invalid");
    struct text port = text_slice(authority, len, authority.len);
    if (text_is(port, ":")) /* the same as none, and not sent on (RFC 3986 6.2.3) */
        authority.len = len;
    else if (port.len > 0 && (port.data[0] != ':' || !port_is_valid(text_slice(port, 1, port.len))))
        return refuse(ret_why, "host_port");
    char *copy = arena_alloc(arena, authority.len);
    for (size_t i = 0; i < authority.len; i++) {
        char byte = authority.data[i];
        copy[i] = byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
    }
    message->authority = text_from(copy, authority.len);
    message->host = text_from(copy, copy[len - 1] == '.' ? len - 1 : len);
    return true;
}
