/* Both ends of an HTTP/2 connection: feeds the session, tells the streams' owners, flushes, keeps
 * the time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "http/h2_internal.h"

#define CLOSED_WORDS "h2: closed by the peer"
#define TICK_MIN_MS  20
#define TICK_MAX_MS  5000
#define NOTICE_MS    1000 /* the longest wait for the answer to the PING behind a notice */

static uint64_t now_ms(const struct h2_link *h2)
{
    return loop_now_ms(h2->link->connection.loop);
}

/* Calls that the session still holds for the peer to allow do not count, once they are given up. */
static bool has_streams(const struct h2_link *h2)
{
    return h2->link->connection.serving ? h2->streams != NULL
                                        : h2->link->connection.stream_count > 0;
}

/* Requests that were under way when the notice went out come before the answer to the PING behind
 * it: until then nothing is refused. */
static bool awaits_ping(const struct h2_link *h2)
{
    return h2->noticed && !h2->goaway_due && !h2->goaway_sent;
}

/* ---- what the session tells ---- */

static void *on_begin(void *owner, int32_t id, void *known)
{
    struct h2_link *h2 = owner;
    struct h2_stream *stream = known;
    h2->head_ms = MAX(now_ms(h2), 1u);
    if (stream == NULL) {
        stream = h2->link->ended ? NULL : h2->side->on_open(h2, id);
        if (stream == NULL) {
            h2->head_ms = 0;
            return NULL;
        }
        stream->in_session = true;
        h2->head_of = stream;
        h2_message_begin(&stream->reading, &stream->stream.head, H2_REQUEST);
        return stream;
    }
    h2->head_of = stream;
    bool trailers = h2->link->connection.serving || stream->stream.head_received;
    h2_message_begin(&stream->reading, trailers ? &stream->stream.trailers : &stream->stream.head,
                     trailers ? H2_TRAILERS : H2_RESPONSE);
    return stream;
}

static struct message *reading_into(struct h2_stream *stream)
{
    return stream->reading.kind == H2_TRAILERS ? &stream->stream.trailers : &stream->stream.head;
}

static enum h2_code malformed(struct h2_stream *stream, const char *reason)
{
    stream->h2->head_ms = 0;
    if (stream->h2->side->on_malformed != NULL && !stream->over)
        stream->h2->side->on_malformed(stream, reason);
    h2_stream_fail(stream, stream->reading.is_large ? ERR_LIMIT : ERR_PROTOCOL, reason);
    return H2_PROTOCOL_ERROR;
}

static bool on_field(void *owner, void *user, struct text name, struct text value)
{
    (void)owner;
    struct h2_stream *stream = user;
    if (stream->over)
        return true;
    if (h2_message_field(&stream->reading, reading_into(stream), &stream->stream.arena, name,
                         value))
        return true;
    malformed(stream, stream->reading.reason);
    return false;
}

static bool body_is_short(const struct h2_stream *stream)
{
    return stream->has_expected && stream->received != stream->expected;
}

static enum h2_code on_trailers(struct h2_stream *stream)
{
    if (body_is_short(stream))
        return malformed(stream, "body_length");
    h2_stream_remote_end(stream);
    h2_stream_news(stream, H2_NEWS_READABLE);
    return H2_NO_ERROR;
}

static enum h2_code on_head(void *owner, void *user, bool end)
{
    struct h2_link *h2 = owner;
    struct h2_stream *stream = user;
    h2->head_ms = 0;
    if (stream->over)
        return H2_NO_ERROR;
    const struct http_settings *settings = h2->link->connection.settings;
    struct h2_facts facts = {http_link_is_tls(h2->link), settings->merge_slashes, end,
                             settings->any_authority};
    if (!h2_message_end(&stream->reading, reading_into(stream), &stream->stream.arena, &facts))
        return malformed(stream, stream->reading.reason);
    stream->read_at_ms = now_ms(h2);
    if (stream->reading.kind == H2_TRAILERS)
        return on_trailers(stream);
    enum h2_code code = h2->side->on_head(stream, end);
    if (code == H2_NO_ERROR && end && stream->stream.head_received)
        h2_stream_remote_end(stream);
    return code;
}

