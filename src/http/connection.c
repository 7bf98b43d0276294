/* Connections without their protocol: the transport, the choice of a codec, writing at the end of
 * the turn, lingering, and the one way to the end. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "http/connection_internal.h"

static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"; /* RFC 9113 3.4 */

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value == 0 ? otherwise : value;
}

uint32_t http_link_header_ms(const struct http_link *link)
{
    return or_default(link->connection.settings->header_ms, LIMIT_HEADER_MS);
}

uint32_t http_link_body_ms(const struct http_link *link)
{
    return or_default(link->connection.settings->body_ms, LIMIT_BODY_MS);
}

uint32_t http_link_idle_ms(const struct http_link *link)
{
    uint32_t otherwise = link->connection.serving ? LIMIT_IDLE_MS : LIMIT_UPSTREAM_IDLE_MS;
    return or_default(link->connection.settings->idle_ms, otherwise);
}

uint32_t http_link_write_ms(const struct http_link *link)
{
    return or_default(link->connection.settings->write_ms, LIMIT_WRITE_MS);
}

bool http_link_is_tls(const struct http_link *link)
{
    return link->connection.stream.tls != NULL;
}

/* ---- the end ---- */

static void free_link(struct http_link *link)
{
    stream_close(&link->connection.stream);
    loop_disarm(link->connection.loop, &link->timer);
    loop_disarm(link->connection.loop, &link->write_timer);
    loop_undefer(link->connection.loop, &link->flush);
    loop_undefer(link->connection.loop, &link->finish);
    buffer_fini(&link->in);
    buffer_fini(&link->out);
    free(link);
}

static void on_finish(void *owner)
{
    struct http_link *link = owner;
    struct http_connection *connection = &link->connection;
    if (link->started)
        connection->ops->end(link, link->end_err);
    connection->events->on_closed(connection->owner, connection, link->end_err);
    if (link->started)
        connection->ops->free(link);
    free_link(link);
}

void http_link_fail(struct http_link *link, enum err err, const char *why)
{
    if (link->ended)
        return;
    link->ended = true;
    link->end_err = err;
    link->connection.why = why;
    stream_close(&link->connection.stream);
    loop_disarm(link->connection.loop, &link->timer);
    loop_disarm(link->connection.loop, &link->write_timer);
    loop_undefer(link->connection.loop, &link->flush);
    loop_defer(link->connection.loop, &link->finish);
}

void http_close(struct http_connection *connection, enum err why)
{
    http_link_fail(http_link_of(connection), why,
                   connection->why == NULL ? "closed" : connection->why);
}

/* FIN now; what still comes is dropped for a moment, since closing on unread bytes would reset the
 * connection and take our last words from the peer. */
static void begin_linger(struct http_link *link)
{
    link->linger_when_flushed = false;
    link->lingering = true;
    link->linger_left = LIMIT_LINGER_BYTES;
    buffer_fini(&link->in);
    buffer_init(&link->in, loop_buffers(link->connection.loop));
    stream_end_write(&link->connection.stream);
    loop_arm(link->connection.loop, &link->timer, LIMIT_LINGER_MS);
    stream_resume(&link->connection.stream);
}

static void drop_input(struct http_link *link)
{
    for (;;) {
        enum err err = stream_read(&link->connection.stream, &link->in, LIMIT_BUFFER_BLOCK);
        if (err == ERR_AGAIN)
            return;
        size_t len = buffer_len(&link->in);
        buffer_consume(&link->in, len);
        if (err != ERR_NONE || len >= link->linger_left) {
            http_link_fail(link, link->end_err, link->connection.why);
            return;
        }
        link->linger_left -= len;
    }
}

void http_link_close_flushed(struct http_link *link, enum err err, const char *why)
{
    link->end_err = err;
    link->connection.why = why;
    link->close_when_flushed = true;
    http_link_flush(link);
}

void http_link_linger(struct http_link *link, enum err err, const char *why)
{
    link->end_err = err;
    link->connection.why = why;
    link->linger_when_flushed = true;
    http_link_flush(link);
}

/* ---- writing ---- */

void http_link_flush(struct http_link *link)
{
    if (!link->flushing && !link->ended)
        loop_defer(link->connection.loop, &link->flush);
}

