/* Heads and bodies written anew from their parsed form: canonical framing, no hop-by-hop fields, no
 * byte that could end a line. Everything goes to the link's buffer; large bodies past it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/bytes16.h"
#include "base/limits.h"
#include "http/h1_codec.h"

static struct http_link *link_of(const struct h1_stream *h)
{
    return http_link_of(h->stream.connection);
}

static char *put(char *at, struct text text)
{
    if (text.len > 0)
        memcpy(at, text.data, text.len);
    return at + text.len;
}

#define PUT(at, literal) put(at, TEXT(literal))

static char *put_number(char *at, uint64_t value)
{
    char room[TEXT_DIGITS];
    return put(at, text_from_u64(value, room));
}

/* No control byte but tabs: checked many at a time, since every field passes here. */
static bool is_clean(struct text text)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    size_t i = 0;
    if (text.len >= 16) { /* the last bytes with some that were seen before */
        bytes16 low = bytes16_at(text.data + text.len - 16) < 0x20;
        for (; i + 16 < text.len; i += 16)
            low |= bytes16_at(text.data + i) < 0x20;
        if (LIKELY(!bytes16_any(low)))
            return true;
    } else if (text.len >= 8) {
        uint64_t first, last;
        memcpy(&first, text.data, sizeof(first));
        memcpy(&last, text.data + text.len - 8, sizeof(last));
        if (LIKELY(((((first - ones * 0x20) & ~first) | ((last - ones * 0x20) & ~last)) & high) ==
                   0))
            return true;
    }
    for (i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < 0x20 && text.data[i] != '\t')
            return false;
    return true;
}

/* Fields that this file writes itself, or that never leave a hop. */
static bool is_ours(enum name_id id)
{
    switch (id) {
    case NAME_CONNECTION:
    case NAME_CONTENT_LENGTH:
    case NAME_HOST:
    case NAME_HTTP2_SETTINGS:
    case NAME_KEEP_ALIVE:
    case NAME_PROXY_CONNECTION:
    case NAME_TRANSFER_ENCODING:
    case NAME_UPGRADE:
        return true;
    default:
        return false;
    }
}

static size_t fields_size(const struct message *head)
{
    size_t size = 0;
    for (uint32_t i = 0; i < head->field_count; i++)
        size += head->fields[i].name.len + head->fields[i].value.len + 4;
    return size;
}

static char *put_field(char *at, const struct field *field)
{
    if (UNLIKELY((field->id == NAME_OTHER && (field->name.len == 0 || !is_clean(field->name))) ||
                 !is_clean(field->value)))
        return at;
    at = put(at, field->name);
    at = PUT(at, ": ");
    at = put(at, field->value);
    return PUT(at, "\r\n");
}

static char *put_fields(char *at, const struct message *head)
{
    for (uint32_t i = 0; i < head->field_count; i++)
        if (!is_ours(head->fields[i].id))
            at = put_field(at, &head->fields[i]);
    return at;
}

static char *put_framing(char *at, enum framing framing, uint64_t length)
{
    if (framing == FRAMING_CHUNKED)
        return PUT(at, "transfer-encoding: chunked\r\n");
    if (framing != FRAMING_LENGTH)
        return at;
    at = PUT(at, "content-length: ");
    at = put_number(at, length);
    return PUT(at, "\r\n");
}

static void sent(struct h1_stream *h, size_t len, const char *start)
{
    struct http_link *link = link_of(h);
    CHECK((size_t)(start + len - link->out.data) <= link->out.cap);
    link->out.end += (uint32_t)len;
    http_link_flush(link);
}

static bool is_dead(const struct h1_stream *h)
{
    return h->stream.aborted || link_of(h)->ended || h->in_err != ERR_NONE;
}

static char *put_status(char *at, const struct message *head)
{
    struct text reason = head->reason;
    if (reason.len == 0 || reason.len > 128 || !is_clean(reason))
        reason = message_reason(head->status);
    at = PUT(at, "HTTP/1.1 ");
    at = put_number(at, (uint64_t)head->status);
    *at++ = ' ';
    at = put(at, reason);
    return PUT(at, "\r\n");
}

