/* Connections from their beginning to their end: the transport's events, the choice of a codec, and
 * who is told when it is over. Codecs stand on http/link.h; this file stands on the codecs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "http/link.h"

static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"; /* RFC 9113 3.4 */

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

void http_close(struct http_connection *connection, enum err why)
{
    http_link_fail(http_link_of(connection), why,
                   connection->why == NULL ? "closed" : connection->why);
}

/* ---- the choice of a codec ---- */

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
    if (serving && link->connection.events->on_connected != NULL)
        link->connection.events->on_connected(link->connection.owner, &link->connection);
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
        const struct http_connection_events *told = link->connection.events;
        if (stream->proxy_header != NULL && told->on_refused != NULL)
            told->on_refused(link->connection.owner, &link->connection, 0, "proxy_protocol");
        http_link_fail(link, stream->err, stream->why);
        return;
    }
    if (events & STREAM_CONNECTED)
        on_connected(link);
    if (!link->ended && events & STREAM_WRITABLE)
        http_link_write_out(link);
    if (link->ended || (events & STREAM_READABLE) == 0)
        return;
    if (link->lingering)
        http_link_drop_input(link);
    else if (!link->started)
        detect(link);
    if (!link->ended && link->started && !link->lingering && stream->read_ready)
        link->connection.ops->on_readable(link);
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
        http_link_write_out(link);
}

static void on_timer(void *owner)
{
    struct http_link *link = owner;
    if (link->lingering)
        http_link_fail(link, link->end_err, link->connection.why);
    else if (!link->started)
        http_link_fail(link, link->connection.draining ? ERR_NONE : ERR_TIMEOUT, "no request came");
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
    link->connection.drain_idle_ms = LIMIT_DRAIN_IDLE_MS;
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
    struct stream *stream = &link->connection.stream;
    stream->chooser = settings->chooser;
    enum err err = settings->proxy_protocol ? stream_accept_proxied(stream, loop, fd, peer, tls,
                                                                    http_link_header_ms(link))
                                            : stream_accept(stream, loop, fd, peer, tls);
    if (err != ERR_NONE) {
        free_link(link);
        return NULL;
    }
    return &link->connection;
}

struct http_connection *http_take_over(struct stream *from, struct text early,
                                       struct tls_context *tls,
                                       const struct http_settings *settings,
                                       const struct http_connection_events *events, void *owner)
{
    struct http_link *link = new_link(from->loop, settings, events, owner);
    link->connection.serving = true;
    link->connection.stream.chooser = settings->chooser;
    if (stream_take_over(&link->connection.stream, from, early, tls) == ERR_NONE)
        return &link->connection;
    free_link(link);
    return NULL;
}

struct http_connection *http_connect(struct loop *loop, const struct address *to,
                                     struct tls_context *tls, struct text server_name,
                                     uint32_t connect_ms, const struct http_settings *settings,
                                     const struct http_connection_events *events, void *owner)
{
    struct http_link *link = new_link(loop, settings, events, owner);
    struct stream *stream = &link->connection.stream;
    enum err err = stream_connect(stream, loop, to, tls, server_name,
                                  connect_ms == 0 ? LIMIT_CONNECT_MS : connect_ms);
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

void http_drain(struct http_connection *connection, uint32_t idle_ms)
{
    struct http_link *link = http_link_of(connection);
    if (connection->draining || link->ended)
        return;
    connection->draining = true;
    if (idle_ms != 0)
        connection->drain_idle_ms = idle_ms;
    if (!link->started && connection->serving && timer_is_armed(&link->timer))
        loop_arm(connection->loop, &link->timer, http_link_idle_ms(link)); /* its first bytes */
    else if (!link->started && !connection->serving)
        http_link_fail(link, ERR_NONE, "drained");
    else if (link->started && !link->lingering)
        connection->ops->drain(link);
}
