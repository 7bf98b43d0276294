/* Serving gRPC: connections, and which method a request calls. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "grpc/call.h"

struct grpc_server {
    struct loop *loop;
    const struct grpc_method *methods; /* borrows */
    size_t method_count;
    const struct grpc_server_events *events; /* borrows; may be NULL */
    void *owner;
    struct grpc_peer *peers; /* owns */
    size_t peer_count;
};

struct grpc_peer {
    struct grpc_server *server; /* borrows; NULL: it is gone */
    struct http_connection *connection;
    struct grpc_peer *next, *prev;
    bool asked, allowed;
};

static const struct http_settings SETTINGS = {
    .body_ms = UINT32_MAX, /* a call may be silent for as long as it wants */
    .version = HTTP_2,
    .stream_window = LIMIT_GRPC_WINDOW,
    .any_authority = true, /* over a Unix socket some clients name its path there */
};

static bool is_allowed(struct grpc_peer *peer)
{
    const struct grpc_server_events *events = peer->server->events;
    if (!peer->asked) {
        peer->asked = true;
        peer->allowed = events == NULL || events->on_connect == NULL ||
                        events->on_connect(peer->server->owner, peer->connection);
    }
    return peer->allowed;
}

static const struct grpc_method *find(const struct grpc_server *server, struct text path)
{
    for (size_t i = 0; i < server->method_count; i++)
        if (text_is(path, server->methods[i].path))
            return &server->methods[i];
    return NULL;
}

/* Not gRPC at all: an HTTP status (gRPC over HTTP/2, "Requests"). */
static bool is_grpc(struct http_stream *stream, const struct message *head)
{
    struct message answer;
    message_init(&answer);
    answer.framing = FRAMING_LENGTH;
    struct text type = message_value(head, NAME_CONTENT_TYPE);
    bool typed = text_is(type, "application/grpc") ||
                 text_starts_with(type, TEXT("application/grpc+")) ||
                 text_starts_with(type, TEXT("application/grpc;"));
    if (head->method == METHOD_POST && typed)
        return true;
    answer.status = head->method == METHOD_POST ? 415 : 405;
    http_stream_send_head(stream, &answer, true);
    if (!stream->read_ended)
        http_stream_reset(stream, ERR_NONE);
    return false;
}

static void start_deadline(struct grpc_exchange *exchange, const struct message *head)
{
    uint64_t ms;
    struct text timeout = message_value(head, NAME_GRPC_TIMEOUT);
    if (timeout.len == 0)
        return;
    if (!grpc_timeout_parse(timeout, &ms))
        grpc_finish(&exchange->call, GRPC_INTERNAL, "grpc-timeout is malformed");
    else
        loop_arm(exchange->call.stream->connection->loop, &exchange->timer, ms);
}

static void on_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    struct grpc_peer *peer = owner;
    struct grpc_server *server = peer->server;
    if (server == NULL || !is_grpc(stream, head))
        return;
    struct grpc_exchange *exchange = grpc_call_new(stream, head->path, true);
    struct grpc_call *call = &exchange->call;
    http_stream_own(stream, &grpc_call_events, exchange);
    const struct grpc_method *method = find(server, head->path);
    if (!is_allowed(peer)) {
        grpc_finish(call, GRPC_PERMISSION_DENIED, "this connection may not call");
        http_drain(peer->connection, 0);
        return;
    }
    if (method == NULL) {
        grpc_finish(call, GRPC_UNIMPLEMENTED, "unknown method");
        return;
    }
    method->on_call(server->owner, call);
    if (call->events == NULL) {
        grpc_finish(call, GRPC_INTERNAL, "nobody took the call");
        return;
    }
    start_deadline(exchange, head);
    if (end && !exchange->over)
        grpc_call_events.on_readable(exchange, stream);
}

/* Streams that never became a call. */
static void on_nothing(void *owner, struct http_stream *stream)
{
    (void)owner;
    (void)stream;
}

static void on_abort(void *owner, struct http_stream *stream, enum err err)
{
    (void)owner;
    (void)stream;
    (void)err;
}

static const struct http_stream_events STREAM_EVENTS = {
    .on_head = on_head,
    .on_readable = on_nothing,
    .on_writable = on_nothing,
    .on_abort = on_abort,
    .on_closed = on_nothing,
};

static void on_stream(void *owner, struct http_stream *stream)
{
    http_stream_own(stream, &STREAM_EVENTS, owner);
}

static void on_closed(void *owner, struct http_connection *connection, enum err err)
{
    (void)connection;
    (void)err;
    struct grpc_peer *peer = owner;
    struct grpc_server *server = peer->server;
    if (server != NULL) {
        server->peer_count--;
        if (peer->prev != NULL)
            peer->prev->next = peer->next;
        else
            server->peers = peer->next;
        if (peer->next != NULL)
            peer->next->prev = peer->prev;
    }
    free(peer);
}

static const struct http_connection_events EVENTS = {
    .on_stream = on_stream,
    .on_closed = on_closed,
};

struct grpc_server *grpc_server_new(struct loop *loop, const struct grpc_method *methods,
                                    size_t count, const struct grpc_server_events *events,
                                    void *owner)
{
    struct grpc_server *server = memory_new(struct grpc_server);
    server->loop = loop;
    server->methods = methods;
    server->method_count = count;
    server->events = events;
    server->owner = owner;
    return server;
}

void grpc_server_accept(struct grpc_server *server, int fd, const struct address *address,
                        struct tls_context *tls)
{
    struct grpc_peer *peer = memory_new(struct grpc_peer);
    peer->server = server;
    peer->connection = http_serve(server->loop, fd, address, tls, &SETTINGS, &EVENTS, peer);
    if (peer->connection == NULL) {
        free(peer);
        return;
    }
    peer->next = server->peers;
    if (peer->next != NULL)
        peer->next->prev = peer;
    server->peers = peer;
    server->peer_count++;
}

size_t grpc_server_connections(const struct grpc_server *server)
{
    return server->peer_count;
}

void grpc_server_free(struct grpc_server *server)
{
    if (server == NULL)
        return;
    for (struct grpc_peer *peer = server->peers; peer != NULL; peer = peer->next) {
        peer->server = NULL;
        http_close(peer->connection, ERR_CLOSED);
    }
    free(server);
}
