/* Reads and writes heads. What would mean something else on HTTP/1 is malformed here, so that a
 * message may go out on either version without another look (reliability: downgrade). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h2_message.h"

#include "base/limits.h"
#include "http/field.h"
#include "http/h1_parse.h"
#include "http/url.h"
#include "http/websocket.h"

/* Lower case only (RFC 9113 8.2). */
static bool name_is_valid(struct text name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] >= 'A' && name.data[i] <= 'Z')
            return false;
    return h1_parse_is_token(name);
}

/* Some of eight bytes may be a control byte: one below 0x20, or 0x7f. */
static bool has_control(const char *at)
{
    const uint64_t ones = UINT64_MAX / 255, tops = ones << 7;
    uint64_t bytes;
    memcpy(&bytes, at, sizeof(bytes));
    uint64_t low = (bytes - ones * 0x20) & ~bytes, gone = bytes ^ ones * 0x7f;
    return ((low | ((gone - ones) & ~gone)) & tops) != 0;
}

static bool value_is_valid(struct text value)
{
    if (value.len == 0)
        return true;
    char first = value.data[0], last = value.data[value.len - 1];
    size_t i = 0;
    if (first == ' ' || first == '\t' || last == ' ' || last == '\t')
        return false;
    while (i + 8 <= value.len && !has_control(value.data + i))
        i += 8;
    for (; i < value.len; i++) {
        unsigned char byte = (unsigned char)value.data[i];
        if (byte == 0x7f || (byte < 0x20 && byte != '\t'))
            return false;
    }
    return true;
}

static bool malformed(struct h2_head *head, const char *reason)
{
    head->reason = reason;
    return false;
}

static bool refuse(struct h2_head *head, int status, const char *reason)
{
    if (head->refuse == 0) {
        head->refuse = status;
        head->reason = reason;
    }
    return true;
}

void h2_message_begin(struct h2_head *head, struct message *message, enum h2_kind kind)
{
    *head = (struct h2_head){.kind = kind};
    message_init(message);
    message->version = 20;
}

