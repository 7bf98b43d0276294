/* HTTP/1 calling: one request at a time. The connection is ready again only if both messages ended
 * cleanly by their own framing and not a byte is left over; an answer nobody asked for closes it.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "base/memory.h"
#include "http/h1_codec.h"

static bool is_finished(const struct h1_stream *h)
{
    return h->stream.head_received && h->stream.read_ended &&
           (!h->in_switched || h->stream.write_ended);
}

/* The backend learns that the rest of the request will not come. And no port stays in TIME_WAIT:
 * when many requests are given up, every connect would search among thousands of those for one. */
static void give_up(struct http_link *link, enum err err, const char *why)
{
    stream_set_abort(&link->connection.stream);
    http_link_fail(link, err, why);
}

static void client_reset(struct http_stream *stream, enum err why)
{
    struct h1_stream *h = h1_stream_of(stream);
    struct http_link *link = http_link_of(stream->connection);
    if (stream->aborted || link->ended || (is_finished(h) && stream->write_ended))
        return; /* ended by itself: on_closed follows, the connection is as good as before */
    h->was_reset = true;
    stream->aborted = true;
    if (stream->why == NULL)
        stream->why = "reset";
    give_up(link, why, stream->why);
}

static void send_head(struct http_stream *stream, const struct message *head, bool end)
{
    struct h1_stream *h = h1_stream_of(stream);
    struct h1_codec *codec = h1_codec_of(h);
    if (stream->aborted || codec->link->ended || stream->head_sent)
        return;
    h1_write_request(stream, head, end);
    h1_parse_init(&h->parser, H1_RESPONSE);
}

static void send_informational(struct http_stream *stream, const struct message *head)
{
    (void)stream; /* only servers send these */
    (void)head;
}

static const struct http_stream_ops STREAM_OPS = {
    .send_informational = send_informational,
    .send_head = send_head,
    .write = h1_write_body,
    .send_trailers = h1_write_trailers,
    .peek = h1_body_peek,
    .consume = h1_body_consume,
    .reset = client_reset,
};

static void close_stream(struct h1_codec *codec, enum err err, const char *why)
{
    if (codec->state != H1_ACTIVE)
        return;
    struct http_stream *stream = &codec->h->stream;
    codec->state = H1_OVER;
    codec->link->connection.stream_count = 0;
    bool whole = stream->head_received && stream->read_ended && codec->h->in_err == ERR_NONE;
    bool told = stream->aborted || codec->h->was_reset || whole;
    stream->aborted |= !whole;
    if (stream->why == NULL)
        stream->why = why;
    if (!told)
        stream->events->on_abort(stream->owner, stream, err);
    stream->events->on_closed(stream->owner, stream);
    arena_reset(&stream->arena);
}

/* The answer breaks the rules: told at the end of the turn, the connection is never used again. */
static void reject(struct h1_codec *codec, enum err err, const char *why)
{
    codec->h->in_err = err;
    codec->h->parser.why = why;
    http_link_flush(codec->link);
}

static void tell_body(struct h1_codec *codec)
{
    struct http_stream *stream = &codec->h->stream;
    if (codec->state != H1_ACTIVE || stream->aborted || !stream->head_received ||
        stream->read_ended)
        return;
    if (h1_body_advance(codec->h))
        stream->events->on_readable(stream->owner, stream);
}

static void tell_informational(struct h1_codec *codec)
{
    struct h1_stream *h = codec->h;
    struct http_stream *stream = &h->stream;
    if (++h->informational > LIMIT_INFORMATIONAL) {
        reject(codec, ERR_LIMIT, "upstream_informational_limit");
        return;
    }
    h1_parse_init(&h->parser, H1_RESPONSE);
    if (stream->events->on_informational != NULL)
        stream->events->on_informational(stream->owner, stream, &stream->head);
}

static void switch_protocols(struct h1_stream *h)
{
    h->in_switched = true;
    h->in_framing = h->out_framing = FRAMING_TUNNEL;
    h->out_bodyless = false;
    h->stream.write_ended = h->stream.read_ended = false;
}

