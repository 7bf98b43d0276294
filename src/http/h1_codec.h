/* What the two HTTP/1 codecs share: one stream at a time per connection, its body both ways. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "http/h1_chunk.h"
#include "http/h1_head.h"
#include "http/h1_parse.h"
#include "http/link.h"

#define H1_WRITE_DIRECT 16384 /* bodies from this size go to the kernel without a copy */
#define H1_BULK         65536 /* read at once while a body comes at full speed */
#define H1_READS        16    /* in one go before others get their turn */

enum h1_state {
    H1_IDLE,   /* between two requests */
    H1_HEAD,   /* a head is being read */
    H1_ACTIVE, /* the stream is with its owner */
    H1_OVER,   /* nothing more is read or told; the connection is ending */
};

struct h1_stream {
    struct http_stream stream; /* first: an http_stream of this codec is one of these */
    struct h1_chunk chunk;
    enum framing in_framing, out_framing;
    uint64_t in_left, out_left;
    uint64_t written_before; /* calling: link->written when the stream was opened */
    enum err in_err;         /* the incoming body broke; dealt with at the end of the turn */
    bool in_trailers;        /* the last chunk came, its trailers did not yet */
    bool in_switched;        /* incoming bytes are a tunnel's */
    bool out_bodyless;       /* answers to HEAD, 204, 304: what is written is dropped */
    bool reuse;              /* both sides allow another message so far */
    bool continue_due;       /* serving: the client waits for 100 */
    bool want_writable;
    bool was_reset; /* by its owner: no on_abort */
    bool head_only; /* the request's method is HEAD */
    bool wants_upgrade;
    uint8_t informational;
    enum method method;      /* calling: of our request */
    struct text upgrade;     /* calling: what our request asked for; in the arena */
    struct h1_parser parser; /* last: large, and reset only as far as it is used */
};

struct h1_codec {
    struct http_link *link;
    struct h1_stream *h; /* owns; NULL while idle */
    enum h1_state state;
    bool peer_ended; /* no more bytes will come */
    bool reading;    /* inside the read loop: nobody needs to resume it */
    bool bulk;       /* the last read filled its room */
};

static inline struct h1_stream *h1_stream_of(struct http_stream *stream)
{
    return (struct h1_stream *)(void *)stream;
}
static inline struct h1_codec *h1_codec_of(const struct h1_stream *h)
{
    return http_link_of(h->stream.connection)->codec;
}

/* h1_body.c: reading. */
struct h1_stream *h1_body_stream(struct h1_codec *codec, const struct http_stream_ops *ops);
void h1_body_begin(struct h1_stream *h, const struct message *head, bool lenient);
struct text h1_body_peek(struct http_stream *stream);
void h1_body_consume(struct http_stream *stream, size_t len);
/* Framing at the front of what was read is taken off. True: bytes or the end can be told. */
bool h1_body_advance(struct h1_stream *h);
/* Would the rest of the body, as read so far, be complete (ERR_NONE), unfinished (ERR_AGAIN), or
 * refused? Nothing is consumed. */
enum err h1_body_look(struct h1_stream *h, int *ret_status, const char **ret_why);
void h1_body_skip(struct h1_stream *h);          /* drops a body that is complete */
enum err h1_body_read(struct h1_codec *codec);   /* one read, sized for what goes on */
void h1_body_go_idle(struct h1_codec *codec);    /* state, timer; the stream's memory goes */
void h1_body_free(struct http_link *link);

/* h1_write.c: writing. */
void h1_write_response(struct http_stream *stream, const struct message *head, bool end);
void h1_write_request(struct http_stream *stream, const struct message *head, bool end);
void h1_write_informational(struct http_stream *stream, const struct message *head);
size_t h1_write_body(struct http_stream *stream, struct text bytes, bool end);
void h1_write_trailers(struct http_stream *stream, const struct message *trailers);
void h1_write_refusal(struct http_link *link, int status, const char *reason, bool head_only);
void h1_write_more(struct h1_stream *h); /* room again: tells on_writable */
