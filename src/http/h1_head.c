/* The rules of RFC 9112 6 and RFC 9110 7.6 on a head whose bytes are fine: one framing, one host,
 * hop-by-hop fields turned into members. Everything ambiguous is refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h1_head.h"

#include "http/field.h"
#include "http/url.h"

/* What is gathered in the one pass over the lines. */
struct reading {
    struct h1_parser *parser;
    const char *bytes;
    struct message *head;
    uint32_t host_count, length_count, coding_count, expect_count;
    struct text host, coding, upgrade, websocket_version;
    bool close, keep_alive, connection_upgrade, bad_expect;
    struct text named[16]; /* fields that Connection names */
    uint32_t named_count;
};

static enum err refuse(struct h1_parser *parser, int status, const char *why)
{
    parser->refuse = status;
    parser->why = why;
    return ERR_PROTOCOL;
}

static struct text line_name(const struct h1_line *line, const char *bytes)
{
    return text_from(bytes + line->name_at, line->name_len);
}

static struct text line_value(const struct h1_line *line, const char *bytes)
{
    return text_from(bytes + line->value_at, line->value_len);
}

static enum err read_length(struct reading *r, struct text value)
{
    uint64_t length = 0;
    if (value.len == 0)
        return refuse(r->parser, 400, "content_length");
    for (size_t i = 0; i < value.len; i++) {
        unsigned digit = (unsigned char)value.data[i] - '0';
        if (digit > 9 || length > ((uint64_t)INT64_MAX - digit) / 10)
            return refuse(r->parser, 400, "content_length");
        length = length * 10 + digit;
    }
    if (r->length_count++ > 0)
        return refuse(r->parser, 400, "content_length_twice");
    r->head->content_length = length;
    return ERR_NONE;
}

static enum err name_option(struct reading *r, struct text option)
{
    switch (name_lookup(option)) {
    case NAME_CONTENT_LENGTH:
    case NAME_TRANSFER_ENCODING:
    case NAME_HOST:
        return refuse(r->parser, 400, "connection_names_framing");
    case NAME_FORWARDED:
    case NAME_VIA:
    case NAME_X_FORWARDED_FOR:
    case NAME_X_FORWARDED_HOST:
    case NAME_X_FORWARDED_PORT:
    case NAME_X_FORWARDED_PROTO:
    case NAME_X_REAL_IP:
    case NAME_X_REQUEST_ID:
    case NAME_TRACEPARENT:
        return ERR_NONE; /* the gateway's own: a peer may not strike them */
    case NAME_UPGRADE:
        r->connection_upgrade = true;
        return ERR_NONE;
    case NAME_KEEP_ALIVE:
        r->keep_alive = true;
        return ERR_NONE;
    case NAME_TE:
        return ERR_NONE; /* kept only as "trailers" */
    default:
        break;
    }
    if (text_equal_nocase(option, TEXT("close"))) {
        r->close = true;
        return ERR_NONE;
    }
    if (r->named_count == ARRAY_LEN(r->named))
        return refuse(r->parser, 400, "connection_options");
    r->named[r->named_count++] = option;
    return ERR_NONE;
}

static enum err read_connection(struct reading *r, struct text value)
{
    struct text option;
    while (text_split(&value, ',', &option)) {
        option = text_trim(option);
        if (option.len == 0)
            continue;
        if (!h1_parse_is_token(option))
            return refuse(r->parser, 400, "connection_option");
        enum err err = name_option(r, option);
        if (err != ERR_NONE)
            return err;
    }
    return ERR_NONE;
}

static bool is_known_coding(struct text name)
{
    return text_equal_nocase(name, TEXT("gzip")) || text_equal_nocase(name, TEXT("x-gzip")) ||
           text_equal_nocase(name, TEXT("deflate")) || text_equal_nocase(name, TEXT("compress")) ||
           text_equal_nocase(name, TEXT("x-compress"));
}

