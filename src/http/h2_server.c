/* Serving HTTP/2: requests that streams carry, and the answers that refuse some at the door. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "http/h2_internal.h"

static struct h2_stream *on_open(struct h2_link *h2, int32_t id)
{
    struct http_connection *connection = &h2->link->connection;
    if (connection->stream_count >= LIMIT_H2_STREAMS)
        return NULL;
    if (++connection->request_count >= LIMIT_H2_REQUESTS && !connection->draining)
        h2_connection_drain(h2->link);
    return h2_stream_new(h2, id);
}

static void tell_refused(struct h2_stream *stream, int status, const char *reason)
{
    struct http_connection *connection = &stream->h2->link->connection;
    if (connection->events->on_refused != NULL && !stream->told)
        connection->events->on_refused(connection->owner, connection, status, reason);
}

/* Answers without anybody above; a peer that needs many of these is cut off. */
static enum h2_code refuse(struct h2_stream *stream, bool end)
{
    struct h2_link *h2 = stream->h2;
    int status = stream->reading.refuse;
    const struct h2_field fields[] = {
        {TEXT(":status"), arena_u64(&stream->stream.arena, (uint64_t)status)},
        {TEXT("content-length"), TEXT("0")},
    };
    tell_refused(stream, status, stream->reading.reason);
    h2_session_blame(h2->session);
    h2_session_respond(h2->session, stream->id, fields, ARRAY_LEN(fields), NULL);
    stream->over = true;
    stream->remote_ended = end;
    stream->reset_when_sent = true;
    h2_stream_news(stream, H2_NEWS_CLOSED);
    return H2_NO_ERROR;
}

static enum h2_code on_head(struct h2_stream *stream, bool end)
{
    struct http_stream *public = &stream->stream;
    if (stream->reading.refuse != 0)
        return refuse(stream, end);
    public->head_received = true;
    stream->has_expected = stream->reading.has_length;
    stream->expected = public->head.content_length;
    h2_stream_news(stream, H2_NEWS_HEAD);
    return H2_NO_ERROR;
}

static void tell_head(struct h2_stream *stream)
{
    struct http_connection *connection = &stream->h2->link->connection;
    struct http_stream *public = &stream->stream;
    stream->told = true;
    connection->events->on_stream(connection->owner, public);
    CHECK(public->events != NULL);
    if (!stream->over)
    public->events->on_head(public->owner, public, &public->head, h2_stream_is_bare(stream));
}

static void on_malformed(struct h2_stream *stream, const char *reason)
{
    tell_refused(stream, 400, reason);
}

static const struct h2_side SIDE = {
    .on_open = on_open,
    .on_head = on_head,
    .tell_head = tell_head,
    .on_malformed = on_malformed,
};

static void start(struct http_link *link)
{
    h2_connection_start(link, &SIDE, true);
}

static bool can_open(const struct http_link *link)
{
    (void)link;
    return false;
}

static struct http_stream *open_stream(struct http_link *link)
{
    (void)link;
    return NULL;
}

const struct http_connection_ops h2_server_ops = {
    .version = 20,
    .start = start,
    .on_readable = h2_connection_on_readable,
    .on_flush = h2_connection_on_flush,
    .on_written = h2_connection_on_written,
    .on_timer = h2_connection_on_timer,
    .can_open = can_open,
    .open = open_stream,
    .drain = h2_connection_drain,
    .end = h2_connection_end,
    .free = h2_connection_free,
};
