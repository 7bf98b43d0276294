/* HTTP/1 serving: one request at a time; the next is read when the answer is written. Refusals
 * answer, half-close and read nothing more as a request. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "base/memory.h"
#include "http/h1_codec.h"

#define REQUESTS_A_TURN 32

/* A look at a body that did not come yet is what the client waits for with Expect: 100-continue. */
static struct text server_peek(struct http_stream *stream)
{
    struct h1_stream *h = h1_stream_of(stream);
    struct text bytes = h1_body_peek(stream);
    if (bytes.len > 0 || !h->continue_due || stream->head_sent || stream->read_ended ||
        !stream->head_received)
        return bytes;
    h->continue_due = false;
    struct message head;
    message_init(&head);
    head.status = 100;
    h1_write_informational(stream, &head);
    return TEXT_NONE;
}

static void server_reset(struct http_stream *stream, enum err why);

static const struct http_stream_ops STREAM_OPS = {
    .send_informational = h1_write_informational,
    .send_head = h1_write_response,
    .write = h1_write_body,
    .send_trailers = h1_write_trailers,
    .peek = server_peek,
    .consume = h1_body_consume,
    .reset = server_reset,
};

static bool is_finished(const struct h1_stream *h)
{
    return h->stream.write_ended && (!h->in_switched || h->stream.read_ended);
}

/* The exchange is over for its owner; the memory stays for the next one. */
static void close_stream(struct h1_codec *codec, enum err err, const char *why)
{
    if (codec->state != H1_ACTIVE)
        return;
    struct h1_stream *h = codec->h;
    struct http_stream *stream = &h->stream;
    codec->state = H1_OVER;
    codec->link->connection.stream_count = 0;
    bool whole = is_finished(h);
    bool told = stream->aborted || whole || h->was_reset;
    stream->aborted |= !whole;
    if (stream->why == NULL)
        stream->why = why;
    if (!told)
        stream->events->on_abort(stream->owner, stream, err);
    stream->events->on_closed(stream->owner, stream);
    arena_reset(&stream->arena);
}

/* No byte of this connection is read as a request any more. */
static void refuse(struct h1_codec *codec, int status, const char *reason)
{
    struct http_link *link = codec->link;
    struct http_connection *connection = &link->connection;
    enum err err = status == 408 ? ERR_TIMEOUT : status == 431 ? ERR_LIMIT : ERR_PROTOCOL;
    bool answered = codec->state == H1_ACTIVE && codec->h->stream.head_sent;
    bool stream_was = codec->state == H1_ACTIVE;
    bool head_only = codec->h != NULL && codec->h->head_only;
    close_stream(codec, err, reason);
    codec->state = H1_OVER;
    if (!answered && status != 0)
        h1_write_refusal(link, status, reason, head_only);
    if (!stream_was && connection->events->on_refused != NULL)
        connection->events->on_refused(connection->owner, connection, status, reason);
    http_link_linger(link, err, reason);
}

/* By the owner: what was written goes out, then the cut can be seen. */
static void server_reset(struct http_stream *stream, enum err why)
{
    struct h1_stream *h = h1_stream_of(stream);
    struct h1_codec *codec = h1_codec_of(h);
    if (stream->aborted || codec->link->ended || is_finished(h))
        return;
    h->was_reset = true;
    stream->aborted = true;
    if (stream->why == NULL)
        stream->why = "reset";
    if (stream->head_sent)
        http_link_linger(codec->link, why, stream->why);
    else
        http_link_close_flushed(codec->link, why, stream->why);
}

static void tell_body(struct h1_codec *codec)
{
    struct h1_stream *h = codec->h;
    struct http_stream *stream = &h->stream;
    if (codec->state != H1_ACTIVE || stream->aborted || stream->read_ended)
        return;
    if (h1_body_advance(h))
        stream->events->on_readable(stream->owner, stream);
}

/* Nothing more will come: a body that is not whole by now never will be. */
static void check_cut(struct h1_codec *codec)
{
    struct h1_stream *h = codec->h;
    int status;
    const char *why;
    if (!codec->peer_ended || codec->state != H1_ACTIVE || codec->link->ended ||
        h1_body_look(h, &status, &why) != ERR_AGAIN)
        return;
    h->in_err = ERR_CLOSED;
    h->parser.refuse = 400;
    h->parser.why = "closed inside a request body";
    http_link_flush(codec->link);
}

/* The head is complete and good: a stream is born. */
static void begin_stream(struct h1_codec *codec)
{
    struct h1_stream *h = codec->h;
    struct http_stream *stream = &h->stream;
    struct http_connection *connection = &codec->link->connection;
    codec->state = H1_ACTIVE;
    connection->stream_count = 1;
    connection->request_count++;
    h->reuse = stream->head.keep_alive;
    h->head_only = stream->head.method == METHOD_HEAD;
    h->wants_upgrade = stream->head.wants_upgrade;
    h->continue_due = stream->head.expect_continue && buffer_len(&codec->link->in) == 0;
    stream->head_received = true;
    connection->events->on_stream(connection->owner, stream);
    bool end = stream->read_ended;
    stream->events->on_head(stream->owner, stream, &stream->head, end);
    if (end || codec->link->ended || codec->state != H1_ACTIVE)
        return;
    loop_arm(connection->loop, &codec->link->timer, http_link_body_ms(codec->link));
    if (buffer_len(&codec->link->in) > 0)
        tell_body(codec);
    check_cut(codec);
}

