/* Incoming bodies: framing is taken off at the front of the connection's buffer and the owner sees
 * what is between; nothing is copied. Also what both codecs do while a connection is idle. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "http/h1_codec.h"

static struct http_link *link_of(const struct h1_stream *h)
{
    return http_link_of(h->stream.connection);
}

/* The stream for the next exchange: the memory of the last one, or new. */
static void drop_stream(void *piece)
{
    struct h1_stream *h = piece;
    arena_fini(&h->stream.arena);
    free(h);
}

struct h1_stream *h1_body_stream(struct h1_codec *codec, const struct http_stream_ops *ops)
{
    struct h1_stream *h = codec->h;
    if (h == NULL) {
        h = spares_take(loop_spares(codec->link->connection.loop), drop_stream);
        if (h == NULL) {
            h = memory_new(struct h1_stream);
            arena_init(&h->stream.arena, 0);
        }
        codec->h = h;
    }
    struct arena arena = h->stream.arena;
    memset(h, 0, offsetof(struct h1_stream, parser));
    h->stream.arena = arena;
    h->stream.ops = ops;
    h->stream.connection = &codec->link->connection;
    return h;
}

/* Between two requests it is of use to another connection. */
static void give_stream(struct h1_codec *codec)
{
    if (codec->h == NULL)
        return;
    arena_reset(&codec->h->stream.arena);
    spares_give(loop_spares(codec->link->connection.loop), codec->h, drop_stream);
    codec->h = NULL;
}

void h1_body_begin(struct h1_stream *h, const struct message *head, bool lenient)
{
    h->in_framing = head->framing;
    h->in_left = head->framing == FRAMING_LENGTH ? head->content_length : 0;
    h->stream.read_ended = head->framing == FRAMING_NONE ||
                           (head->framing == FRAMING_LENGTH && head->content_length == 0);
    if (head->framing == FRAMING_CHUNKED)
        h1_chunk_init(&h->chunk, lenient);
}

static bool break_body(struct h1_stream *h, enum err err, int status, const char *why)
{
    h->in_err = err;
    h->parser.refuse = status;
    h->parser.why = why;
    http_link_flush(link_of(h)); /* the codec acts at the end of the turn */
    return false;
}

static bool end_in(struct h1_stream *h)
{
    h->stream.read_ended = true;
    http_link_flush(link_of(h)); /* the exchange may be complete */
    return true;
}

static bool read_trailers(struct h1_stream *h)
{
    struct http_link *link = link_of(h);
    struct text in = buffer_text(&link->in);
    if (!h->in_trailers)
        h1_parse_init(&h->parser, H1_TRAILERS);
    h->in_trailers = true;
    enum err err = in.len == 0 ? ERR_AGAIN : h1_parse(&h->parser, in.data, in.len);
    if (err == ERR_AGAIN)
        return false;
    if (err != ERR_NONE)
        return break_body(h, err, h->parser.refuse, h->parser.why);
    struct text bytes = arena_text(&h->stream.arena, text_from(in.data, h->parser.at));
    h1_head_trailers(&h->parser, bytes.data, &h->stream.arena, &h->stream.trailers);
    buffer_consume(&link->in, h->parser.at);
    return end_in(h);
}

static bool advance_chunked(struct h1_stream *h)
{
    struct http_link *link = link_of(h);
    if (h->chunk.left == 0 && !h1_chunk_is_last(&h->chunk)) {
        struct text in = buffer_text(&link->in);
        size_t used;
        enum err err = h1_chunk_read(&h->chunk, in.data, in.len, &used);
        buffer_consume(&link->in, used);
        if (err == ERR_AGAIN)
            return false;
        if (err != ERR_NONE)
            return break_body(h, err, 400, h->chunk.why);
    }
    if (h1_chunk_is_last(&h->chunk))
        return read_trailers(h);
    return buffer_len(&link->in) > 0;
}

bool h1_body_advance(struct h1_stream *h)
{
    if (h->stream.read_ended || h->in_err != ERR_NONE)
        return false;
    if (h->in_framing == FRAMING_CHUNKED)
        return advance_chunked(h);
    struct http_link *link = link_of(h);
    struct h1_codec *codec = link->codec;
    if (buffer_len(&link->in) > 0)
        return true;
    if (h->in_framing == FRAMING_LENGTH || !codec->peer_ended)
        return false;
    return end_in(h); /* FRAMING_CLOSE, FRAMING_TUNNEL */
}