/* A backend may have answered and closed while we were still sending: its answer counts. */
static void on_write_error(struct http_link *link)
{
    struct stream *stream = &link->connection.stream;
    const char *why = stream->why == NULL ? "write: failed" : stream->why;
    link->write_broken = true;
    buffer_consume(&link->out, buffer_len(&link->out));
    if (!link->connection.serving && link->started)
        link->connection.ops->on_readable(link);
    if (!link->answer_kept)
        http_link_fail(link, ERR_CLOSED, why);
}

static void watch_progress(struct http_link *link, bool blocked, bool took)
{
    struct loop *loop = link->connection.loop;
    if (!blocked)
        loop_disarm(loop, &link->write_timer);
    else if (took || !timer_is_armed(&link->write_timer))
        loop_arm(loop, &link->write_timer, http_link_write_ms(link));
}

static void write_out(struct http_link *link)
{
    size_t before = buffer_len(&link->out);
    if (link->write_broken)
        return;
    if (before > 0) {
        enum err err = stream_write(&link->connection.stream, &link->out);
        if (err != ERR_NONE && err != ERR_AGAIN) {
            on_write_error(link);
            return;
        }
        bool took = buffer_len(&link->out) < before;
        watch_progress(link, err == ERR_AGAIN, took);
        if (took && link->started && !link->lingering)
            link->connection.ops->on_written(link);
    }
    if (link->ended || buffer_len(&link->out) > 0)
        return;
    if (link->fin_when_flushed) {
        link->fin_when_flushed = false;
        stream_end_write(&link->connection.stream);
    }
    if (link->linger_when_flushed)
        begin_linger(link);
    else if (link->close_when_flushed)
        http_link_fail(link, link->end_err, link->connection.why);
}

static void on_flush(void *owner)
{
    struct http_link *link = owner;
    if (link->ended)
        return;
    if (link->started && !link->lingering) {
        link->flushing = true;
        link->connection.ops->on_flush(link);
        link->flushing = false;
        if (link->ended)
            return;
    }
    if (link->connection.stream.connected)
        write_out(link);
}

size_t http_link_write_through(struct http_link *link, struct text bytes)
{
    size_t taken = 0;
    if (link->ended || link->write_broken)
        return 0;
    enum err err = stream_write_more(&link->connection.stream, &link->out, bytes, &taken);
    if (err != ERR_NONE && err != ERR_AGAIN)
        http_link_flush(link); /* meets the error again, at the end of the turn */
    watch_progress(link, err == ERR_AGAIN, taken > 0);
    return taken;
}

/* ---- reading ---- */

enum err http_link_read(struct http_link *link, size_t want)
{
    if (link->ended)
        return ERR_AGAIN;
    return stream_read(&link->connection.stream, &link->in, want);
}

void http_link_ready(struct http_link *link)
{
    link->ready_told = true;
    link->connection.events->on_ready(link->connection.owner, &link->connection);
}

static void start(struct http_link *link, bool h2)
{
    struct http_connection *connection = &link->connection;
    if (connection->serving)
        connection->ops = h2 ? &h2_server_ops : &h1_server_ops;
    else
        connection->ops = h2 ? &h2_client_ops : &h1_client_ops;
    connection->version = connection->ops->version;
    link->started = true;
    connection->ops->start(link);
}

/* The first bytes decide: as long as they are the preface, more are waited for. */
static void detect(struct http_link *link)
{
    const size_t whole = sizeof(PREFACE) - 1;
    do {
        bool first = buffer_len(&link->in) == 0;
        enum err err = http_link_read(link, LIMIT_BUFFER_BLOCK);
        if (err == ERR_AGAIN)
            return;
        if (err != ERR_NONE) {
            http_link_fail(link, err, "closed before a request");
            return;
        }
        if (first)
            loop_arm(link->connection.loop, &link->timer, http_link_header_ms(link));
        struct text bytes = buffer_text(&link->in);
        bool same = memcmp(bytes.data, PREFACE, MIN(bytes.len, whole)) == 0;
        if (!same || bytes.len >= whole) {
            start(link, same);
            return;
        }
    } while (link->connection.stream.read_ready);
}

