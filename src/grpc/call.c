/* Messages of one call: frames in, frames out, and how it ends. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/call.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"

static struct grpc_exchange *self_of(struct grpc_call *call)
{
    return CONTAINER_OF(call, struct grpc_exchange, call);
}

void grpc_call_stop(struct grpc_exchange *self, enum grpc_status status, struct text text,
                    enum err err)
{
    struct http_stream *stream = self->call.stream;
    if (self->over)
        return;
    self->over = true;
    self->status = status;
    self->text = arena_text(&stream->arena, text);
    if (!stream->aborted)
        http_stream_reset(stream, err);
}

/* ---- out ---- */

static void add_status(struct grpc_exchange *self, struct message *message)
{
    struct arena *arena = &self->call.stream->arena;
    message_add(message, arena, name_text(NAME_GRPC_STATUS),
                arena_printf(arena, "%d", (int)self->status));
    if (self->text.len > 0)
        message_add(message, arena, name_text(NAME_GRPC_MESSAGE),
                    grpc_message_escape(arena, self->text));
}

static void send_head(struct grpc_exchange *self, bool end)
{
    struct http_stream *stream = self->call.stream;
    struct message head;
    message_init(&head);
    head.status = 200;
    head.framing = end ? FRAMING_NONE : FRAMING_CHUNKED;
    message_add(&head, &stream->arena, name_text(NAME_CONTENT_TYPE), TEXT("application/grpc"));
    if (end)
        add_status(self, &head);
    http_stream_send_head(stream, &head, end);
}

/* Our direction ends, now that the queue is empty. */
static void send_end(struct grpc_exchange *self)
{
    struct http_stream *stream = self->call.stream;
    self->finished = true;
    if (!self->serving) {
        (void)http_stream_write(stream, TEXT_NONE, true);
        return;
    }
    if (!stream->head_sent) {
        send_head(self, true); /* trailers only */
    } else {
        struct message trailers;
        message_init(&trailers);
        add_status(self, &trailers);
        http_stream_send_trailers(stream, &trailers);
    }
    self->over = true;
    if (!stream->read_ended)
        http_stream_reset(stream, ERR_NONE);
}

static void pump(struct grpc_exchange *self)
{
    struct grpc_call *call = &self->call;
    while (buffer_len(&self->out) > 0) {
        size_t taken = http_stream_write(call->stream, buffer_text(&self->out), false);
        if (taken == 0)
            break;
        buffer_consume(&self->out, taken);
    }
    call->queued_bytes = buffer_len(&self->out);
    if (call->queued_bytes == 0 && self->finishing && !self->finished)
        send_end(self);
}

/* What the stream does not take at once waits in the queue. */
static void put(struct grpc_exchange *self, struct text bytes)
{
    size_t taken = 0;
    if (buffer_len(&self->out) == 0)
        taken = http_stream_write(self->call.stream, bytes, false);
    buffer_add(&self->out, bytes.data + taken, bytes.len - taken);
    self->call.queued_bytes = buffer_len(&self->out);
}

enum err grpc_send(struct grpc_call *call, struct text message, size_t queue_max)
{
    struct grpc_exchange *self = self_of(call);
    unsigned char head[GRPC_FRAME_HEAD];
    if (self->over || self->finishing)
        return ERR_CLOSED;
    if (queue_max > 0 && call->queued_bytes > queue_max)
        return ERR_LIMIT;
    if (self->serving && !call->stream->head_sent)
        send_head(self, false);
    grpc_frame_head(head, message.len);
    put(self, text_from((const char *)head, sizeof(head)));
    if (message.len > 0)
        put(self, message);
    return ERR_NONE;
}

void grpc_finish(struct grpc_call *call, enum grpc_status status, const char *text)
{
    struct grpc_exchange *self = self_of(call);
    if (self->over || self->finishing)
        return;
    self->finishing = true;
    if (self->serving) {
        self->status = status;
        self->text = arena_text(&call->stream->arena, text_of(text));
    }
    pump(self);
}

