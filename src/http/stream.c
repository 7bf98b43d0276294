/* The door to the codecs' streams. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/stream.h"

void http_stream_send_informational(struct http_stream *stream, const struct message *head)
{
    stream->ops->send_informational(stream, head);
}

void http_stream_send_head(struct http_stream *stream, const struct message *head, bool end)
{
    stream->ops->send_head(stream, head, end);
}

size_t http_stream_write(struct http_stream *stream, struct text bytes, bool end)
{
    return stream->ops->write(stream, bytes, end);
}

void http_stream_send_trailers(struct http_stream *stream, const struct message *trailers)
{
    stream->ops->send_trailers(stream, trailers);
}

struct text http_stream_peek(struct http_stream *stream)
{
    return stream->ops->peek(stream);
}

void http_stream_consume(struct http_stream *stream, size_t len)
{
    if (len > 0)
        stream->ops->consume(stream, len);
}

void http_stream_reset(struct http_stream *stream, enum err why)
{
    stream->ops->reset(stream, why);
}
