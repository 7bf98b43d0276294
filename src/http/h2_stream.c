/* The functions of http/stream.h for HTTP/2, and the life of a stream. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "http/h2_internal.h"

static struct h2_stream *self_of(struct http_stream *stream)
{
    return CONTAINER_OF(stream, struct h2_stream, stream);
}

enum h2_code h2_stream_code(enum err err)
{
    switch (err) {
    case ERR_NONE:
        return H2_NO_ERROR;
    case ERR_PROTOCOL:
        return H2_PROTOCOL_ERROR;
    case ERR_REFUSED:
        return H2_REFUSED_STREAM;
    case ERR_LIMIT:
        return H2_CALM;
    case ERR_SYSTEM:
    case ERR_INVALID:
        return H2_INTERNAL_ERROR;
    default:
        return H2_CANCEL;
    }
}

enum err h2_stream_err(uint32_t code)
{
    switch (code) {
    case H2_NO_ERROR:
    case H2_CANCEL:
    case H2_CALM: /* a bound of the peer's; ERR_LIMIT is one of ours */
        return ERR_CLOSED;
    case H2_REFUSED_STREAM:
        return ERR_REFUSED;
    default:
        return ERR_PROTOCOL;
    }
}

/* ---- life ---- */

static const struct http_stream_ops OPS;

static void drop(void *piece)
{
    struct h2_stream *self = piece;
    arena_fini(&self->stream.arena);
    free(self);
}

void h2_stream_free(struct h2_stream *self)
{
    struct loop *loop = self->stream.connection->loop;
    buffer_fini(&self->in);
    buffer_fini(&self->out.bytes);
    arena_reset(&self->stream.arena);
    spares_give(loop_spares(loop), self, drop);
}

struct h2_stream *h2_stream_new(struct h2_link *h2, int32_t id)
{
    struct http_connection *connection = &h2->link->connection;
    struct h2_stream *self = spares_take(loop_spares(connection->loop), drop);
    struct arena arena;
    if (self != NULL) {
        arena = self->stream.arena;
    } else {
        self = memory_new(struct h2_stream);
        arena_init(&arena, 0);
    }
    *self = (struct h2_stream){.id = id, .h2 = h2};
    self->stream.arena = arena;
    self->stream.ops = &OPS;
    self->stream.connection = connection;
    message_init(&self->stream.head);
    message_init(&self->stream.trailers);
    buffer_init(&self->in, loop_buffers(connection->loop));
    buffer_init(&self->out.bytes, loop_buffers(connection->loop));
    self->read_at_ms = self->write_at_ms = loop_now_ms(connection->loop);
    self->next = h2->streams;
    if (self->next != NULL)
        self->next->prev = self;
    h2->streams = self;
    connection->stream_count++;
    return self;
}

void h2_stream_news(struct h2_stream *self, enum h2_news news)
{
    struct h2_link *h2 = self->h2;
    if (self->closed)
        return;
    if (self->news == 0) {
        self->news_next = NULL;
        if (h2->news_first == NULL)
            h2->news_first = self;
        else
            h2->news_last->news_next = self;
        h2->news_last = self;
    }
    self->news |= news;
    if (!h2->ending && !h2->telling)
        http_link_flush(h2->link);
}

/* Bytes that nobody will read: their room in the connection's window opens again. */
static void drop_input(struct h2_stream *self)
{
    size_t len = buffer_len(&self->in);
    if (len == 0)
        return;
    buffer_consume(&self->in, len);
    h2_session_consume(self->h2->session, self->id, len);
}

void h2_stream_fail(struct h2_stream *self, enum err err, const char *why)
{
    if (self->over || self->finished)
        return;
    self->over = true;
    self->err = err == ERR_NONE ? ERR_CLOSED : err;
    self->stream.aborted = true;
    self->stream.why = why;
    drop_input(self);
    h2_stream_news(self, H2_NEWS_ABORT);
    h2_stream_news(self, H2_NEWS_CLOSED);
}

void h2_stream_check(struct h2_stream *self)
{
    if (self->over || self->finished || !self->stream.read_ended || !self->sent_end)
        return;
    self->finished = true; /* its last news are told first */
    h2_stream_news(self, H2_NEWS_CLOSED);
}

void h2_stream_remote_end(struct h2_stream *self)
{
    self->remote_ended = true;
    if (buffer_len(&self->in) == 0)
        self->stream.read_ended = true;
    h2_stream_check(self);
}

bool h2_stream_is_bare(const struct h2_stream *self)
{
    return self->stream.read_ended && self->stream.trailers.field_count == 0;
}

void h2_stream_release(struct h2_stream *self)
{
    struct h2_link *h2 = self->h2;
    if (!self->closed || self->in_session || self->news != 0)
        return;
    if (self->next != NULL)
        self->next->prev = self->prev;
    if (self->prev != NULL)
        self->prev->next = self->next;
    else
        h2->streams = self->next;
    if (h2->streams == NULL)
        h2->idle_ms = loop_now_ms(h2->link->connection.loop);
    buffer_fini(&self->in);
    buffer_fini(&self->out.bytes);
    self->prev = NULL;
    self->next = h2->dead;
    h2->dead = self;
}