void grpc_cancel(struct grpc_call *call)
{
    grpc_call_stop(self_of(call), GRPC_CANCELLED, TEXT("cancelled"), ERR_CLOSED);
}

/* ---- in ---- */

/* A frame that we will not take: an answer when serving, the end when calling. */
static void reject(struct grpc_exchange *self, enum grpc_status status, const char *text)
{
    if (self->serving && !self->finishing)
        grpc_finish(&self->call, status, text);
    else
        grpc_call_stop(self, status, text_of(text), ERR_CLOSED);
}

static bool frame_is_fine(struct grpc_exchange *self, enum grpc_frame frame)
{
    switch (frame) {
    case GRPC_FRAME_COMPRESSED:
        reject(self, GRPC_UNIMPLEMENTED, "message is compressed; no encoding was announced");
        return false;
    case GRPC_FRAME_LARGE:
        reject(self, GRPC_RESOURCE_EXHAUSTED, "message is larger than the limit");
        return false;
    case GRPC_FRAME_BROKEN:
        reject(self, GRPC_INTERNAL, "message has an unknown flag");
        return false;
    default:
        return true;
    }
}

/* Takes one piece of the body: a whole frame where it stands, or what completes the one that
 * waits in `in`. False: nothing more is to be read. */
static bool take(struct grpc_exchange *self, struct text bytes)
{
    struct grpc_call *call = &self->call;
    struct text message;
    size_t len, held = buffer_len(&self->in);
    if (held == 0) {
        enum grpc_frame frame = grpc_frame_read(bytes, call->receive_max, &message, &len);
        if (!frame_is_fine(self, frame))
            return false;
        if (frame == GRPC_FRAME_WHOLE) {
            call->events->on_message(call->owner, call, message);
            if (!self->over)
                http_stream_consume(call->stream, len);
            return !self->over;
        }
    }
    size_t want = held < GRPC_FRAME_HEAD ? GRPC_FRAME_HEAD - held : 0;
    if (want == 0) {
        (void)grpc_frame_read(buffer_text(&self->in), call->receive_max, &message, &len);
        want = len - held;
    }
    want = MIN(want, bytes.len);
    buffer_add(&self->in, bytes.data, want);
    http_stream_consume(call->stream, want);
    enum grpc_frame frame =
        grpc_frame_read(buffer_text(&self->in), call->receive_max, &message, &len);
    if (!frame_is_fine(self, frame))
        return false;
    if (frame == GRPC_FRAME_PARTIAL)
        return true;
    call->events->on_message(call->owner, call, message);
    buffer_consume(&self->in, len);
    return !self->over;
}

static void end_calling(struct grpc_exchange *self)
{
    struct http_stream *stream = self->call.stream;
    const struct message *from = &stream->trailers;
    if (message_get(from, NAME_GRPC_STATUS) == NULL)
        from = &stream->head; /* trailers only */
    const struct field *status = message_get(from, NAME_GRPC_STATUS);
    struct text text = message_value(from, NAME_GRPC_MESSAGE);
    if (status == NULL) {
        grpc_call_stop(self, grpc_status_of_http(self->http_status),
                       TEXT("the answer has no grpc-status"), ERR_CLOSED);
        return;
    }
    enum grpc_status code = grpc_status_parse(status->value);
    if (code == GRPC_OK && buffer_len(&self->in) > 0)
        code = GRPC_INTERNAL;
    grpc_call_stop(self, code, grpc_message_unescape(&stream->arena, text), ERR_NONE);
}

/* The peer sends nothing more. */
static void on_read_end(struct grpc_exchange *self)
{
    struct grpc_call *call = &self->call;
    if (!self->serving)
        end_calling(self);
    else if (buffer_len(&self->in) > 0)
        reject(self, GRPC_INTERNAL, "the last message is cut");
    else if (call->events->on_half_close != NULL)
        call->events->on_half_close(call->owner, call);
    else
        grpc_finish(call, GRPC_OK, "");
}