/* Everything that can be refused is refused before anybody hears of the request: also a broken
 * chunk that came with the head. */
static bool accept_head(struct h1_codec *codec)
{
    struct h1_stream *h = codec->h;
    struct http_link *link = codec->link;
    struct http_stream *stream = &h->stream;
    struct h1_head_options options = {
        .merge_slashes = link->connection.settings->merge_slashes,
        .tls = http_link_is_tls(link),
    };
    struct text head = text_from(buffer_text(&link->in).data, h->parser.at);
    struct text bytes = arena_text(&stream->arena, head);
    enum err err = h1_head_request(&h->parser, bytes.data, &stream->arena, &options, &stream->head);
    if (err != ERR_NONE) {
        h->head_only = stream->head.method == METHOD_HEAD;
        refuse(codec, h->parser.refuse, h->parser.why);
        return false;
    }
    buffer_consume(&link->in, h->parser.at);
    h1_body_begin(h, &stream->head, false);
    if (h->in_framing == FRAMING_CHUNKED) {
        int status;
        const char *why;
        err = h1_body_look(h, &status, &why);
        if (err != ERR_NONE && err != ERR_AGAIN) {
            refuse(codec, status, why);
            return false;
        }
    }
    return true;
}

/* A broken HTTP/2 preface, perhaps: a peer that speaks no HTTP/1 gets no answer in it
 * (RFC 9113 3.4). */
static bool is_foreign(const struct h1_codec *codec)
{
    const struct http_connection *connection = &codec->link->connection;
    return codec->h->parser.is_alien && connection->request_count == 0 &&
           connection->settings->allow_h2;
}

/* Reads a head from what is there. True: a request was handed up, or refused. */
static bool read_head(struct h1_codec *codec)
{
    struct http_link *link = codec->link;
    if (codec->state > H1_HEAD || buffer_len(&link->in) == 0)
        return false;
    bool fresh = codec->state == H1_IDLE;
    if (fresh) {
        h1_parse_init(&h1_body_stream(codec, &STREAM_OPS)->parser, H1_REQUEST);
        codec->state = H1_HEAD;
    }
    struct h1_parser *parser = &codec->h->parser;
    struct text in = buffer_text(&link->in);
    enum err err = h1_parse(parser, in.data, in.len);
    if (err == ERR_AGAIN) {
        if (fresh)
            loop_arm(link->connection.loop, &link->timer, http_link_header_ms(link));
        if (codec->peer_ended)
            http_link_close_flushed(link, ERR_CLOSED, "closed inside a request head");
        return false;
    }
    if (err != ERR_NONE)
        refuse(codec, is_foreign(codec) ? 0 : parser->refuse, parser->why);
    else if (accept_head(codec))
        begin_stream(codec);
    return true;
}

/* The peer's FIN. Between requests it is the end; a whole request is still answered. */
static void peer_ended(struct h1_codec *codec)
{
    struct http_link *link = codec->link;
    codec->peer_ended = true;
    if (codec->state <= H1_HEAD && buffer_len(&link->in) == 0 && buffer_len(&link->out) == 0) {
        http_link_fail(link, ERR_CLOSED, "closed by the client");
    } else if (codec->state == H1_IDLE) {
        http_link_flush(link); /* whole requests may wait for room */
    } else if (codec->state == H1_HEAD) {
        http_link_close_flushed(link, ERR_CLOSED, "closed inside a request head");
    } else if (codec->state == H1_ACTIVE) {
        tell_body(codec);
        check_cut(codec);
    }
}

static bool may_read(const struct h1_codec *codec)
{
    const struct http_link *link = codec->link;
    if (link->ended || link->linger_when_flushed || link->close_when_flushed ||
        codec->state == H1_OVER || codec->peer_ended)
        return false;
    size_t len = buffer_len(&link->in);
    if (codec->state != H1_ACTIVE || (codec->h->in_trailers && !codec->h->stream.read_ended))
        return true; /* the parser has its own limits */
    return len < (codec->h->stream.read_ended ? LIMIT_PIPELINED_BYTES : LIMIT_BODY_BUFFER);
}

static void use_input(struct h1_codec *codec)
{
    struct http_link *link = codec->link;
    if (codec->state == H1_ACTIVE) {
        if (!codec->h->stream.read_ended && codec->h->in_framing != FRAMING_TUNNEL)
            loop_arm(link->connection.loop, &link->timer, http_link_body_ms(link));
        tell_body(codec);
    } else {
        (void)read_head(codec);
    }
}