static enum h2_code on_data(void *owner, void *user, struct text bytes)
{
    struct h2_link *h2 = owner;
    struct h2_stream *stream = user;
    if (stream->over) {
        h2_session_consume(h2->session, stream->id, bytes.len);
        return H2_NO_ERROR;
    }
    stream->received += bytes.len;
    if (!stream->stream.head_received || (stream->no_body && bytes.len > 0) ||
        (stream->has_expected && stream->received > stream->expected)) {
        h2_session_consume(h2->session, stream->id, bytes.len);
        return malformed(stream, "body_length");
    }
    buffer_add(&stream->in, bytes.data, bytes.len);
    stream->read_at_ms = now_ms(h2);
    h2_stream_news(stream, H2_NEWS_READABLE);
    return H2_NO_ERROR;
}

static enum h2_code on_data_end(void *owner, void *user)
{
    (void)owner;
    struct h2_stream *stream = user;
    if (stream->over)
        return H2_NO_ERROR;
    if (!stream->stream.head_received || body_is_short(stream))
        return malformed(stream, "body_length");
    h2_stream_remote_end(stream);
    h2_stream_news(stream, H2_NEWS_READABLE);
    return H2_NO_ERROR;
}

static void on_sent(void *owner, void *user, size_t len, bool end)
{
    struct h2_link *h2 = owner;
    struct h2_stream *stream = user;
    stream->stream.bytes_written += len;
    stream->write_at_ms = now_ms(h2);
    stream->left = true;
    if (stream->wants_room && buffer_len(&stream->out.bytes) <= LIMIT_BODY_BUFFER / 2) {
        stream->wants_room = false;
        if (!stream->over)
            h2_stream_news(stream, H2_NEWS_WRITABLE);
    }
    if (!end)
        return;
    stream->sent_end = true;
    if (stream->reset_when_sent && !stream->remote_ended)
        h2_session_reset(h2->session, stream->id, H2_NO_ERROR);
    h2_stream_check(stream);
}

static void on_broken(void *owner, void *user, uint32_t code)
{
    (void)owner;
    h2_stream_fail(user, h2_stream_err(code), h2_code_name(code));
}

static void on_gone(void *owner, void *user, uint32_t code)
{
    struct h2_link *h2 = owner;
    struct h2_stream *stream = user;
    bool serving = h2->link->connection.serving;
    stream->in_session = false;
    if (h2->head_of == stream)
        h2->head_ms = 0; /* nobody will be told of its end */
    if (stream->over) {
        h2_stream_release(stream);
        return;
    }
    /* RFC 9113 8.1: a complete answer counts, though the rest of the request was not wanted. */
    if (!serving && code == H2_NO_ERROR && stream->remote_ended) {
        stream->stream.write_ended = stream->sent_end = true;
        h2_stream_check(stream);
    } else if (!stream->remote_ended || !stream->sent_end) {
        h2_stream_fail(stream, h2_stream_err(code), h2_code_name(code));
    }
}

static void tell_ready(struct h2_link *h2)
{
    struct http_connection *connection = &h2->link->connection;
    if (!h2->was_full || connection->serving || !connection->ops->can_open(h2->link))
        return;
    h2->was_full = false;
    http_link_ready(h2->link);
}

static void on_settings(void *owner)
{
    struct h2_link *h2 = owner;
    const struct http_connection *connection = &h2->link->connection;
    h2->settled = true;
    if (!connection->serving && !connection->ops->can_open(h2->link))
        h2->was_full = true; /* fewer streams than we took for granted */
}

static void on_ping_ack(void *owner)
{
    struct h2_link *h2 = owner;
    if (h2->noticed)
        h2->goaway_due = true;
}

static void on_goaway(void *owner, uint32_t code)
{
    struct h2_link *h2 = owner;
    struct http_connection *connection = &h2->link->connection;
    if (connection->serving)
        return;
    connection->draining = true;
    if (code != H2_NO_ERROR)
        connection->why = h2_code_name(code);
}

static const struct h2_session_events EVENTS = {
    .on_begin = on_begin,
    .on_field = on_field,
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_data_end,
    .on_sent = on_sent,
    .on_broken = on_broken,
    .on_gone = on_gone,
    .on_settings = on_settings,
    .on_ping_ack = on_ping_ack,
    .on_goaway = on_goaway,
};

/* ---- telling ---- */

