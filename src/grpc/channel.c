/* Calling gRPC: one connection and the calls on it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "grpc/call.h"

struct grpc_channel {
    struct http_connection *connection;       /* NULL: gone */
    const struct grpc_channel_events *events; /* NULL: freed, waits for its connection's end */
    void *owner;
    char *authority; /* owns */
    char *token;     /* owns; NULL: none */
    bool tls, ready;
};

static const struct http_settings SETTINGS = {
    .version = HTTP_2,
    .stream_window = LIMIT_GRPC_WINDOW,
    .ping_ms = LIMIT_GRPC_PING_MS,
};

static void free_channel(struct grpc_channel *channel)
{
    free(channel->authority);
    free(channel->token);
    free(channel);
}

static void on_ready(void *owner, struct http_connection *connection)
{
    struct grpc_channel *channel = owner;
    if (channel->events == NULL || channel->ready)
        return;
    channel->connection = connection;
    channel->ready = true;
    channel->events->on_ready(channel->owner, channel);
}

static void on_closed(void *owner, struct http_connection *connection, enum err err)
{
    struct grpc_channel *channel = owner;
    channel->connection = NULL;
    if (channel->events == NULL) {
        free_channel(channel);
        return;
    }
    channel->events->on_closed(channel->owner, channel,
                               connection->why == NULL ? err_name(err) : connection->why);
}

static const struct http_connection_events EVENTS = {
    .on_ready = on_ready,
    .on_closed = on_closed,
};

struct grpc_channel *grpc_channel_open(struct loop *loop, const struct address *to,
                                       struct tls_context *tls, struct text server_name,
                                       struct text authority,
                                       const struct grpc_channel_events *events, void *owner)
{
    struct grpc_channel *channel = memory_new(struct grpc_channel);
    channel->events = events;
    channel->owner = owner;
    channel->authority = memory_string(authority);
    channel->tls = tls != NULL;
    channel->connection = http_connect(loop, to, tls, server_name, 0, &SETTINGS, &EVENTS, channel);
    return channel;
}

void grpc_channel_free(struct grpc_channel *channel)
{
    if (channel == NULL)
        return;
    channel->events = NULL;
    if (channel->connection == NULL)
        free_channel(channel);
    else
        http_close(channel->connection, ERR_CLOSED);
}

void grpc_channel_authorize(struct grpc_channel *channel, struct text token)
{
    free(channel->token);
    channel->token = memory_string(token);
}

struct grpc_call *grpc_start(struct grpc_channel *channel, const char *method,
                             const struct grpc_events *events, void *owner)
{
    struct http_stream *stream =
        channel->connection == NULL ? NULL : http_open(channel->connection);
    if (stream == NULL)
        return NULL;
    struct grpc_exchange *exchange = grpc_call_new(stream, text_of(method), false);
    struct message head;
    message_init(&head);
    head.method = METHOD_POST;
    head.method_name = TEXT("POST");
    head.scheme = channel->tls ? TEXT("https") : TEXT("http");
    head.authority = head.host = text_of(channel->authority);
    head.path = exchange->call.method;
    head.framing = FRAMING_CHUNKED;
    message_add(&head, &stream->arena, name_text(NAME_TE), TEXT("trailers"));
    message_add(&head, &stream->arena, name_text(NAME_CONTENT_TYPE), TEXT("application/grpc"));
    message_add(&head, &stream->arena, name_text(NAME_USER_AGENT), TEXT("nantian-grpc"));
    if (channel->token != NULL)
        message_add(&head, &stream->arena, name_text(NAME_AUTHORIZATION),
                    arena_printf(&stream->arena, "Bearer %s", channel->token));
    exchange->call.events = events;
    exchange->call.owner = owner;
    http_stream_own(stream, &grpc_call_events, exchange);
    http_stream_send_head(stream, &head, false);
    return &exchange->call;
}