static void server_on_readable(struct http_link *link)
{
    struct h1_codec *codec = link->codec;
    codec->reading = true;
    for (int i = 0; i < H1_READS && may_read(codec); i++) {
        enum err err = h1_body_read(codec);
        if (err == ERR_AGAIN)
            break;
        if (err == ERR_CLOSED) {
            peer_ended(codec);
            break;
        }
        if (err != ERR_NONE) {
            http_link_fail(link, ERR_CLOSED, "reset by the client");
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

/* The answer is out; what comes next on this connection? */
static void finish_exchange(struct h1_codec *codec)
{
    struct http_link *link = codec->link;
    struct h1_stream *h = codec->h;
    bool reuse = h->reuse && !h->in_switched && !link->connection.draining;
    if (reuse && !h->stream.read_ended)
        h1_body_skip(h);
    reuse = reuse && h->stream.read_ended;
    bool unread = !h->stream.read_ended && !codec->peer_ended;
    close_stream(codec, ERR_NONE, "done");
    if (link->ended)
        return;
    if (reuse)
        h1_body_go_idle(codec);
    else if (unread || buffer_len(&link->in) > 0 || !codec->peer_ended)
        http_link_linger(link, ERR_NONE, "the last answer");
    else
        http_link_close_flushed(link, ERR_NONE, "the last answer");
}

static void server_on_flush(struct http_link *link)
{
    struct h1_codec *codec = link->codec;
    for (int i = 0; i < REQUESTS_A_TURN && !link->ended; i++) {
        struct h1_stream *h = codec->h;
        if (codec->state == H1_ACTIVE) {
            if (h->was_reset)
                close_stream(codec, ERR_NONE, "reset");
            else if (is_finished(h))
                finish_exchange(codec);
            else if (h->in_err != ERR_NONE)
                refuse(codec, h->parser.refuse, h->parser.why);
        }
        if (codec->state == H1_OVER || link->linger_when_flushed || link->close_when_flushed)
            return;
        if (buffer_len(&link->out) > LIMIT_BODY_BUFFER || !read_head(codec))
            break;
    }
    if (link->ended)
        return;
    if (codec->state == H1_ACTIVE && is_finished(codec->h))
        loop_defer(link->connection.loop, &link->flush); /* the others first */
    if (codec->state != H1_IDLE || buffer_len(&link->in) > 0)
        return;
    if (codec->peer_ended)
        http_link_close_flushed(link, ERR_CLOSED, "closed by the client");
    else if (link->connection.stream.read_ready)
        stream_resume(&link->connection.stream);
}

static void server_on_written(struct http_link *link)
{
    struct h1_codec *codec = link->codec;
    if (codec->state == H1_ACTIVE)
        h1_write_more(codec->h);
    else if (codec->state == H1_IDLE && buffer_len(&link->in) > 0)
        http_link_flush(link); /* pipelined requests waited for room */
}

static void server_on_timer(struct http_link *link)
{
    struct h1_codec *codec = link->codec;
    struct h1_stream *h = codec->h;
    if (codec->state == H1_HEAD) {
        refuse(codec, 408, "header_timeout");
    } else if (codec->state == H1_IDLE) {
        if (link->connection.draining)
            http_link_close_flushed(link, ERR_NONE, "drained");
        else
            http_link_fail(link, ERR_NONE, "idle");
    } else if (codec->state == H1_ACTIVE && !h->stream.read_ended &&
               h->in_framing != FRAMING_TUNNEL) {
        bool ours = h->continue_due || h1_body_advance(h); /* the owner takes nothing now */
        if (ours)
            loop_arm(link->connection.loop, &link->timer, http_link_body_ms(link));
        else
            refuse(codec, 408, "body_timeout");
    }
}

static void server_start(struct http_link *link)
{
    struct h1_codec *codec = memory_new(struct h1_codec);
    codec->link = link;
    link->codec = codec;
    codec->state = H1_IDLE;
    loop_arm(link->connection.loop, &link->timer, http_link_idle_ms(link));
    (void)read_head(codec);
}

static void server_drain(struct http_link *link)
{
    struct h1_codec *codec = link->codec;
    if (codec->state == H1_IDLE && buffer_len(&link->in) == 0)
        loop_arm(link->connection.loop, &link->timer, http_link_idle_ms(link));
}

static void server_end(struct http_link *link, enum err why)
{
    close_stream(link->codec, why == ERR_NONE ? ERR_CLOSED : why, link->connection.why);
}

static bool server_can_open(const struct http_link *link)
{
    (void)link;
    return false;
}

static struct http_stream *server_open(struct http_link *link)
{
    (void)link;
    return NULL;
}

const struct http_connection_ops h1_server_ops = {
    .version = 11,
    .start = server_start,
    .on_readable = server_on_readable,
    .on_flush = server_on_flush,
    .on_written = server_on_written,
    .on_timer = server_on_timer,
    .can_open = server_can_open,
    .open = server_open,
    .drain = server_drain,
    .end = server_end,
    .free = h1_body_free,
};