void h1_write_informational(struct http_stream *stream, const struct message *head)
{
    struct h1_stream *h = h1_stream_of(stream);
    if (is_dead(h) || stream->head_sent || stream->head.version < 11)
        return;
    if (head->status == 100)
        h->continue_due = false;
    char *start = buffer_reserve(&link_of(h)->out, 256 + fields_size(head)), *at = start;
    at = put_status(at, head);
    at = put_fields(at, head);
    at = PUT(at, "\r\n");
    sent(h, (size_t)(at - start), start);
}

/* How the answer's body goes to this client; RFC 9112 6.1, 6.3. */
static void choose_framing(struct h1_stream *h, const struct message *head, bool end)
{
    bool body = h1_head_has_body(head, h->head_only ? METHOD_HEAD : METHOD_GET);
    h->out_bodyless = !body;
    h->out_left = head->content_length;
    h->out_framing = head->framing;
    if (head->status == 101)
        h->out_framing = FRAMING_TUNNEL;
    else if (!body && head->framing != FRAMING_LENGTH)
        h->out_framing = FRAMING_NONE;
    else if (body && end) {
        h->out_framing = FRAMING_LENGTH;
        h->out_left = 0;
    } else if (body && head->framing != FRAMING_LENGTH)
        h->out_framing = h->stream.head.version >= 11 ? FRAMING_CHUNKED : FRAMING_CLOSE;
    if (head->status == 204)
        h->out_framing = FRAMING_NONE;
    if (h->out_framing == FRAMING_TUNNEL)
        h->out_bodyless = false;
}

/* Both directions become raw bytes. */
static void switch_in(struct h1_stream *h)
{
    h->in_framing = FRAMING_TUNNEL;
    h->in_switched = true;
    h->stream.read_ended = false;
    stream_resume(&h->stream.connection->stream);
}

static char *put_connection(char *at, struct h1_stream *h, const struct message *head)
{
    if (h->out_framing == FRAMING_TUNNEL) {
        at = PUT(at, "connection: upgrade\r\nupgrade: ");
        at = put(at, is_clean(head->upgrade) ? head->upgrade : TEXT(""));
        return PUT(at, "\r\n");
    }
    if (!h->reuse)
        return PUT(at, "connection: close\r\n");
    return h->stream.head.version < 11 ? PUT(at, "connection: keep-alive\r\n") : at;
}

/* The connection goes on only if the rest of the request is here or ended already: a client that
 * is still sending would otherwise be read for ever, or for nothing. */
static void judge_reuse(struct h1_stream *h)
{
    int status;
    const char *why;
    if (h->out_framing == FRAMING_CLOSE || h->stream.connection->draining ||
        (!h->stream.read_ended && h1_body_look(h, &status, &why) != ERR_NONE))
        h->reuse = false;
}

void h1_write_response(struct http_stream *stream, const struct message *head, bool end)
{
    struct h1_stream *h = h1_stream_of(stream);
    if (is_dead(h) || stream->head_sent)
        return;
    CHECK(head->status >= 200 || head->status == 101);
    choose_framing(h, head, end);
    if (h->out_framing != FRAMING_TUNNEL)
        judge_reuse(h);
    struct http_link *link = link_of(h);
    char *start = buffer_reserve(&link->out, 384 + fields_size(head) + head->upgrade.len);
    char *at = put_status(start, head);
    at = put_fields(at, head);
    at = put_framing(at, h->out_framing, h->out_left);
    at = put_connection(at, h, head);
    at = PUT(at, "\r\n");
    stream->head_sent = true;
    h->continue_due = false;
    bool tunnel = h->out_framing == FRAMING_TUNNEL;
    stream->write_ended = !tunnel && end;
    sent(h, (size_t)(at - start), start);
    if (tunnel)
        switch_in(h);
}

static struct text method_of(const struct message *head)
{
    bool usable = h1_parse_is_token(head->method_name);
    return usable ? head->method_name : TEXT("GET");
}