static void on_connected(struct http_link *link)
{
    const struct http_settings *settings = link->connection.settings;
    bool serving = link->connection.serving;
    if (settings->version != HTTP_AUTO)
        start(link, settings->version == HTTP_2);
    else if (http_link_is_tls(link))
        start(link, (!serving || settings->allow_h2) &&
                        text_is(stream_alpn(&link->connection.stream), "h2"));
    else if (!serving || !settings->allow_h2)
        start(link, false);
    else
        loop_arm(link->connection.loop, &link->timer, http_link_idle_ms(link));
}

static void on_event(void *owner, uint32_t events)
{
    struct http_link *link = owner;
    struct stream *stream = &link->connection.stream;
    if (link->ended)
        return;
    if (events & STREAM_FAILED) {
        http_link_fail(link, stream->err, stream->why);
        return;
    }
    if (events & STREAM_CONNECTED)
        on_connected(link);
    if (!link->ended && events & STREAM_WRITABLE)
        write_out(link);
    if (link->ended || (events & STREAM_READABLE) == 0)
        return;
    if (link->lingering)
        drop_input(link);
    else if (!link->started)
        detect(link);
    if (!link->ended && link->started && !link->lingering && stream->read_ready)
        link->connection.ops->on_readable(link);
}

static void on_timer(void *owner)
{
    struct http_link *link = owner;
    if (link->lingering)
        http_link_fail(link, link->end_err, link->connection.why);
    else if (!link->started)
        http_link_fail(link, ERR_TIMEOUT, "no request came");
    else
        link->connection.ops->on_timer(link);
}

static void on_write_timer(void *owner)
{
    http_link_fail(owner, ERR_TIMEOUT, "the peer reads nothing");
}

/* ---- the beginning ---- */

static struct http_link *new_link(struct loop *loop, const struct http_settings *settings,
                                  const struct http_connection_events *events, void *owner)
{
    struct http_link *link = memory_new(struct http_link);
    link->connection.loop = loop;
    link->connection.settings = settings;
    link->connection.events = events;
    link->connection.owner = owner;
    link->connection.stream.owner = link;
    link->connection.stream.on_event = on_event;
    buffer_init(&link->in, loop_buffers(loop));
    buffer_init(&link->out, loop_buffers(loop));
    timer_init(&link->timer, link, on_timer);
    timer_init(&link->write_timer, link, on_write_timer);
    defer_init(&link->flush, link, on_flush);
    defer_init(&link->finish, link, on_finish);
    return link;
}

struct http_connection *http_serve(struct loop *loop, int fd, const struct address *peer,
                                   struct tls_context *tls, const struct http_settings *settings,
                                   const struct http_connection_events *events, void *owner)
{
    struct http_link *link = new_link(loop, settings, events, owner);
    link->connection.serving = true;
    if (stream_accept(&link->connection.stream, loop, fd, peer, tls) != ERR_NONE) {
        free_link(link);
        return NULL;
    }
    return &link->connection;
}

struct http_connection *http_connect(struct loop *loop, const struct address *to,
                                     struct tls_context *tls, struct text server_name,
                                     uint32_t connect_ms, const struct http_settings *settings,
                                     const struct http_connection_events *events, void *owner)
{
    struct http_link *link = new_link(loop, settings, events, owner);
    struct stream *stream = &link->connection.stream;
    enum err err = stream_connect(stream, loop, to, tls, server_name,
                                  or_default(connect_ms, LIMIT_CONNECT_MS));
    if (err != ERR_NONE)
        http_link_fail(link, err, stream->why == NULL ? "connect: failed" : stream->why);
    return &link->connection;
}

struct http_stream *http_open(struct http_connection *connection)
{
    return http_can_open(connection) ? connection->ops->open(http_link_of(connection)) : NULL;
}

bool http_can_open(const struct http_connection *connection)
{
    const struct http_link *link = http_link_of(connection);
    return !connection->serving && link->started && !link->ended && !connection->draining &&
           !link->write_broken && !link->close_when_flushed && !link->linger_when_flushed &&
           !link->lingering && connection->ops->can_open(link);
}

void http_drain(struct http_connection *connection)
{
    struct http_link *link = http_link_of(connection);
    if (connection->draining || link->ended)
        return;
    connection->draining = true;
    if (!link->started && buffer_len(&link->in) == 0)
        http_link_fail(link, ERR_NONE, "drained");
    else if (link->started && !link->lingering)
        connection->ops->drain(link);
}