/* ---- http/stream.h ---- */

static bool can_send(const struct h2_stream *self)
{
    return !self->over && !self->stream.write_ended && !self->h2->link->ended;
}

static void send_informational(struct http_stream *stream, const struct message *head)
{
    struct h2_stream *self = self_of(stream);
    size_t count;
    if (!can_send(self) || stream->head_sent || !self->in_session)
        return;
    struct h2_field *fields = h2_message_fields(head, H2_RESPONSE, http_link_is_tls(self->h2->link),
                                                &stream->arena, &count);
    h2_session_inform(self->h2->session, self->id, fields, count);
    http_link_flush(self->h2->link);
}

static void send_head(struct http_stream *stream, const struct message *head, bool end)
{
    struct h2_stream *self = self_of(stream);
    struct h2_link *h2 = self->h2;
    bool serving = h2->link->connection.serving;
    size_t count;
    if (!can_send(self) || stream->head_sent)
        return;
    struct h2_field *fields = h2_message_fields(head, serving ? H2_RESPONSE : H2_REQUEST,
                                                http_link_is_tls(h2->link), &stream->arena, &count);
    struct h2_body *body = end ? NULL : &self->out;
    stream->head_sent = true;
    stream->write_ended = end;
    self->write_at_ms = loop_now_ms(h2->link->connection.loop);
    http_link_flush(h2->link);
    if (serving) {
        h2_session_respond(h2->session, self->id, fields, count, body);
        return;
    }
    self->no_body = head->method == METHOD_HEAD;
    self->asked_ms = self->write_at_ms;
    self->id = h2_session_request(h2->session, fields, count, body, self);
    self->in_session = self->id != 0;
    if (!self->in_session)
        h2_stream_fail(self, ERR_REFUSED, "h2: no stream can be opened");
}

static size_t write_body(struct http_stream *stream, struct text bytes, bool end)
{
    struct h2_stream *self = self_of(stream);
    if (!can_send(self) || !stream->head_sent)
        return 0;
    size_t queued = buffer_len(&self->out.bytes);
    size_t room = queued < LIMIT_BODY_BUFFER ? LIMIT_BODY_BUFFER - queued : 0;
    size_t len = MIN(room, bytes.len);
    if (queued == 0)
        self->write_at_ms = loop_now_ms(stream->connection->loop);
    buffer_add(&self->out.bytes, bytes.data, len);
    if (len < bytes.len)
        self->wants_room = true;
    else if (end)
        stream->write_ended = self->out.end = true;
    if (len > 0 || stream->write_ended) {
        h2_session_resume(self->h2->session, self->id, &self->out);
        http_link_flush(self->h2->link);
    }
    return len;
}

static void send_trailers(struct http_stream *stream, const struct message *trailers)
{
    struct h2_stream *self = self_of(stream);
    size_t count;
    if (!can_send(self) || !stream->head_sent)
        return;
    struct h2_field *fields =
        h2_message_fields(trailers, H2_TRAILERS, false, &stream->arena, &count);
    self->out.trailers = count > 0 ? fields : NULL;
    self->out.trailer_count = count;
    stream->write_ended = self->out.end = true;
    h2_session_resume(self->h2->session, self->id, &self->out);
    http_link_flush(self->h2->link);
}

static struct text peek(struct http_stream *stream)
{
    return buffer_text(&self_of(stream)->in);
}

static void consume(struct http_stream *stream, size_t len)
{
    struct h2_stream *self = self_of(stream);
    struct h2_link *h2 = self->h2;
    if (len == 0)
        return;
    buffer_consume(&self->in, len);
    stream->bytes_read += len;
    self->read_at_ms = loop_now_ms(stream->connection->loop);
    h2_session_consume(h2->session, self->id, len);
    if (!h2->link->ended && h2_session_has_output(h2->session))
        http_link_flush(h2->link);
    if (self->remote_ended && buffer_len(&self->in) == 0) {
        stream->read_ended = true;
        h2_stream_check(self);
    }
}

static void reset(struct http_stream *stream, enum err why)
{
    struct h2_stream *self = self_of(stream);
    struct h2_link *h2 = self->h2;
    if (self->over)
        return;
    /* A complete answer is still sent when the rest of its request is not wanted any more
     * (RFC 9113 8.1). */
    if (self->in_session && why == ERR_NONE && stream->write_ended && !self->sent_end)
        self->reset_when_sent = true;
    else if (self->in_session && !(self->sent_end && self->remote_ended))
        h2_session_reset(h2->session, self->id,
                         why == ERR_NONE && !h2->link->connection.serving ? H2_CANCEL
                                                                          : h2_stream_code(why));
    drop_input(self);
    self->over = true;
    h2_stream_news(self, H2_NEWS_CLOSED);
}

static const struct http_stream_ops OPS = {
    .send_informational = send_informational,
    .send_head = send_head,
    .write = write_body,
    .send_trailers = send_trailers,
    .peek = peek,
    .consume = consume,
    .reset = reset,
};
