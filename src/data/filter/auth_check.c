/* CheckRequest and CheckResponse, between the wire and the exchange. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/filter/auth_check.h"

#include "base/limits.h"
#include "data/filter/header_edit.h"
#include "grpc/frame.h"
#include "schema/pack.h"
#include "schema/unpack.h"

typedef Envoy__Service__Auth__V3__AttributeContext Attributes; /* generated, shortened */
typedef Envoy__Service__Auth__V3__AttributeContext__HttpRequest HttpRequest;
typedef Envoy__Service__Auth__V3__AttributeContext__HttpRequest__HeadersEntry Entry;
typedef Envoy__Service__Auth__V3__AttributeContext__Peer Peer;
typedef Envoy__Service__Auth__V3__HeaderValueOption Option;

/* -- asking -- */

/* Protobuf strings are UTF-8: of other values the bytes that cannot be told become '!'. */
static char *string_of(struct arena *arena, struct text text)
{
    char *copy = arena_string(arena, text);
    size_t bad = unpack_is_utf8(text) ? 0 : text.len;
    for (size_t i = 0; i < bad; i++)
        if ((unsigned char)(copy[i] - 1) >= 0x7f)
            copy[i] = '!';
    return copy;
}

static char *lower_string_of(struct arena *arena, struct text text)
{
    char *copy = string_of(arena, text);
    for (size_t i = 0; i < text.len; i++)
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] | 0x20);
    return copy;
}

static bool is_first(const struct message *told, uint32_t at)
{
    return message_find(told, told->fields[at].name) == &told->fields[at];
}

/* All of one name, joined as RFC 9110 5.3 allows, or RFC 9113 8.2.3 for cookies. */
static struct text joined_value(struct arena *arena, const struct message *told, uint32_t first)
{
    const struct field *field = &told->fields[first];
    struct text comma = field->id == NAME_COOKIE ? TEXT("; ") : TEXT(",");
    size_t room = 1, len = 0;
    for (uint32_t i = first; i < told->field_count; i++)
        room += told->fields[i].value.len + comma.len;
    char *all = arena_alloc(arena, room);
    for (uint32_t i = first; i < told->field_count; i++) {
        struct text value = told->fields[i].value;
        if (!text_equal_nocase(told->fields[i].name, field->name))
            continue;
        if (i > first)
            memcpy(all + len, comma.data, comma.len);
        len += i > first ? comma.len : 0;
        if (value.len > 0)
            memcpy(all + len, value.data, value.len);
        len += value.len;
    }
    return text_from(all, len);
}

static void add_headers(struct arena *arena, const struct message *told, HttpRequest *http)
{
    http->headers = arena_array(arena, Entry *, told->field_count + 1);
    for (uint32_t i = 0; i < told->field_count; i++) {
        if (!is_first(told, i))
            continue;
        Entry *made = arena_new(arena, Entry);
        envoy__service__auth__v3__attribute_context__http_request__headers_entry__init(made);
        made->key = lower_string_of(arena, told->fields[i].name);
        made->value = string_of(arena, joined_value(arena, told, i));
        http->headers[http->n_headers++] = made;
    }
}

static HttpRequest *make_http(struct exchange *x, const struct message *told, struct text body)
{
    struct arena *arena = x->arena;
    const struct message *request = x->request;
    HttpRequest *http = arena_new(arena, HttpRequest);
    envoy__service__auth__v3__attribute_context__http_request__init(http);
    http->id = string_of(arena, message_value(request, NAME_X_REQUEST_ID));
    http->method = string_of(arena, request->method_name);
    http->path = string_of(arena, request->path);
    if (request->has_query)
        http->path =
            string_of(arena, arena_printf(arena, TEXT_FMT "?" TEXT_FMT, TEXT_ARG(request->path),
                                          TEXT_ARG(request->query)));
    http->host = string_of(arena, request->authority);
    http->scheme = string_of(arena, request->scheme);
    http->protocol = string_of(arena, request->version >= 20   ? TEXT("HTTP/2")
                                      : request->version == 10 ? TEXT("HTTP/1.0")
                                                               : TEXT("HTTP/1.1"));
    http->size = request->framing == FRAMING_LENGTH ? (int64_t)request->content_length
                 : request->framing == FRAMING_NONE ? 0
                                                    : -1;
    if (unpack_is_utf8(body))
        http->body = string_of(arena, body);
    else
        http->raw_body = (ProtobufCBinaryData){body.len, (uint8_t *)(uintptr_t)body.data};
    add_headers(arena, told, http);
    return http;
}

static Peer *make_peer(struct arena *arena, const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    Peer *made = arena_new(arena, Peer);
    Envoy__Service__Auth__V3__Address *outer = arena_new(arena, Envoy__Service__Auth__V3__Address);
    Envoy__Service__Auth__V3__SocketAddress *inner =
        arena_new(arena, Envoy__Service__Auth__V3__SocketAddress);
    envoy__service__auth__v3__attribute_context__peer__init(made);
    envoy__service__auth__v3__address__init(outer);
    envoy__service__auth__v3__socket_address__init(inner);
    inner->address = arena_string(arena, address_format_host(address, text));
    inner->port_value = address_port(address);
    outer->socket_address = inner;
    made->address = outer;
    return made;
}