static void begin_answer(struct h1_codec *codec)
{
    struct h1_stream *h = codec->h;
    struct http_stream *stream = &h->stream;
    stream->head_received = true;
    h1_body_begin(h, &stream->head, true);
    if (!h1_head_has_body(&stream->head, h->method))
        stream->read_ended = true;
    h->reuse = stream->head.keep_alive;
    if (stream->head.status == 101)
        switch_protocols(h);
    bool end = stream->read_ended;
    stream->events->on_head(stream->owner, stream, &stream->head, end);
    if (end)
        http_link_flush(codec->link);
    else if (!codec->link->ended)
        tell_body(codec);
}

/* Heads from what is there; several if they are informational. */
static void read_heads(struct h1_codec *codec)
{
    struct http_link *link = codec->link;
    struct h1_stream *h = codec->h;
    struct http_stream *stream = &h->stream;
    while (codec->state == H1_ACTIVE && !link->ended && !stream->aborted && h->in_err == ERR_NONE &&
           !stream->head_received && buffer_len(&link->in) > 0) {
        struct text in = buffer_text(&link->in);
        if (!stream->head_sent) {
            reject(codec, ERR_PROTOCOL, "upstream_answer_without_request");
            return;
        }
        enum err err = h1_parse(&h->parser, in.data, in.len);
        if (err == ERR_AGAIN)
            return;
        if (err != ERR_NONE) {
            reject(codec, err, err == ERR_LIMIT ? "upstream_header_limit" : h->parser.why);
            return;
        }
        struct h1_head_options options = {
            .method = h->method, .wants_upgrade = h->wants_upgrade, .upgrade = h->upgrade};
        struct text bytes = arena_text(&stream->arena, text_from(in.data, h->parser.at));
        err = h1_head_response(&h->parser, bytes.data, &stream->arena, &options, &stream->head);
        buffer_consume(&link->in, h->parser.at);
        if (err != ERR_NONE)
            reject(codec, err, h->parser.why);
        else if (stream->head.status < 200 && stream->head.status != 101)
            tell_informational(codec);
        else
            begin_answer(codec);
    }
}

static void use_input(struct h1_codec *codec)
{
    struct http_link *link = codec->link;
    if (codec->state != H1_ACTIVE) {
        http_link_fail(link, ERR_PROTOCOL, "bytes on an idle connection");
        return;
    }
    if (!codec->h->stream.head_received)
        read_heads(codec);
    else
        tell_body(codec);
}

/* FIN, or a read error: what is here may complete the answer. */
static void peer_ended(struct h1_codec *codec, enum err err)
{
    struct http_link *link = codec->link;
    codec->peer_ended = err == ERR_CLOSED;
    if (codec->state != H1_ACTIVE) {
        http_link_fail(link, ERR_CLOSED, "closed by the backend");
        return;
    }
    struct h1_stream *h = codec->h;
    int status;
    const char *why;
    if (!h->stream.head_received) {
        http_link_fail(link, ERR_CLOSED, "closed before the answer");
        return;
    }
    h->reuse = h->in_switched && h->reuse;
    tell_body(codec);
    if (codec->state != H1_ACTIVE || link->ended)
        return;
    if (h1_body_look(h, &status, &why) == ERR_AGAIN)
        http_link_fail(link, ERR_CLOSED, "closed inside the answer");
    else
        link->answer_kept = true;
}

static bool may_read(const struct h1_codec *codec)
{
    const struct http_link *link = codec->link;
    if (link->ended || codec->peer_ended || codec->state == H1_OVER)
        return false;
    if (codec->state != H1_ACTIVE)
        return true;
    if (codec->h->in_err != ERR_NONE)
        return false;
    return !codec->h->stream.head_received || codec->h->in_trailers ||
           buffer_len(&link->in) < LIMIT_BODY_BUFFER;
}