/* RFC 9112 6.1, 6.3: chunked alone is read; other codings in front of it we do not decode. */
static enum err read_coding(struct reading *r)
{
    struct h1_parser *parser = r->parser;
    struct text rest = r->coding, element = TEXT_NONE;
    if (r->coding_count > 1 || parser->version < 11)
        return refuse(parser, 400, "transfer_encoding");
    if (r->length_count > 0)
        return refuse(parser, 400, "transfer_encoding_and_length");
    r->head->framing = FRAMING_CHUNKED;
    if (LIKELY(text_equal_nocase(rest, TEXT("chunked"))))
        return ERR_NONE;
    uint32_t chunked = 0;
    bool last_chunked = false, known = false;
    while (text_split(&rest, ',', &element)) {
        element = text_trim(element);
        struct text name = text_trim(text_slice(element, 0, text_find(element, ';', 0)));
        if (!h1_parse_is_token(name))
            return refuse(parser, 400, "transfer_encoding");
        last_chunked = text_equal_nocase(element, TEXT("chunked"));
        chunked += text_equal_nocase(name, TEXT("chunked"));
        known = is_known_coding(name);
    }
    if (chunked > 1 || (chunked == 1 && !last_chunked) || (chunked == 0 && known))
        return refuse(parser, 400, "transfer_encoding");
    return refuse(parser, 501, "transfer_coding");
}

static void keep_field(struct message *head, const struct h1_line *line, const char *bytes)
{
    head->fields[head->field_count++] =
        (struct field){line_name(line, bytes), line_value(line, bytes), (enum name_id)line->id};
}

static bool lists_trailers(struct text value)
{
    struct text element;
    while (text_split(&value, ',', &element))
        if (text_equal_nocase(text_trim(element), TEXT("trailers")))
            return true;
    return false;
}

static enum err read_line(struct reading *r, const struct h1_line *line)
{
    struct text value = line_value(line, r->bytes);
    switch ((enum name_id)line->id) {
    case NAME_OTHER:
        if (UNLIKELY(line->underscore) && r->parser->mode == H1_REQUEST &&
            field_is_alias(line_name(line, r->bytes)))
            return refuse(r->parser, 400, "underscore_alias");
        break;
    case NAME_HOST:
        if (r->parser->mode != H1_REQUEST)
            break;
        r->host = value;
        r->host_count++;
        return ERR_NONE;
    case NAME_CONTENT_LENGTH:
        return read_length(r, value);
    case NAME_TRANSFER_ENCODING:
        r->coding = value;
        r->coding_count++;
        return ERR_NONE;
    case NAME_CONNECTION:
        return read_connection(r, value);
    case NAME_UPGRADE:
        r->upgrade = r->upgrade.len == 0 ? value : r->upgrade;
        return ERR_NONE;
    case NAME_EXPECT:
        if (r->parser->mode != H1_REQUEST)
            break;
        r->expect_count++;
        r->bad_expect |= !text_equal_nocase(value, TEXT("100-continue"));
        return ERR_NONE;
    case NAME_TE:
        if (!lists_trailers(value))
            return ERR_NONE;
        keep_field(r->head, line, r->bytes);
        r->head->fields[r->head->field_count - 1].value = TEXT("trailers");
        return ERR_NONE;
    case NAME_HTTP2_SETTINGS:
    case NAME_KEEP_ALIVE:
    case NAME_PROXY_AUTHENTICATE:
    case NAME_PROXY_AUTHORIZATION:
    case NAME_PROXY_CONNECTION:
        return ERR_NONE;
    default:
        break;
    }
    keep_field(r->head, line, r->bytes);
    return ERR_NONE;
}