static bool take_pseudo(struct h2_head *head, struct arena *arena, struct text name,
                        struct text value)
{
    static const struct {
        struct text name;
        enum h2_kind kind;
        size_t has, text;
    } ROWS[] = {
#define ROW(kind, word)                                                                            \
    {{":" #word, sizeof(":" #word) - 1},                                                           \
     kind,                                                                                         \
     offsetof(struct h2_head, has_##word),                                                         \
     offsetof(struct h2_head, word)}
        ROW(H2_REQUEST, method),    ROW(H2_REQUEST, scheme),  ROW(H2_REQUEST, path),
        ROW(H2_REQUEST, authority), ROW(H2_RESPONSE, status), ROW(H2_REQUEST, protocol),
#undef ROW
    };
    if (head->regular_seen)
        return malformed(head, "pseudo_late");
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        if (ROWS[i].kind != head->kind || !text_equal(ROWS[i].name, name))
            continue;
        bool *has = (bool *)(void *)((char *)head + ROWS[i].has);
        if (*has)
            return malformed(head, "pseudo_twice");
        *has = true;
        *(struct text *)(void *)((char *)head + ROWS[i].text) = arena_text(arena, value);
        return true;
    }
    return malformed(head, "pseudo_unknown");
}

static bool take_length(struct h2_head *head, struct message *message, struct text value)
{
    if (head->kind == H2_TRAILERS || head->has_length)
        return malformed(head, "content_length_twice");
    if (!text_to_u64(value, &message->content_length))
        return malformed(head, "content_length");
    head->has_length = true;
    return true;
}

static bool take_host(struct h2_head *head, struct arena *arena, struct text value)
{
    if (head->kind != H2_REQUEST || head->has_host)
        return malformed(head, "host_twice");
    head->has_host = true;
    head->host = arena_text(arena, value);
    return true;
}

/* What is known by number and not just kept. *ret_keep: add it to the fields. */
static bool take_known(struct h2_head *head, struct message *message, struct arena *arena,
                       enum name_id id, struct text value, bool *ret_keep)
{
    *ret_keep = false;
    switch (id) {
    case NAME_CONNECTION:
    case NAME_KEEP_ALIVE:
    case NAME_PROXY_CONNECTION:
    case NAME_TRANSFER_ENCODING:
    case NAME_UPGRADE:
        return malformed(head, "connection_field"); /* RFC 9113 8.2.2 */
    case NAME_HTTP2_SETTINGS:
    case NAME_PROXY_AUTHENTICATE:
    case NAME_PROXY_AUTHORIZATION:
        return true;
    case NAME_TE:
        if (!text_equal_nocase(value, TEXT("trailers")))
            return malformed(head, "te");
        *ret_keep = head->kind == H2_REQUEST;
        return true;
    case NAME_CONTENT_LENGTH:
        return take_length(head, message, value);
    case NAME_HOST:
        return take_host(head, arena, value);
    case NAME_EXPECT:
        if (head->kind != H2_REQUEST)
            return true;
        if (!text_equal_nocase(value, TEXT("100-continue")))
            return refuse(head, 417, "expect");
        message->expect_continue = true;
        return true;
    case NAME_COOKIE:
        head->cookies++;
        break;
    default:
        break;
    }
    *ret_keep = true;
    return true;
}

static bool within_limits(struct h2_head *head, size_t len, bool *ret_take)
{
    head->bytes += (uint32_t)MIN(len, (size_t)LIMIT_HEADER_BYTES + 1);
    *ret_take = head->bytes <= LIMIT_HEADER_BYTES && head->count <= LIMIT_HEADER_COUNT;
    if (*ret_take)
        return true;
    if (head->kind != H2_REQUEST || head->bytes > 4 * LIMIT_HEADER_BYTES ||
        head->count > 4 * LIMIT_HEADER_COUNT) {
        head->is_large = head->kind != H2_REQUEST;
        return malformed(head, "header_limit");
    }
    return refuse(head, 431, "header_limit");
}

bool h2_message_field(struct h2_head *head, struct message *message, struct arena *arena,
                      struct text name, struct text value)
{
    bool pseudo = name.len > 0 && name.data[0] == ':', take;
    head->count += !pseudo;
    if (!within_limits(head, name.len + value.len, &take))
        return false;
    if (!take)
        return true;
    if (!value_is_valid(value))
        return malformed(head, "field_value");
    if (pseudo)
        return take_pseudo(head, arena, name, value);
    head->regular_seen = true;
    enum name_id id = name_lookup(name);
    if (id == NAME_OTHER ? !name_is_valid(name) : !text_equal(name, name_text(id)))
        return malformed(head, "field_name");
    bool keep = true;
    if (id != NAME_OTHER && !take_known(head, message, arena, id, value, &keep))
        return false;
    if (id == NAME_OTHER && head->kind == H2_REQUEST && field_is_alias(name))
        return malformed(head, "underscore_alias");
    if (head->kind == H2_TRAILERS)
        keep = keep && field_may_trail(id, name) && !field_is_alias(name);
    if (keep)
        message_add_known(message, arena, id,
                          id == NAME_OTHER ? arena_text(arena, name) : name_text(id),
                          arena_text(arena, value));
    return true;
}

/* RFC 9113 8.2.3: crumbs become one field with "; " between. */
static void join_cookies(struct message *message, struct arena *arena)
{
    size_t len = 0, at = 0;
    for (uint32_t i = 0; i < message->field_count; i++)
        if (message->fields[i].id == NAME_COOKIE)
            len += message->fields[i].value.len + 2;
    char *joined = arena_alloc(arena, len);
    for (uint32_t i = 0; i < message->field_count; i++) {
        struct text value = message->fields[i].value;
        if (message->fields[i].id != NAME_COOKIE || value.len == 0) /* "; " must not be the end */
            continue;
        if (at > 0) {
            memcpy(joined + at, "; ", 2);
            at += 2;
        }
        memcpy(joined + at, value.data, value.len);
        at += value.len;
    }
    message_set(message, arena, name_text(NAME_COOKIE), text_from(joined, at));
}

static void set_framing(const struct h2_head *head, struct message *message, bool end)
{
    if (head->has_length)
        message->framing = FRAMING_LENGTH;
    else
        message->framing = end ? FRAMING_NONE : FRAMING_CHUNKED;
}

static bool set_authority(struct h2_head *head, struct message *message, struct arena *arena,
                          const struct h2_facts *facts)
{
    const char *why = NULL;
    if (!head->has_authority && !head->has_host)
        return refuse(head, 400, "host_missing");
    if (head->has_authority && head->has_host && !text_equal_nocase(head->authority, head->host))
        return refuse(head, 400, "host_differs");
    struct text authority = head->has_authority ? head->authority : head->host;
    if (facts->any_authority)
        message->authority = message->host = arena_text(arena, authority);
    else if (!url_parse_authority(arena, authority, message, &why))
        return refuse(head, 400, why);
    return true;
}

static bool end_connect(struct h2_head *head, struct message *message, struct arena *arena,
                        const struct h2_facts *facts)
{
    if (head->has_scheme || head->has_path || !head->has_authority || head->has_length)
        return malformed(head, "connect"); /* RFC 9113 8.5 */
    message->framing = FRAMING_TUNNEL;
    message->path = message->query = TEXT("");
    return set_authority(head, message, arena, facts);
}

/* RFC 8441 5: from here on it looks like the request that HTTP/1 would have brought. */
static bool begin_websocket(struct h2_head *head, struct message *message, struct arena *arena,
                            const struct h2_facts *facts)
{
    if (message->method != METHOD_CONNECT || facts->end || head->has_length)
        return malformed(head, "connect");
    if (!text_equal_nocase(head->protocol, TEXT("websocket")))
        return refuse(head, 501, "connect_protocol");
    const struct field *version = message_find(message, TEXT("sec-websocket-version"));
    if (version == NULL || !text_is(version->value, "13"))
        return refuse(head, 400, "websocket_version");
    message->method = METHOD_GET;
    message->method_name = TEXT("GET");
    message->wants_upgrade = true;
    message->upgrade = TEXT("websocket");
    message_set(message, arena, TEXT("sec-websocket-key"), websocket_key(arena));
    return true;
}

static bool end_request(struct h2_head *head, struct message *message, struct arena *arena,
                        const struct h2_facts *facts)
{
    const char *why = NULL;
    if (!head->has_method || !h1_parse_is_token(head->method))
        return malformed(head, "method");
    message->method_name = head->method;
    message->method = message_method(head->method);
    message->scheme = facts->tls ? TEXT("https") : TEXT("http");
    if (head->has_protocol) {
        if (!begin_websocket(head, message, arena, facts))
            return false;
        if (!message->wants_upgrade)
            return true;
    }
    if (message->method == METHOD_CONNECT)
        return end_connect(head, message, arena, facts);
    if (!head->has_scheme || !head->has_path)
        return malformed(head, "pseudo_missing");
    if (!text_equal_nocase(head->scheme, TEXT("http")) &&
        !text_equal_nocase(head->scheme, TEXT("https")))
        return malformed(head, "scheme");
    struct text path = head->path;
    if (path.len == 0 || (path.data[0] != '/' && !text_is(path, "*")))
        return malformed(head, "target_form");
    if (head->has_length && facts->end && message->content_length > 0)
        return malformed(head, "content_length_short");
    if (!url_parse_target(arena, path, facts->merge_slashes, message, &why))
        return refuse(head, 400, why);
    if (head->cookies > 1)
        join_cookies(message, arena);
    set_framing(head, message, facts->end || message->wants_upgrade);
    return set_authority(head, message, arena, facts);
}

static bool end_response(struct h2_head *head, struct message *message,
                         const struct h2_facts *facts)
{
    uint64_t status = 0;
    if (!head->has_status || head->status.len != 3 || !text_to_u64(head->status, &status) ||
        status < 100 || status > 599 || status == 101)
        return malformed(head, "status");
    if (status < 200 && (facts->end || head->has_length))
        return malformed(head, "informational");
    message->status = (int)status;
    message->reason = message_reason(message->status);
    if (status == 204)
        head->has_length = false;
    set_framing(head, message, facts->end);
    return true;
}

bool h2_message_end(struct h2_head *head, struct message *message, struct arena *arena,
                    const struct h2_facts *facts)
{
    if (head->refuse == 431)
        return true; /* fields are missing: nothing else can be said */
    switch (head->kind) {
    case H2_REQUEST:
        return end_request(head, message, arena, facts);
    case H2_RESPONSE:
        return end_response(head, message, facts);
    case H2_TRAILERS:
        break;
    }
    return facts->end ? true : malformed(head, "trailers_without_end");
}

/* ---- out ---- */

static void put(struct h2_field *fields, size_t *count, struct text name, struct text value)
{
    fields[(*count)++] = (struct h2_field){name, value};
}

static void put_request(const struct message *message, bool tls, struct arena *arena,
                        struct h2_field *fields, size_t *count)
{
    put(fields, count, TEXT(":method"), arena_text(arena, message->method_name));
    if (message->method != METHOD_CONNECT) {
        put(fields, count, TEXT(":scheme"), tls ? TEXT("https") : TEXT("http"));
        if (message->has_query)
            put(fields, count, TEXT(":path"),
                arena_printf(arena, TEXT_FMT "?" TEXT_FMT, TEXT_ARG(message->path),
                             TEXT_ARG(message->query)));
        else
            put(fields, count, TEXT(":path"), arena_text(arena, message->path));
    }
    if (message->authority.len > 0)
        put(fields, count, TEXT(":authority"), arena_text(arena, message->authority));
    if (message->expect_continue)
        put(fields, count, TEXT("expect"), TEXT("100-continue"));
}

static bool goes_out(const struct field *field)
{
    switch (field->id) {
    case NAME_CONNECTION:
    case NAME_KEEP_ALIVE:
    case NAME_PROXY_CONNECTION:
    case NAME_TRANSFER_ENCODING:
    case NAME_UPGRADE:
    case NAME_HTTP2_SETTINGS:
    case NAME_CONTENT_LENGTH:
    case NAME_HOST:
    case NAME_EXPECT:
        return false;
    case NAME_OTHER: /* RFC 8441 5: it was for a key that the peer did not send */
        return !text_equal_nocase(field->name, TEXT("sec-websocket-accept"));
    case NAME_TE:
        return text_equal_nocase(field->value, TEXT("trailers"));
    default:
        return true;
    }
}

/* What came over HTTP/1 may have capitals. */
static struct text lower_name(const struct field *field, struct arena *arena)
{
    if (field->id != NAME_OTHER)
        return name_text(field->id);
    char *low = arena_string(arena, field->name);
    for (size_t i = 0; i < field->name.len; i++)
        if (low[i] >= 'A' && low[i] <= 'Z')
            low[i] |= 0x20;
    return text_from(low, field->name.len);
}

struct h2_field *h2_message_fields(const struct message *message, enum h2_kind kind, bool tls,
                                   struct arena *arena, size_t *ret_count)
{
    struct h2_field *fields = arena_array(arena, struct h2_field, message->field_count + 8);
    size_t count = 0;
    if (kind == H2_REQUEST)
        put_request(message, tls, arena, fields, &count);
    else if (kind == H2_RESPONSE)
        put(fields, &count, TEXT(":status"),
            message->status == 101 ? TEXT("200") /* RFC 8441 5 */
                                   : arena_u64(arena, (uint64_t)message->status));
    if (kind != H2_TRAILERS && message->framing == FRAMING_LENGTH)
        put(fields, &count, TEXT("content-length"), arena_u64(arena, message->content_length));
    for (uint32_t i = 0; i < message->field_count; i++)
        if (goes_out(&message->fields[i]))
            put(fields, &count, lower_name(&message->fields[i], arena),
                arena_text(arena, message->fields[i].value));
    *ret_count = count;
    return fields;
}