static void client_on_readable(struct http_link *link)
{
    struct h1_codec *codec = link->codec;
    codec->reading = true;
    for (int i = 0; i < H1_READS && may_read(codec); i++) {
        enum err err = h1_body_read(codec);
        if (err == ERR_AGAIN)
            break;
        if (err != ERR_NONE) {
            peer_ended(codec, err);
            break;
        }
        use_input(codec);
        if (!link->connection.stream.read_ready)
            break;
    }
    codec->reading = false;
    if (!link->ended && link->connection.stream.read_ready && may_read(codec))
        stream_resume(&link->connection.stream);
}

/* The answer was taken to its end, or broke. */
static void finish_exchange(struct h1_codec *codec)
{
    struct http_link *link = codec->link;
    struct h1_stream *h = codec->h;
    bool clean = h->reuse && h->stream.write_ended && !h->in_switched && !link->write_broken &&
                 !codec->peer_ended;
    bool surplus = buffer_len(&link->in) > 0, is_early = !h->stream.write_ended;
    close_stream(codec, ERR_NONE, "done");
    if (link->ended)
        return;
    if (surplus && !h->in_switched) {
        http_link_fail(link, ERR_PROTOCOL, "bytes behind the answer");
    } else if (is_early) {
        give_up(link, ERR_NONE, "answered before the request's end");
    } else if (!clean || link->connection.draining) {
        http_link_fail(link, ERR_NONE, "not to be used again");
    } else {
        h1_body_go_idle(codec);
        http_link_ready(link);
        if (!link->ended && link->connection.stream.read_ready)
            stream_resume(&link->connection.stream);
    }
}

static void client_on_flush(struct http_link *link)
{
    struct h1_codec *codec = link->codec;
    if (codec->state != H1_ACTIVE)
        return;
    struct h1_stream *h = codec->h;
    if (h->in_err != ERR_NONE)
        http_link_fail(link, h->in_err, h->parser.why);
    else if (is_finished(h) && (!h->in_switched || buffer_len(&link->out) == 0))
        finish_exchange(codec);
}

static void client_on_written(struct http_link *link)
{
    struct h1_codec *codec = link->codec;
    if (codec->state == H1_ACTIVE)
        h1_write_more(codec->h);
    if (!link->ended && codec->state == H1_ACTIVE && is_finished(codec->h))
        http_link_flush(link);
}

static void client_on_timer(struct http_link *link)
{
    struct h1_codec *codec = link->codec;
    if (codec->state == H1_IDLE)
        http_link_fail(link, ERR_NONE, "idle");
}

static void client_start(struct http_link *link)
{
    struct h1_codec *codec = memory_new(struct h1_codec);
    codec->link = link;
    link->codec = codec;
    h1_body_go_idle(codec);
    http_link_ready(link);
}

static bool client_can_open(const struct http_link *link)
{
    const struct h1_codec *codec = link->codec;
    return codec->state == H1_IDLE && !codec->peer_ended && buffer_len(&link->in) == 0;
}

static struct http_stream *client_open(struct http_link *link)
{
    struct h1_codec *codec = link->codec;
    struct h1_stream *h = h1_body_stream(codec, &STREAM_OPS);
    codec->state = H1_ACTIVE;
    h->written_before = link->written;
    link->connection.stream_count = 1;
    link->connection.request_count++;
    return &h->stream;
}

static void client_drain(struct http_link *link)
{
    struct h1_codec *codec = link->codec;
    if (codec->state == H1_IDLE)
        http_link_fail(link, ERR_NONE, "drained");
}

static void client_end(struct http_link *link, enum err why)
{
    struct h1_codec *codec = link->codec;
    if (codec->state == H1_ACTIVE)
        codec->h->stream.unsent = why == ERR_CLOSED && link->written == codec->h->written_before;
    close_stream(codec, why == ERR_NONE ? ERR_CLOSED : why, link->connection.why);
}

const struct http_connection_ops h1_client_ops = {
    .version = 11,
    .start = client_start,
    .on_readable = client_on_readable,
    .on_flush = client_on_flush,
    .on_written = client_on_written,
    .on_timer = client_on_timer,
    .can_open = client_can_open,
    .open = client_open,
    .drain = client_drain,
    .end = client_end,
    .free = h1_body_free,
};