static enum err read_lines(struct reading *r, struct arena *arena)
{
    struct h1_parser *parser = r->parser;
    uint32_t cap = parser->count + 8; /* room for what the gateway adds */
    r->head->fields = arena_alloc(arena, cap * sizeof(*r->head->fields));
    r->head->field_cap = cap;
    for (uint32_t i = 0; i < parser->count; i++) {
        enum err err = read_line(r, &parser->lines[i]);
        if (UNLIKELY(err != ERR_NONE))
            return err;
    }
    for (uint32_t i = 0; i < r->named_count; i++)
        message_remove(r->head, r->named[i]);
    r->head->keep_alive = !r->close && (parser->version >= 11 || r->keep_alive);
    return ERR_NONE;
}

/* The first protocol that is not HTTP/2: h2c is never passed through, nor are its settings. */
static struct text pick_upgrade(struct text value)
{
    struct text element;
    while (text_split(&value, ',', &element)) {
        element = text_trim(element);
        struct text name = text_slice(element, 0, text_find(element, '/', 0));
        if (h1_parse_is_token(name) && !text_equal_nocase(name, TEXT("h2c")) &&
            !text_equal_nocase(name, TEXT("h2")) && !text_equal_nocase(name, TEXT("HTTP")))
            return element;
    }
    return TEXT_NONE;
}

/* RFC 6455 4.4: a version that nobody speaks is answered here. */
static enum err check_websocket(struct reading *r)
{
    const struct field *version = message_find(r->head, TEXT("sec-websocket-version"));
    if (version != NULL && !text_is(version->value, "13"))
        return refuse(r->parser, 426, "websocket_version");
    return ERR_NONE;
}

static enum err request_upgrade(struct reading *r)
{
    struct message *head = r->head;
    if (!r->connection_upgrade || r->upgrade.len == 0 || r->parser->version < 11)
        return ERR_NONE;
    head->upgrade = pick_upgrade(r->upgrade);
    if (head->upgrade.len == 0)
        return ERR_NONE;
    if (text_equal_nocase(head->upgrade, TEXT("websocket"))) {
        enum err err = check_websocket(r);
        if (err != ERR_NONE)
            return err;
    }
    /* With a body in front, the switch would come in the middle of it: serve it as HTTP. */
    head->wants_upgrade = head->framing == FRAMING_NONE;
    if (!head->wants_upgrade)
        head->upgrade = TEXT_NONE;
    return ERR_NONE;
}

static enum err request_host(struct reading *r, struct arena *arena)
{
    struct h1_parser *parser = r->parser;
    struct message *head = r->head;
    struct text absolute = head->authority;
    const char *why = NULL;
    if (r->host_count > 1)
        return refuse(parser, 400, "host_twice");
    if (r->host_count == 0) {
        if (parser->version >= 11)
            return refuse(parser, 400, "host_missing");
        if (absolute.data == NULL)
            return ERR_NONE;
        return url_parse_authority(arena, absolute, head, &why) ? ERR_NONE
                                                                : refuse(parser, 400, why);
    }
    if (absolute.data != NULL && !text_equal_nocase(absolute, r->host))
        return refuse(parser, 400, "host_differs");
    if (!url_parse_authority(arena, r->host, head, &why))
        return refuse(parser, 400, why);
    return ERR_NONE;
}

static enum err request_framing(struct reading *r)
{
    struct message *head = r->head;
    if (r->coding_count > 0)
        return read_coding(r);
    head->framing = r->length_count > 0 && head->content_length > 0 ? FRAMING_LENGTH : FRAMING_NONE;
    return ERR_NONE;
}

static enum err request_rest(struct reading *r, struct arena *arena)
{
    struct h1_parser *parser = r->parser;
    struct message *head = r->head;
    enum err err = request_framing(r);
    if (err == ERR_NONE)
        err = request_host(r, arena);
    if (err == ERR_NONE)
        err = request_upgrade(r);
    if (err != ERR_NONE)
        return err;
    if (r->expect_count > 0 && parser->version >= 11) {
        if (r->bad_expect || r->expect_count > 1)
            return refuse(parser, 417, "expectation");
        head->expect_continue = head->framing != FRAMING_NONE;
    }
    return ERR_NONE;
}