static bool expects_body(enum method method)
{
    return method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH;
}

static char *put_request_line(char *at, const struct message *head)
{
    at = put(at, method_of(head));
    *at++ = ' ';
    at = put(at, head->path);
    if (head->has_query) {
        *at++ = '?';
        at = put(at, head->query);
    }
    at = PUT(at, " HTTP/1.1\r\nhost: ");
    at = put(at, head->authority);
    return PUT(at, "\r\n");
}

static bool is_target(struct text text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] <= ' ')
            return false;
    return true;
}

static void request_framing(struct h1_stream *h, const struct message *head, bool end)
{
    h->out_framing = head->framing;
    h->out_left = head->content_length;
    bool empty = end || head->framing == FRAMING_NONE ||
                 (head->framing == FRAMING_LENGTH && head->content_length == 0);
    if (empty) {
        h->out_framing =
            expects_body(message_method(method_of(head))) ? FRAMING_LENGTH : FRAMING_NONE;
        h->out_left = 0;
    } else if (head->framing != FRAMING_LENGTH) {
        h->out_framing = FRAMING_CHUNKED;
    }
    h->stream.write_ended = empty;
}

void h1_write_request(struct http_stream *stream, const struct message *head, bool end)
{
    struct h1_stream *h = h1_stream_of(stream);
    struct http_link *link = link_of(h);
    if (is_dead(h) || stream->head_sent)
        return;
    if (!is_target(head->path) || !is_target(head->query) || !is_target(head->authority) ||
        head->path.len == 0) {
        http_link_fail(link, ERR_INVALID, "request target");
        return;
    }
    h->method = message_method(method_of(head));
    h->wants_upgrade = head->wants_upgrade && is_clean(head->upgrade);
    if (h->wants_upgrade)
        h->upgrade = arena_text(&stream->arena, head->upgrade);
    request_framing(h, head, end);
    size_t size = 384 + fields_size(head) + head->path.len + head->query.len + head->authority.len +
                  head->upgrade.len + head->method_name.len;
    char *start = buffer_reserve(&link->out, size);
    char *at = put_request_line(start, head);
    at = put_fields(at, head);
    at = put_framing(at, h->out_framing, h->out_left);
    if (h->wants_upgrade) {
        at = PUT(at, "connection: upgrade\r\nupgrade: ");
        at = put(at, h->upgrade);
        at = PUT(at, "\r\n");
    } else if (message_get(head, NAME_TE) != NULL) {
        at = PUT(at, "connection: te\r\n");
    }
    at = PUT(at, "\r\n");
    stream->head_sent = true;
    sent(h, (size_t)(at - start), start);
}

/* Our direction is complete. */
static void end_out(struct h1_stream *h)
{
    struct http_link *link = link_of(h);
    if (h->out_framing == FRAMING_CHUNKED && !h->out_bodyless)
        buffer_add(&link->out, "0\r\n\r\n", 5);
    /* What was thrown away because the peer takes no more is not counted. */
    if (h->out_framing == FRAMING_LENGTH && !h->out_bodyless && h->out_left > 0 &&
        !link->write_broken) {
        http_stream_reset(&h->stream, ERR_PROTOCOL); /* shorter than promised: cut it visibly */
        return;
    }
    h->stream.write_ended = true;
    link->fin_when_flushed = h->out_framing == FRAMING_TUNNEL;
    http_link_flush(link);
}

static void add_chunk(struct buffer *out, struct text bytes)
{
    static const char hex[] = "0123456789abcdef";
    char size[18];
    size_t at = sizeof(size);
    size[--at] = '\n';
    size[--at] = '\r';
    uint64_t value = bytes.len;
    do
        size[--at] = hex[value & 15];
    while ((value >>= 4) > 0);
    buffer_reserve(out, bytes.len + sizeof(size) + 2);
    buffer_add(out, size + at, sizeof(size) - at);
    buffer_add(out, bytes.data, bytes.len);
    buffer_add(out, "\r\n", 2);
}

