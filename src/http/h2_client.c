/* Calling over HTTP/2: many requests on one connection. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "http/h2_internal.h"

/* We refuse pushes in our SETTINGS; no server opens a stream. */
static struct h2_stream *on_open(struct h2_link *h2, int32_t id)
{
    (void)h2;
    (void)id;
    return NULL;
}

static enum h2_code on_informational(struct h2_stream *stream)
{
    struct http_stream *public = &stream->stream;
    if (++stream->informational > LIMIT_INFORMATIONAL) {
        h2_stream_fail(stream, ERR_LIMIT, "informational_limit");
        return H2_CALM;
    }
    if (public->events->on_informational != NULL && !stream->h2->link->ended)
    public->events->on_informational(public->owner, public, &public->head);
    return H2_NO_ERROR;
}

static enum h2_code on_head(struct h2_stream *stream, bool end)
{
    (void)end;
    struct http_stream *public = &stream->stream;
    int status = public->head.status;
    if (status < 200)
        return on_informational(stream);
    public->head_received = true;
    stream->no_body = stream->no_body || status == 204 || status == 304;
    stream->has_expected = stream->reading.has_length && !stream->no_body;
    stream->expected = public->head.content_length;
    if (end && stream->has_expected && stream->expected > 0) {
        h2_stream_fail(stream, ERR_PROTOCOL, "body_length");
        return H2_PROTOCOL_ERROR;
    }
    h2_stream_news(stream, H2_NEWS_HEAD);
    return H2_NO_ERROR;
}

static void tell_head(struct h2_stream *stream)
{
    struct http_stream *public = &stream->stream;
    public->events->on_head(public->owner, public, &public->head, h2_stream_is_bare(stream));
}

static const struct h2_side SIDE = {
    .on_open = on_open,
    .on_head = on_head,
    .tell_head = tell_head,
};

static void start(struct http_link *link)
{
    h2_connection_start(link, &SIDE, false);
}

static bool can_open(const struct http_link *link)
{
    const struct h2_link *h2 = h2_link_of(link);
    if (h2 == NULL || link->ended || link->connection.draining || h2->at_end)
        return false;
    uint32_t max = MIN(h2_session_peer_streams(h2->session), (uint32_t)LIMIT_H2_STREAMS);
    return link->connection.stream_count < max && h2_session_can_request(h2->session);
}

static struct http_stream *open_stream(struct http_link *link)
{
    struct h2_link *h2 = h2_link_of(link);
    if (!can_open(link))
        return NULL;
    struct h2_stream *stream = h2_stream_new(h2, 0);
    h2->was_full = !can_open(link); /* on_ready is due when a stream ends */
    stream->told = true;
    link->connection.request_count++;
    return &stream->stream;
}

const struct http_connection_ops h2_client_ops = {
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