enum err h1_head_request(struct h1_parser *parser, const char *bytes, struct arena *arena,
                         const struct h1_head_options *options, struct message *ret_head)
{
    struct reading r = {.parser = parser, .bytes = bytes, .head = ret_head};
    const char *why = NULL;
    message_init(ret_head);
    ret_head->version = parser->version;
    ret_head->method_name = text_from(bytes + parser->start, parser->method_len);
    ret_head->method = message_method(ret_head->method_name);
    if (ret_head->method == METHOD_CONNECT || ret_head->method == METHOD_TRACE ||
        text_is(ret_head->method_name, "PRI")) /* RFC 9113 11.6: no request; some parsers know it */
        return refuse(parser, 405, "method_not_allowed");
    struct text target = text_from(bytes + parser->target_at, parser->target_len);
    if (!url_parse_target(arena, target, options->merge_slashes, ret_head, &why))
        return refuse(parser, 400, why);
    ret_head->scheme = options->tls ? TEXT("https") : TEXT("http");
    enum err err = read_lines(&r, arena);
    return err == ERR_NONE ? request_rest(&r, arena) : err;
}

bool h1_head_has_body(const struct message *response, enum method method)
{
    return method != METHOD_HEAD && response->status >= 200 && response->status != 204 &&
           response->status != 304;
}

/* RFC 9110 7.8: a switch only to what was asked for. */
static enum err check_switch(struct reading *r, const struct h1_head_options *options)
{
    if (!options->wants_upgrade || !r->connection_upgrade ||
        !text_equal_nocase(r->upgrade, options->upgrade))
        return refuse(r->parser, 502, "upgrade_not_asked");
    if (r->coding_count > 0 || r->head->content_length > 0)
        return refuse(r->parser, 502, "upgrade_with_framing");
    r->head->upgrade = r->upgrade;
    r->head->framing = FRAMING_TUNNEL;
    return ERR_NONE;
}

static enum err response_framing(struct reading *r, const struct h1_head_options *options)
{
    struct message *head = r->head;
    bool body = h1_head_has_body(head, options->method);
    if (r->coding_count > 0) {
        enum err err = read_coding(r);
        if (err != ERR_NONE)
            return err;
    } else if (r->length_count > 0) {
        head->framing = FRAMING_LENGTH;
    } else {
        head->framing = body ? FRAMING_CLOSE : FRAMING_NONE;
    }
    if (head->framing == FRAMING_CLOSE)
        head->keep_alive = false;
    if (head->status == 204 || head->status < 200) {
        if (r->coding_count > 0 || head->content_length > 0)
            head->keep_alive =
                false; /* RFC 9110 8.6: not allowed, so nothing behind it is trusted */
        head->framing = FRAMING_NONE;
        head->content_length = 0;
    }
    return ERR_NONE;
}

enum err h1_head_response(struct h1_parser *parser, const char *bytes, struct arena *arena,
                          const struct h1_head_options *options, struct message *ret_head)
{
    struct reading r = {.parser = parser, .bytes = bytes, .head = ret_head};
    message_init(ret_head);
    ret_head->version = parser->version;
    ret_head->status = parser->status;
    ret_head->reason = text_from(bytes + parser->reason_at, parser->reason_len);
    enum err err = read_lines(&r, arena);
    if (err != ERR_NONE)
        return err;
    if (ret_head->status == 101)
        return check_switch(&r, options);
    return response_framing(&r, options);
}

void h1_head_trailers(const struct h1_parser *parser, const char *bytes, struct arena *arena,
                      struct message *ret_trailers)
{
    message_init(ret_trailers);
    for (uint32_t i = 0; i < parser->count; i++) {
        const struct h1_line *line = &parser->lines[i];
        struct text name = line_name(line, bytes);
        if (!line->underscore && field_may_trail((enum name_id)line->id, name))
            message_add(ret_trailers, arena, name, line_value(line, bytes));
    }
}