static void on_readable(void *owner, struct http_stream *stream)
{
    struct grpc_exchange *self = owner;
    if (self->held && !self->finishing)
        return;
    while (!self->over) {
        struct text bytes = http_stream_peek(stream);
        if (bytes.len == 0)
            break;
        if (self->finishing && self->serving)
            http_stream_consume(stream, bytes.len); /* nobody asks any more */
        else if (!take(self, bytes))
            return;
    }
    if (!self->over && stream->read_ended && !(self->finishing && self->serving))
        on_read_end(self);
}

void grpc_hold(struct grpc_call *call)
{
    self_of(call)->held = true;
}

void grpc_release(struct grpc_call *call)
{
    self_of(call)->held = false;
    on_readable(self_of(call), call->stream);
}

static void on_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    struct grpc_exchange *self = owner; /* calling: server.c has the other */
    self->http_status = head->status;
    bool is_grpc =
        text_starts_with(message_value(head, NAME_CONTENT_TYPE), TEXT("application/grpc"));
    if (head->status != 200)
        grpc_call_stop(self, grpc_status_of_http(head->status),
                       arena_printf(&stream->arena, "HTTP status %d", head->status), ERR_CLOSED);
    else if (!is_grpc)
        grpc_call_stop(self, GRPC_UNKNOWN, TEXT("the answer is not gRPC"), ERR_CLOSED);
    else if (end)
        end_calling(self);
}

static void on_writable(void *owner, struct http_stream *stream)
{
    (void)stream;
    struct grpc_exchange *self = owner;
    struct grpc_call *call = &self->call;
    bool waited = call->queued_bytes > 0;
    pump(self);
    if (waited && call->queued_bytes == 0 && !self->finishing && !self->over &&
        call->events->on_sent != NULL)
        call->events->on_sent(call->owner, call);
}

static void on_abort(void *owner, struct http_stream *stream, enum err err)
{
    struct grpc_exchange *self = owner;
    const char *why = stream->why == NULL ? err_name(err) : stream->why;
    grpc_call_stop(self, grpc_status_of_err(err, self->serving), text_of(why), err);
}

static void on_closed(void *owner, struct http_stream *stream)
{
    struct grpc_exchange *self = owner;
    struct grpc_call *call = &self->call;
    if (call->events != NULL)
        call->events->on_end(call->owner, call, self->status, self->text);
    loop_disarm(stream->connection->loop, &self->timer);
    buffer_fini(&self->in);
    buffer_fini(&self->out);
    free(self);
}

const struct http_stream_events grpc_call_events = {
    .on_head = on_head,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_abort = on_abort,
    .on_closed = on_closed,
};

static void on_deadline(void *owner)
{
    struct grpc_exchange *self = owner;
    if (self->finishing)
        grpc_call_stop(self, GRPC_DEADLINE_EXCEEDED, TEXT("deadline exceeded"), ERR_TIMEOUT);
    else
        grpc_finish(&self->call, GRPC_DEADLINE_EXCEEDED, "deadline exceeded");
}

struct grpc_exchange *grpc_call_new(struct http_stream *stream, struct text method, bool serving)
{
    struct grpc_exchange *self = memory_new(struct grpc_exchange);
    struct buffer_pool *pool = loop_buffers(stream->connection->loop);
    self->call.stream = stream;
    self->call.method = arena_text(&stream->arena, method);
    self->call.receive_max = serving ? LIMIT_GRPC_MESSAGE : LIMIT_GRPC_RECEIVE;
    self->serving = serving;
    self->status = GRPC_UNKNOWN;
    buffer_init(&self->in, pool);
    buffer_init(&self->out, pool);
    timer_init(&self->timer, self, on_deadline);
    return self;
}