static struct text frame(struct arena *arena, struct text message)
{
    unsigned char *out = arena_alloc(arena, GRPC_FRAME_HEAD + message.len);
    grpc_frame_head(out, message.len);
    if (message.len > 0)
        memcpy(out + GRPC_FRAME_HEAD, message.data, message.len);
    return text_from((const char *)out, GRPC_FRAME_HEAD + message.len);
}

struct text auth_check_ask(struct exchange *x, const struct message *told, struct text body)
{
    struct arena *arena = x->arena;
    uint64_t now_ns = loop_wall_ns(x->loop);
    Envoy__Service__Auth__V3__CheckRequest ask = ENVOY__SERVICE__AUTH__V3__CHECK_REQUEST__INIT;
    Attributes about = ENVOY__SERVICE__AUTH__V3__ATTRIBUTE_CONTEXT__INIT;
    Envoy__Service__Auth__V3__AttributeContext__Request request =
        ENVOY__SERVICE__AUTH__V3__ATTRIBUTE_CONTEXT__REQUEST__INIT;
    Envoy__Service__Auth__V3__AttributeContext__TLSSession tls =
        ENVOY__SERVICE__AUTH__V3__ATTRIBUTE_CONTEXT__TLSSESSION__INIT;
    Envoy__Service__Auth__V3__Timestamp time = ENVOY__SERVICE__AUTH__V3__TIMESTAMP__INIT;
    time.seconds = (int64_t)(now_ns / UINT64_C(1000000000));
    time.nanos = (int32_t)(now_ns % UINT64_C(1000000000));
    request.time = &time;
    request.http = make_http(x, told, body);
    about.request = &request;
    about.source = make_peer(arena, &x->peer);
    if (x->client != NULL) {
        struct stream *stream = &x->client->connection->stream;
        struct address local = stream_local(stream);
        about.destination = make_peer(arena, &local);
        if (stream->tls != NULL) {
            tls.sni = string_of(arena, stream_server_name(stream));
            about.tls_session = &tls;
        }
    }
    ask.attributes = &about;
    return frame(arena, schema_pack(&ask, arena));
}

void auth_check_head(struct message *head, struct text authority, uint32_t timeout_ms,
                     struct arena *arena)
{
    message_init(head);
    head->method = METHOD_POST;
    head->method_name = TEXT("POST");
    head->scheme = TEXT("http");
    head->authority = head->host = authority;
    head->path = TEXT("/envoy.service.auth.v3.Authorization/Check");
    head->framing = FRAMING_CHUNKED;
    message_add(head, arena, name_text(NAME_TE), TEXT("trailers"));
    message_add(head, arena, name_text(NAME_CONTENT_TYPE), TEXT("application/grpc"));
    message_add(head, arena, name_text(NAME_USER_AGENT), TEXT("nantian-grpc"));
    message_add(head, arena, name_text(NAME_GRPC_TIMEOUT), arena_printf(arena, "%um", timeout_ms));
}

/* -- the answer -- */

Envoy__Service__Auth__V3__CheckResponse *auth_check_read(const struct inquiry *inquiry,
                                                         struct arena *arena, const char **ret_why)
{
    const struct message *end = &inquiry->trailers;
    struct text message;
    size_t len;
    void *answer = NULL;
    if (message_get(end, NAME_GRPC_STATUS) == NULL)
        end = &inquiry->head; /* trailers only */
    *ret_why = "external_auth_error";
    if (inquiry->head.status != 200 || !text_is(message_value(end, NAME_GRPC_STATUS), "0"))
        return NULL;
    *ret_why = "external_auth_protocol_error";
    if (grpc_frame_read(buffer_text(&inquiry->answer), LIMIT_INQUIRY_ANSWER, &message, &len) !=
            GRPC_FRAME_WHOLE ||
        len != buffer_len(&inquiry->answer) ||
        schema_unpack(&envoy__service__auth__v3__check_response__descriptor, message, arena,
                      &answer) != ERR_NONE)
        return NULL;
    return answer;
}

static void apply_one(const Option *from, struct message *message, struct arena *arena)
{
    if (from->header == NULL)
        return;
    struct text name = text_of(from->header->key), value = text_of(from->header->value);
    if (from->header->raw_value.len > 0)
        value = unpack_bytes(&from->header->raw_value);
    if (!header_edit_may(name, value))
        return;
    bool exists = message_find(message, name) != NULL;
    if (from->append_action ==
            ENVOY__SERVICE__AUTH__V3__HEADER_VALUE_OPTION__APPEND_ACTION__ADD_IF_ABSENT &&
        exists)
        return;
    if (from->append_action ==
            ENVOY__SERVICE__AUTH__V3__HEADER_VALUE_OPTION__APPEND_ACTION__OVERWRITE_IF_EXISTS &&
        !exists)
        return;
    if (from->append != NULL && from->append->value)
        message_add(message, arena, name, value);
    else
        message_set(message, arena, name, value);
}

void auth_check_apply(Option *const *options, size_t count, struct message *message,
                      struct arena *arena)
{
    for (size_t i = 0; i < count; i++)
        apply_one(options[i], message, arena);
}
