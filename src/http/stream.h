/* One request and its response on one connection, HTTP/1 or HTTP/2, serving or calling: the same
 * struct for all four, so that neither the proxy nor gRPC knows which it is.
 *
 * Incoming bodies are pulled: on_readable says that something is there; the owner peeks, uses,
 * consumes, when it has room. Outgoing bytes are taken up to LIMIT_BODY_BUFFER and flushed once at
 * the end of the loop's turn; less taken than offered means wait for on_writable.
 *
 * Life: the connection owns the stream. It ends when both directions have ended, by
 * http_stream_reset, or with the connection; on_closed is always the last call and the stream's
 * memory is gone after it. Views of a head stay valid until on_closed. Callbacks may call any
 * function of this file on any stream; nothing is freed under a caller's feet (frees happen at the
 * end of the turn). */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "event/loop.h"
#include "http/message.h"
#include "net/stream.h"

struct http_stream;
struct http_connection;

struct http_stream_events {
    /* The peer's head: a request's (serving) or the final response's (calling). `end`: no body,
     * no trailers. */
    void (*on_head)(void *owner, struct http_stream *stream, struct message *head, bool end);
    /* Calling side: a 1xx other than 101. May be NULL. Serving side: never. */
    void (*on_informational)(void *owner, struct http_stream *stream, struct message *head);
    /* Bytes, trailers or the end can be had with http_stream_peek. */
    void (*on_readable)(void *owner, struct http_stream *stream);
    /* Room again after a short write. */
    void (*on_writable)(void *owner, struct http_stream *stream);
    /* The exchange broke: no more callbacks but on_closed. `why` as in stream->why. */
    void (*on_abort)(void *owner, struct http_stream *stream, enum err err);
    /* The last call. */
    void (*on_closed)(void *owner, struct http_stream *stream);
};

/* What each protocol implements; reached through the functions below only. */
struct http_stream_ops {
    void (*send_informational)(struct http_stream *stream, const struct message *head);
    void (*send_head)(struct http_stream *stream, const struct message *head, bool end);
    size_t (*write)(struct http_stream *stream, struct text bytes, bool end);
    void (*send_trailers)(struct http_stream *stream, const struct message *trailers);
    struct text (*peek)(struct http_stream *stream);
    void (*consume)(struct http_stream *stream, size_t len);
    void (*reset)(struct http_stream *stream, enum err why);
};

struct http_stream {
    const struct http_stream_ops *ops;
    const struct http_stream_events *events;
    void *owner;
    struct http_connection *connection;
    struct arena arena;      /* the incoming head; the owner may use it for the exchange too */
    struct message head;     /* incoming */
    struct message trailers; /* incoming; field_count 0 until they came */
    bool head_received;
    bool read_ended; /* the peer's message is complete and its body consumed to the end */
    bool head_sent;
    bool write_ended;
    bool aborted;
    /* Calling, with `aborted`: no byte of it left. ERR_TIMEOUT: the peer allowed no stream;
     * ERR_CLOSED: it had closed before. */
    bool unsent;
    const char *why;                    /* static words for the log */
    uint64_t bytes_read, bytes_written; /* bodies */
};

static inline void http_stream_own(struct http_stream *stream,
                                   const struct http_stream_events *events, void *owner)
{
    stream->events = events;
    stream->owner = owner;
}

/* Serving side: 100, 103; before the head. */
void http_stream_send_informational(struct http_stream *stream, const struct message *head);
/* Encodes at once; the message may go afterwards. head->framing says how the body is framed:
 * LENGTH (exactly that many bytes will be written), CHUNKED (unknown), NONE. On HTTP/1 the codec
 * adds Connection and framing fields. With status 101 both directions become raw bytes. */
void http_stream_send_head(struct http_stream *stream, const struct message *head, bool end);
/* Takes up to all of `bytes`; `end` counts only if all were taken. */
size_t http_stream_write(struct http_stream *stream, struct text bytes, bool end);
/* Instead of `end`: fields behind a CHUNKED body. Ends our direction. */
void http_stream_send_trailers(struct http_stream *stream, const struct message *trailers);
/* Contiguous body bytes that are there now; empty: none now, or read_ended is set. */
struct text http_stream_peek(struct http_stream *stream);
void http_stream_consume(struct http_stream *stream, size_t len);
/* Ends both directions now: RST_STREAM, or the HTTP/1 connection closes. on_closed follows. */
void http_stream_reset(struct http_stream *stream, enum err why);