static void tell_end(struct h2_stream *stream, uint32_t news)
{
    struct http_stream *http = &stream->stream;
    if ((news & H2_NEWS_ABORT) && stream->told)
        http->events->on_abort(http->owner, http, stream->err);
    if (!(news & H2_NEWS_CLOSED))
        return;
    stream->over = stream->closed = true;
    if (--stream->h2->link->connection.stream_count == 0)
        stream->h2->idle_ms = now_ms(stream->h2);
    if (stream->told) /* by whoever owns it now: on_abort may have passed it on */
        http->events->on_closed(http->owner, http);
    h2_stream_release(stream);
}

static void tell(struct h2_stream *stream, uint32_t news)
{
    struct http_stream *public = &stream->stream;
    if (stream->closed) {
        h2_stream_release(stream);
        return;
    }
    if ((news & H2_NEWS_HEAD) && !stream->over)
        stream->h2->side->tell_head(stream);
    if ((news & H2_NEWS_READABLE) && !stream->over && stream->told)
    public->events->on_readable(public->owner, public);
    if ((news & H2_NEWS_WRITABLE) && !stream->over && stream->told)
    public->events->on_writable(public->owner, public);
    tell_end(stream, news);
}

/* Nothing is told after http_close but the end. */
static void tell_all(struct h2_link *h2)
{
    if (h2->telling)
        return;
    h2->telling = true;
    while (h2->news_first != NULL && (h2->ending || !h2->link->ended)) {
        struct h2_stream *stream = h2->news_first;
        uint32_t news = stream->news;
        h2->news_first = stream->news_next;
        stream->news = 0;
        tell(stream, news);
    }
    h2->telling = false;
    if (!h2->ending && !h2->link->ended)
        tell_ready(h2);
}

static void reap(struct h2_link *h2)
{
    while (h2->dead != NULL) {
        struct h2_stream *stream = h2->dead;
        h2->dead = stream->next;
        h2_stream_free(stream);
    }
}

static void fail_streams(struct h2_link *h2, enum err err, const char *why)
{
    for (struct h2_stream *stream = h2->streams; stream != NULL; stream = stream->next)
        h2_stream_fail(stream, err, why);
}

/* ---- time ---- */

static void arm(struct h2_link *h2, uint64_t delay_ms)
{
    uint64_t due = now_ms(h2) + delay_ms;
    if (h2->tick_ms != 0 && h2->tick_ms <= due)
        return;
    h2->tick_ms = due;
    loop_arm(h2->link->connection.loop, &h2->link->timer, delay_ms);
}

static void arm_next(struct h2_link *h2)
{
    struct http_link *link = h2->link;
    uint32_t header = http_link_header_ms(link), least = MIN(header, http_link_write_ms(link));
    least = MIN(least, http_link_body_ms(link));
    if (!link->connection.serving)
        least = MIN(least, http_link_queue_ms(link));
    if (link->ended)
        return;
    if (link->connection.settings->ping_ms != 0)
        arm(h2, MIN(link->connection.settings->ping_ms, LIMIT_H2_PING_WAIT_MS) / 2 + 1);
    if (has_streams(h2) || !h2->settled || h2->head_ms != 0)
        arm(h2, MAX((uint64_t)MIN(least / 4, TICK_MAX_MS), TICK_MIN_MS));
    else if (awaits_ping(h2))
        arm(h2, NOTICE_MS);
    else
        arm(h2, http_link_idle_ms(link));
}

static void check_stream(struct h2_stream *stream, uint64_t now)
{
    struct http_link *link = stream->h2->link;
    bool is_stuck =
        buffer_len(&stream->out.bytes) > 0 && now - stream->write_at_ms >= http_link_write_ms(link);
    if (stream->over) { /* its answer may still be going out: see reset() of h2_stream.c */
        if (is_stuck && stream->in_session)
            h2_session_reset(stream->h2->session, stream->id, H2_CANCEL);
        return;
    }
    /* A stream that is answered already may be silent for long: gRPC. */
    bool waits_body = link->connection.serving && !stream->remote_ended &&
                      !stream->stream.head_sent && buffer_len(&stream->in) == 0;
    bool waits_stream = !link->connection.serving && stream->stream.head_sent && !stream->left;
    const char *why = NULL;
    stream->stream.unsent = waits_stream && now - stream->asked_ms >= http_link_queue_ms(link);
    if (stream->stream.unsent)
        why = "h2: no stream allowed";
    else if (waits_body && now - stream->read_at_ms >= http_link_body_ms(link))
        why = "h2: request body stalled";
    else if (is_stuck)
        why = "h2: stream window stalled";
    if (why == NULL)
        return;
    if (stream->in_session)
        h2_session_reset(stream->h2->session, stream->id, H2_CANCEL);
    h2_stream_fail(stream, ERR_TIMEOUT, why);
}