struct text h1_body_peek(struct http_stream *stream)
{
    struct h1_stream *h = h1_stream_of(stream);
    struct http_link *link = link_of(h);
    if (stream->read_ended || stream->aborted || link->ended || h->in_err != ERR_NONE ||
        !stream->head_received)
        return TEXT_NONE;
    if (!h1_body_advance(h))
        return TEXT_NONE;
    struct text bytes = buffer_text(&link->in);
    if (h->in_framing == FRAMING_LENGTH)
        bytes.len = MIN(bytes.len, h->in_left);
    else if (h->in_framing == FRAMING_CHUNKED)
        bytes.len = MIN(bytes.len, h->chunk.left);
    return stream->read_ended ? TEXT_NONE : bytes;
}

void h1_body_consume(struct http_stream *stream, size_t len)
{
    struct h1_stream *h = h1_stream_of(stream);
    struct http_link *link = link_of(h);
    struct h1_codec *codec = link->codec;
    if (link->ended || stream->aborted)
        return;
    buffer_consume(&link->in, len);
    stream->bytes_read += len;
    if (h->in_framing == FRAMING_LENGTH) {
        CHECK(len <= h->in_left);
        h->in_left -= len;
        if (h->in_left == 0)
            (void)end_in(h);
    } else if (h->in_framing == FRAMING_CHUNKED) {
        CHECK(len <= h->chunk.left);
        h->chunk.left -= len;
        if (h->chunk.left == 0)
            (void)h1_body_advance(h);
    } else {
        (void)h1_body_advance(h);
    }
    if (!stream->read_ended && !codec->reading && buffer_len(&link->in) < LIMIT_BODY_BUFFER / 2)
        stream_resume(&link->connection.stream);
}

static enum err look_chunked(struct h1_stream *h, struct text in, int *ret_status,
                             const char **ret_why)
{
    struct h1_chunk chunk = h->chunk;
    while (!h1_chunk_is_last(&chunk)) {
        if (chunk.left == 0) {
            size_t used;
            enum err err = h1_chunk_read(&chunk, in.data, in.len, &used);
            if (err != ERR_NONE) {
                *ret_status = 400;
                *ret_why = chunk.why;
                return err;
            }
            in = text_slice(in, used, in.len);
        }
        size_t skip = MIN(chunk.left, in.len);
        in = text_slice(in, skip, in.len);
        chunk.left -= skip;
        if (chunk.left > 0)
            return ERR_AGAIN;
    }
    struct h1_parser parser;
    h1_parse_init(&parser, H1_TRAILERS);
    enum err err = in.len == 0 ? ERR_AGAIN : h1_parse(&parser, in.data, in.len);
    *ret_status = parser.refuse;
    *ret_why = parser.why;
    return err;
}

enum err h1_body_look(struct h1_stream *h, int *ret_status, const char **ret_why)
{
    struct text in = buffer_text(&link_of(h)->in);
    *ret_status = 400;
    *ret_why = "";
    if (h->in_err != ERR_NONE)
        return h->in_err;
    if (h->stream.read_ended)
        return ERR_NONE;
    if (h->in_framing == FRAMING_LENGTH)
        return in.len >= h->in_left ? ERR_NONE : ERR_AGAIN;
    if (h->in_framing == FRAMING_CHUNKED)
        return look_chunked(h, in, ret_status, ret_why);
    return ((struct h1_codec *)link_of(h)->codec)->peer_ended ? ERR_NONE : ERR_AGAIN;
}

void h1_body_skip(struct h1_stream *h)
{
    while (!h->stream.read_ended && h->in_err == ERR_NONE) {
        struct text bytes = h1_body_peek(&h->stream);
        if (bytes.len == 0)
            return;
        h1_body_consume(&h->stream, bytes.len);
    }
}

enum err h1_body_read(struct h1_codec *codec)
{
    struct buffer *in = &codec->link->in;
    size_t len = buffer_len(in), want = codec->bulk ? H1_BULK : LIMIT_BUFFER_BLOCK;
    if (len > 0 && in->cap - len >= LIMIT_BUFFER_BLOCK / 4)
        want = in->cap - len; /* what is there is enough: no larger block */
    enum err err = http_link_read(codec->link, want);
    codec->bulk = err == ERR_NONE && codec->state == H1_ACTIVE && buffer_len(in) - len >= want;
    return err;
}

void h1_body_go_idle(struct h1_codec *codec)
{
    codec->state = H1_IDLE;
    codec->bulk = false;
    give_stream(codec);
    buffer_release(&codec->link->in);
    loop_arm(codec->link->connection.loop, &codec->link->timer, http_link_idle_ms(codec->link));
}

void h1_body_free(struct http_link *link)
{
    struct h1_codec *codec = link->codec;
    if (codec == NULL)
        return;
    give_stream(codec);
    free(codec);
    link->codec = NULL;
}
