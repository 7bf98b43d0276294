/* Reads heads by the grammar alone (RFC 9112 2 to 5): CRLF only, no folding, no control bytes.
 * Each state reads as far as it can and leaves `at` where it stopped, so no byte is read twice. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h1_parse.h"

#include "base/bytes16.h"

enum {
    STATE_EMPTY,
    STATE_METHOD,
    STATE_TARGET,
    STATE_VERSION,
    STATE_REASON,
    STATE_NAME_START,
    STATE_NAME,
    STATE_VALUE,
    STATE_DONE
};

enum { TOKEN = 1, TARGET = 2, VALUE = 4 };

#define NV  (TOKEN | VALUE)
#define TV  (TARGET | VALUE)
#define ALL (TOKEN | TARGET | VALUE)
__extension__ static const uint8_t CLASS[256] = {
    ['\t'] = VALUE, [' '] = VALUE,       ['!'] = ALL,         ['"'] = TV,
    ['#'] = NV,     ['$'] = ALL,         ['%'] = ALL,         ['&'] = ALL,
    ['\''] = ALL,   ['('] = TV,          [')'] = TV,          ['*'] = ALL,
    ['+'] = ALL,    [','] = TV,          ['-'] = ALL,         ['.'] = ALL,
    ['/'] = TV,     ['0' ... '9'] = ALL, [':' ... '@'] = TV,  ['A' ... 'Z'] = ALL,
    ['['] = TV,     ['\\'] = TV,         [']'] = TV,          ['^'] = ALL,
    ['_'] = ALL,    ['`'] = ALL,         ['a' ... 'z'] = ALL, ['{'] = TV,
    ['|'] = ALL,    ['}'] = TV,          ['~'] = ALL,         [0x80 ... 0xff] = VALUE,
};

struct span { /* what there is to read */
    const unsigned char *base, *at, *end;
};

static bool is(unsigned char byte, unsigned class)
{
    return (CLASS[byte] & class) != 0;
}

bool h1_parse_is_token(struct text text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is((unsigned char)text.data[i], TOKEN))
            return false;
    return text.len > 0;
}

void h1_parse_init(struct h1_parser *parser, enum h1_parse_mode mode)
{
    memset(parser, 0, offsetof(struct h1_parser, lines));
    parser->mode = (uint8_t)mode;
    parser->state = mode == H1_REQUEST    ? STATE_EMPTY
                    : mode == H1_RESPONSE ? STATE_VERSION
                                          : STATE_NAME_START;
    parser->version = 11;
}

bool h1_parse_has_begun(const struct h1_parser *parser)
{
    return parser->at > 0 || parser->state != STATE_EMPTY;
}

static enum err refuse(struct h1_parser *parser, int status, const char *why)
{
    parser->refuse = status;
    parser->why = why;
    return status == 414 || status == 431 ? ERR_LIMIT : ERR_PROTOCOL;
}

static enum err bad(struct h1_parser *parser, const char *why)
{
    return refuse(parser, 400, why);
}

/* At a byte that ended a run: a CR with its LF (ERR_NONE, both read), half of it, or neither. */
static enum err line_end(struct h1_parser *parser, struct span *in, const char *why)
{
    if (*in->at != '\r')
        return bad(parser, *in->at == '\n' ? "bare_lf" : *in->at == 0 ? "nul" : why);
    if (in->at + 1 == in->end)
        return ERR_AGAIN;
    if (in->at[1] != '\n')
        return bad(parser, "bare_cr");
    in->at += 2;
    return ERR_NONE;
}

/* RFC 9112 2.2: empty lines in front of a request are skipped, a few of them. */
static enum err read_empty(struct h1_parser *parser, struct span *in)
{
    while (in->at < in->end && (*in->at == '\r' || *in->at == '\n')) {
        enum err err = line_end(parser, in, "");
        if (err != ERR_NONE)
            return err;
        if (++parser->empty_lines > LIMIT_EMPTY_LINES)
            return bad(parser, "empty_lines");
    }
    if (in->at == in->end)
        return ERR_AGAIN;
    parser->start = (uint32_t)(in->at - in->base);
    parser->state = STATE_METHOD;
    return ERR_NONE;
}

static enum err read_method(struct h1_parser *parser, struct span *in)
{
    while (in->at < in->end && is(*in->at, TOKEN))
        in->at++;
    uint32_t len = (uint32_t)(in->at - in->base) - parser->start;
    if (len > 64)
        return refuse(parser, 501, "method_length");
    if (in->at == in->end)
        return ERR_AGAIN;
    if (*in->at != ' ' || len == 0)
        return bad(parser, "method");
    parser->method_len = len;
    parser->target_at = parser->start + len + 1;
    in->at++;
    parser->state = STATE_TARGET;
    return ERR_NONE;
}