/* False: the peer is dead. */
static bool check_ping(struct h2_link *h2, uint64_t now)
{
    uint32_t after = h2->link->connection.settings->ping_ms;
    if (after == 0 || now - h2->heard_ms < after)
        return true;
    if (h2->pinged_ms != 0)
        return now - h2->pinged_ms < MIN(after, LIMIT_H2_PING_WAIT_MS);
    h2->pinged_ms = MAX(now, 1u);
    h2_session_ping(h2->session);
    return true;
}

void h2_connection_on_timer(struct http_link *link)
{
    struct h2_link *h2 = h2_link_of(link);
    uint64_t now = now_ms(h2), header = http_link_header_ms(link);
    h2->tick_ms = 0;
    if (!h2->settled && now - h2->started_ms >= header) {
        http_link_fail(link, ERR_TIMEOUT, "h2: no SETTINGS");
        return;
    }
    if (h2->head_ms != 0 && now - h2->head_ms >= header) {
        http_link_fail(link, ERR_TIMEOUT, "h2: head not ended");
        return;
    }
    if (!check_ping(h2, now)) {
        http_link_fail(link, ERR_TIMEOUT, "h2: ping unanswered");
        return;
    }
    for (struct h2_stream *stream = h2->streams; stream != NULL; stream = stream->next)
        check_stream(stream, now);
    if (h2->noticed && now - h2->notice_ms >= NOTICE_MS)
        h2->goaway_due = true;
    if (!has_streams(h2) && h2->settled && now - h2->idle_ms >= http_link_idle_ms(link)) {
        link->connection.draining = true;
        link->connection.why = "h2: idle";
    }
    http_link_flush(link);
    if (!link->connection.draining || has_streams(h2) || awaits_ping(h2))
        arm_next(h2);
}

/* ---- reading and writing ---- */

/* The session wants no more of this connection: GOAWAY goes out, the streams end. */
static void end_session(struct h2_link *h2, enum err err)
{
    const char *why = h2_session_why(h2->session);
    fail_streams(h2, err == ERR_NONE ? ERR_CLOSED : err, why == NULL ? "h2: ended" : why);
    if (h2_session_flush(h2->session, SIZE_MAX) != ERR_NONE)
        err = ERR_PROTOCOL;
    tell_all(h2);
    http_link_linger(h2->link, err, why == NULL ? "h2: ended" : why);
}

static bool is_closing(const struct http_link *link)
{
    return link->ended || link->close_when_flushed || link->linger_when_flushed || link->lingering;
}

static void feed(struct http_link *link)
{
    struct h2_link *h2 = h2_link_of(link);
    size_t len = buffer_len(&link->in);
    if (len == 0)
        return;
    h2->heard_ms = now_ms(h2);
    h2->pinged_ms = 0;
    enum err err = h2_session_receive(h2->session, buffer_text(&link->in), now_ms(h2));
    buffer_consume(&link->in, len);
    if (err != ERR_NONE && !link->ended) {
        end_session(h2, err);
        return;
    }
    tell_all(h2);
    if (!link->ended)
        http_link_flush(link);
}

/* The peer sends nothing more: answers that are complete are still read by their owners. */
static void at_end(struct h2_link *h2, enum err err)
{
    struct http_link *link = h2->link;
    h2->at_end = true;
    h2->end_err = err;
    for (struct h2_stream *stream = h2->streams; stream != NULL; stream = stream->next) {
        if (link->connection.serving || !stream->remote_ended)
            h2_stream_fail(stream, err, CLOSED_WORDS);
        else
            stream->stream.write_ended = stream->sent_end = true;
    }
    tell_all(h2);
    if (!link->ended && link->connection.stream_count == 0)
        http_link_fail(link, err, CLOSED_WORDS);
    else
        link->answer_kept = true;
}