static size_t add_plain(struct http_link *link, struct text bytes)
{
    size_t taken = 0;
    if (bytes.len >= H1_WRITE_DIRECT)
        taken = http_link_write_through(link, bytes);
    size_t len = buffer_len(&link->out);
    size_t room = len < LIMIT_BODY_BUFFER ? LIMIT_BODY_BUFFER - len : 0;
    struct text rest = text_slice(bytes, taken, bytes.len);
    rest.len = MIN(rest.len, room);
    buffer_add(&link->out, rest.data, rest.len);
    return taken + rest.len;
}

size_t h1_write_body(struct http_stream *stream, struct text bytes, bool end)
{
    struct h1_stream *h = h1_stream_of(stream);
    struct http_link *link = link_of(h);
    if (is_dead(h) || stream->write_ended)
        return is_dead(h) ? 0 : bytes.len;
    CHECK(stream->head_sent);
    size_t taken = bytes.len, len = buffer_len(&link->out);
    if (h->out_framing == FRAMING_LENGTH && !h->out_bodyless && bytes.len > h->out_left) {
        http_stream_reset(stream,
                          ERR_PROTOCOL); /* longer than promised: nothing of it may follow */
        return 0;
    }
    if (!h->out_bodyless && !link->write_broken && bytes.len > 0) {
        taken = len >= LIMIT_BODY_BUFFER ? 0 : MIN(bytes.len, (size_t)LIMIT_BODY_BUFFER - len);
        if (h->out_framing != FRAMING_CHUNKED)
            taken = len >= LIMIT_BODY_BUFFER ? 0 : add_plain(link, bytes);
        else if (taken > 0)
            add_chunk(&link->out, text_slice(bytes, 0, taken));
        if (h->out_framing == FRAMING_LENGTH)
            h->out_left -= taken;
        stream->bytes_written += taken;
        http_link_flush(link);
    }
    if (taken < bytes.len)
        h->want_writable = true;
    else if (end)
        end_out(h);
    return taken;
}

void h1_write_trailers(struct http_stream *stream, const struct message *trailers)
{
    struct h1_stream *h = h1_stream_of(stream);
    struct http_link *link = link_of(h);
    if (is_dead(h) || stream->write_ended)
        return;
    CHECK(stream->head_sent);
    if (h->out_framing != FRAMING_CHUNKED || h->out_bodyless || trailers->field_count == 0) {
        end_out(h);
        return;
    }
    char *start = buffer_reserve(&link->out, 16 + fields_size(trailers));
    char *at = PUT(start, "0\r\n");
    at = put_fields(at, trailers);
    at = PUT(at, "\r\n");
    stream->write_ended = true;
    sent(h, (size_t)(at - start), start);
}

void h1_write_more(struct h1_stream *h)
{
    if (!h->want_writable || is_dead(h) || buffer_len(&link_of(h)->out) > LIMIT_BODY_BUFFER / 2)
        return;
    h->want_writable = false;
    h->stream.events->on_writable(h->stream.owner, &h->stream);
}

void h1_write_refusal(struct http_link *link, int status, const char *reason, bool head_only)
{
    struct text words = message_reason(status);
    const char *more = status == 405   ? "allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n"
                       : status == 426 ? "upgrade: websocket\r\nsec-websocket-version: 13\r\n"
                                       : "";
    char body[128], head[512];
    int body_len = snprintf(body, sizeof(body), "%d %.*s: %s\n", status, TEXT_ARG(words), reason);
    int head_len =
        snprintf(head, sizeof(head),
                 "HTTP/1.1 %d %.*s\r\ncontent-type: text/plain\r\n%s"
                 "content-length: %d\r\nconnection: close%s\r\n\r\n",
                 status, TEXT_ARG(words), more, body_len, status == 426 ? ", upgrade" : "");
    buffer_add(&link->out, head, (size_t)head_len);
    if (!head_only)
        buffer_add(&link->out, body, (size_t)body_len);
    http_link_flush(link);
}