static enum err read_target(struct h1_parser *parser, struct span *in)
{
    const unsigned char *at = in->at;
    while (at < in->end && is(*at, TARGET))
        at++;
    in->at = at;
    size_t len = (size_t)(at - in->base) - parser->target_at;
    if (at - in->base - parser->start > LIMIT_REQUEST_LINE)
        return refuse(parser, 414, "target_length");
    if (at == in->end)
        return ERR_AGAIN;
    if (*at != ' ' || len == 0) {
        const char *why = *at == '\r' || *at == '\n' ? "version" : *at == 0 ? "nul" : "target";
        return bad(parser, why);
    }
    parser->target_len = (uint32_t)len;
    in->at++;
    parser->state = STATE_VERSION;
    return ERR_NONE;
}

/* Is it one by its looks: a path, "*", or something with a colon? */
static bool is_target(const struct h1_parser *parser, const struct span *in)
{
    const char *target = (const char *)in->base + parser->target_at;
    return *target == '/' || *target == '*' || memchr(target, ':', parser->target_len) != NULL;
}

/* "HTTP/1.1" at in->at. ERR_AGAIN: right so far. */
static enum err check_version(struct h1_parser *parser, const struct span *in)
{
    static const char shape[] = "HTTP/0.0";
    size_t left = (size_t)(in->end - in->at);
    if (LIKELY(left >= 8 && memcmp(in->at, "HTTP/1.1", 8) == 0)) {
        parser->version = 11;
        return ERR_NONE;
    }
    for (size_t i = 0; i < MIN(left, (size_t)8); i++) {
        bool digit = in->at[i] >= '0' && in->at[i] <= '9';
        if (shape[i] == '0' ? digit : in->at[i] == (unsigned char)shape[i])
            continue;
        parser->is_alien = i == 0 && !is_target(parser, in);
        return bad(parser, "version");
    }
    if (left < 8)
        return ERR_AGAIN;
    parser->version = in->at[7] == '0' ? 10 : 11; /* a higher minor is 1.1, RFC 9110 2.5 */
    return ERR_NONE;
}

static enum err read_version(struct h1_parser *parser, struct span *in)
{
    enum err err = check_version(parser, in);
    if (err != ERR_NONE)
        return err;
    if (in->end - in->at < 9)
        return ERR_AGAIN;
    struct span rest = {in->base, in->at + 8, in->end};
    if ((err = line_end(parser, &rest, "version")) != ERR_NONE)
        return err;
    if (in->at[5] != '1')
        return refuse(parser, 505, "version_major");
    in->at = rest.at;
    parser->fields = (uint32_t)(in->at - in->base);
    parser->state = STATE_NAME_START;
    return ERR_NONE;
}