void h2_connection_on_readable(struct http_link *link)
{
    struct h2_link *h2 = h2_link_of(link);
    /* A backend is asked for no more than we want; and before it fails we want all it said. */
    uint32_t left = link->connection.serving ? LIMIT_H2_READS : UINT32_MAX;
    while (!is_closing(link) && !h2->at_end) {
        if (left-- == 0) {
            stream_yield(&link->connection.stream);
            break;
        }
        enum err err = http_link_read(link, LIMIT_BUFFER_BLOCK);
        if (err == ERR_AGAIN)
            break;
        if (err != ERR_NONE) {
            at_end(h2, err);
            return;
        }
        feed(link);
    }
    if (!link->ended)
        arm_next(h2);
}

/* What is due when the turn's frames are out. */
static void settle(struct h2_link *h2)
{
    struct http_link *link = h2->link;
    bool drained = link->connection.draining && !has_streams(h2) && !awaits_ping(h2);
    if (is_closing(link))
        return;
    if ((h2->goaway_due || drained) && !h2->goaway_sent) {
        h2->goaway_sent = true;
        h2_session_goaway(h2->session, H2_NO_ERROR);
        if (h2_session_flush(h2->session, SIZE_MAX) != ERR_NONE)
            drained = true;
    }
    if (h2->at_end && link->connection.stream_count == 0)
        http_link_fail(link, h2->end_err, CLOSED_WORDS);
    else if (drained && link->connection.serving)
        http_link_linger(link, ERR_NONE, link->connection.why);
    else if (drained)
        http_link_close_flushed(link, ERR_NONE, link->connection.why);
    else if (h2_session_is_over(h2->session))
        end_session(h2, h2_session_why(h2->session) == NULL ? ERR_NONE : ERR_PROTOCOL);
}

void h2_connection_on_flush(struct http_link *link)
{
    struct h2_link *h2 = h2_link_of(link);
    tell_all(h2);
    while (!link->ended) {
        if (h2_session_flush(h2->session, LIMIT_H2_OUT) != ERR_NONE) {
            http_link_fail(link, ERR_PROTOCOL, h2_session_why(h2->session));
            return;
        }
        if (h2->news_first == NULL || buffer_len(&link->out) >= LIMIT_H2_OUT)
            break;
        tell_all(h2);
    }
    if (!link->ended)
        settle(h2);
    reap(h2);
}

void h2_connection_on_written(struct http_link *link)
{
    struct h2_link *h2 = h2_link_of(link);
    if (buffer_len(&link->out) <= LIMIT_H2_OUT / 2 &&
        (h2->news_first != NULL || h2_session_has_output(h2->session)))
        http_link_flush(link);
}

/* ---- making and ending ---- */

void h2_connection_start(struct http_link *link, const struct h2_side *side, bool serving)
{
    struct h2_link *h2 = memory_new(struct h2_link);
    uint32_t window = link->connection.settings->stream_window;
    window = window == 0 ? LIMIT_H2_STREAM_WINDOW : window;
    link->codec = h2;
    h2->link = link;
    h2->side = side;
    h2->session = h2_session_new(serving, window, &link->out, &EVENTS, h2);
    h2->started_ms = h2->idle_ms = h2->heard_ms = now_ms(h2);
    http_link_flush(link);
    if (!serving)
        http_link_ready(link);
    else if (link->connection.draining)
        h2_connection_drain(link);
    if (!link->ended)
        feed(link);
    arm_next(h2);
}

void h2_connection_drain(struct http_link *link)
{
    struct h2_link *h2 = h2_link_of(link);
    link->connection.draining = true;
    if (link->connection.serving && !h2->noticed && !h2->goaway_sent) {
        h2->noticed = true;
        h2->notice_ms = now_ms(h2);
        h2_session_notice(h2->session);
        arm(h2, NOTICE_MS);
    }
    http_link_flush(link);
}

void h2_connection_end(struct http_link *link, enum err why)
{
    struct h2_link *h2 = h2_link_of(link);
    h2->ending = true;
    h2->telling = false;
    fail_streams(h2, why == ERR_NONE ? ERR_CLOSED : why,
                 link->connection.why == NULL ? "h2: connection ended" : link->connection.why);
    tell_all(h2);
}

void h2_connection_free(struct http_link *link)
{
    struct h2_link *h2 = h2_link_of(link);
    if (h2 == NULL)
        return;
    h2_session_free(h2->session);
    struct h2_stream *const lists[] = {h2->streams, h2->dead};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct h2_stream *next;
        for (struct h2_stream *stream = lists[i]; stream != NULL; stream = next) {
            next = stream->next;
            h2_stream_free(stream);
        }
    }
    free(h2);
    link->codec = NULL;
}