/* "HTTP/1.1 200 " or, since many leave the blank out, "HTTP/1.1 200\r". */
static enum err read_status(struct h1_parser *parser, struct span *in)
{
    enum err err = check_version(parser, in);
    if (err != ERR_NONE)
        return err;
    const unsigned char *at = in->at;
    size_t left = (size_t)(in->end - at);
    if (at[5] != '1' || (left > 8 && at[8] != ' '))
        return bad(parser, "version");
    for (size_t i = 9; i < MIN(left, (size_t)12); i++)
        if (at[i] < (i == 9 ? '1' : '0') || at[i] > (i == 9 ? '5' : '9'))
            return bad(parser, "status");
    if (left < 13)
        return ERR_AGAIN;
    if (at[12] != ' ' && at[12] != '\r')
        return bad(parser, "status");
    parser->status = (uint16_t)((at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0'));
    in->at += at[12] == ' ' ? 13 : 12;
    parser->reason_at = (uint32_t)(in->at - in->base);
    parser->state = STATE_REASON;
    return ERR_NONE;
}

/* The first byte of a value that is a control byte (not a tab), eight at a time. */
static const unsigned char *skip_value(const unsigned char *at, const unsigned char *end)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    for (;;) {
        while (end - at >= 8) {
            uint64_t word;
            memcpy(&word, at, sizeof(word));
            uint64_t del = word ^ (ones * 0x7f);
            uint64_t hit = ((word - ones * 0x20) & ~word & high) | ((del - ones) & ~del & high);
            if (hit != 0) {
                at += __builtin_ctzll(hit) / 8; /* little endian: the lowest hit is exact */
                break;
            }
            at += 8;
        }
        while (at < end && is(*at, VALUE)) {
            at++;
            if (end - at >= 8)
                break; /* behind a tab: on with words */
        }
        if (at == end || !is(*at, VALUE))
            return at;
    }
}

static enum err read_reason(struct h1_parser *parser, struct span *in)
{
    in->at = skip_value(in->at, in->end);
    if (in->at - in->base - parser->reason_at > LIMIT_REQUEST_LINE)
        return refuse(parser, 431, "status_line_length");
    if (in->at == in->end)
        return ERR_AGAIN;
    uint32_t len = (uint32_t)(in->at - in->base) - parser->reason_at;
    enum err err = line_end(parser, in, "reason");
    if (err != ERR_NONE)
        return err;
    parser->reason_len = len;
    parser->fields = (uint32_t)(in->at - in->base);
    parser->state = STATE_NAME_START;
    return ERR_NONE;
}

static bool too_long(const struct h1_parser *parser, const struct span *in)
{
    return in->at - in->base - parser->fields > LIMIT_HEADER_BYTES;
}

static enum err read_name_start(struct h1_parser *parser, struct span *in)
{
    if (in->at == in->end)
        return ERR_AGAIN;
    if (UNLIKELY(!is(*in->at, TOKEN))) {
        enum err err = line_end(parser, in, *in->at == ':' ? "field_name_empty" : "field_line");
        if (err == ERR_NONE)
            parser->state = STATE_DONE;
        return err;
    }
    if (parser->count == LIMIT_HEADER_COUNT)
        return refuse(parser, 431, "header_count");
    parser->name_at = (uint32_t)(in->at - in->base);
    parser->underscore = 0;
    parser->state = STATE_NAME;
    return ERR_NONE;
}

/* Over the letters, digits and '-' that nearly all names are made of, as far as whole sixteens go.
 */
static const unsigned char *skip_common(const unsigned char *at, const unsigned char *end)
{
    unsigned run = 16;
    for (; run == 16 && end - at >= 16; at += run) {
        bytes16 bytes = bytes16_at(at);
        run = bytes16_run(((bytes | 0x20) - 'a' < 26) | (bytes - '0' < 10) | (bytes == '-'));
    }
    return at;
}

static enum err read_name(struct h1_parser *parser, struct span *in)
{
    const unsigned char *at = skip_common(in->at, in->end);
    uint8_t underscore = parser->underscore;
    while (at < in->end && is(*at, TOKEN)) {
        underscore |= *at == '_';
        at++;
    }
    in->at = at;
    parser->underscore = underscore;
    parser->name_len = (uint32_t)(at - in->base) - parser->name_at;
    if (too_long(parser, in) || parser->name_len > UINT16_MAX)
        return refuse(parser, 431, "header_bytes");
    if (at == in->end)
        return ERR_AGAIN;
    if (UNLIKELY(*at != ':'))
        return bad(parser, *at == 0 ? "nul" : "field_name");
    in->at++;
    parser->value_at = (uint32_t)(in->at - in->base);
    parser->state = STATE_VALUE;
    return ERR_NONE;
}

static bool is_blank(unsigned char byte)
{
    return byte == ' ' || byte == '\t';
}

static enum err read_value(struct h1_parser *parser, struct span *in)
{
    in->at = skip_value(in->at, in->end);
    if (UNLIKELY(too_long(parser, in)))
        return refuse(parser, 431, "header_bytes");
    if (in->at == in->end)
        return ERR_AGAIN;
    const unsigned char *from = in->base + parser->value_at, *to = in->at;
    enum err err = line_end(parser, in, "field_value");
    if (err != ERR_NONE)
        return err;
    while (from < to && is_blank(*from))
        from++;
    while (to > from && is_blank(to[-1]))
        to--;
    const char *name = (const char *)in->base + parser->name_at;
    parser->lines[parser->count++] = (struct h1_line){
        .name_at = parser->name_at,
        .name_len = (uint16_t)parser->name_len,
        .value_at = (uint32_t)(from - in->base),
        .value_len = (uint32_t)(to - from),
        .id = (uint8_t)name_lookup(text_from(name, parser->name_len)),
        .underscore = parser->underscore,
    };
    parser->state = STATE_NAME_START;
    return ERR_NONE;
}

static enum err read_start_line(struct h1_parser *parser, struct span *in)
{
    switch (parser->state) {
    case STATE_EMPTY:
        return read_empty(parser, in);
    case STATE_METHOD:
        return read_method(parser, in);
    case STATE_TARGET:
        return read_target(parser, in);
    case STATE_VERSION:
        return parser->mode == H1_RESPONSE ? read_status(parser, in) : read_version(parser, in);
    default:
        return read_reason(parser, in);
    }
}

enum err h1_parse(struct h1_parser *parser, const char *data, size_t len)
{
    const unsigned char *base = (const unsigned char *)data;
    struct span in = {base, base + parser->at, base + len};
    enum err err = ERR_NONE;
    while (err == ERR_NONE && parser->state < STATE_NAME_START)
        err = read_start_line(parser, &in);
    while (err == ERR_NONE && parser->state != STATE_DONE) {
        if (parser->state == STATE_NAME_START)
            err = read_name_start(parser, &in);
        if (err == ERR_NONE && parser->state == STATE_NAME)
            err = read_name(parser, &in);
        if (err == ERR_NONE && parser->state == STATE_VALUE)
            err = read_value(parser, &in);
    }
    parser->at = (uint32_t)(in.at - base);
    return err;
}
