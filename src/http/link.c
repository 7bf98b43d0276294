/* The link under every codec: what is read and written, the end of a turn, lingering, and the one
 * way to the end. It calls the codec by its ops alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/link.h"

#include "base/limits.h"

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
    uint32_t idle = or_default(link->connection.settings->idle_ms, otherwise);
    return link->connection.draining ? MIN(idle, link->connection.drain_idle_ms) : idle;
}

uint32_t http_link_write_ms(const struct http_link *link)
{
    return or_default(link->connection.settings->write_ms, LIMIT_WRITE_MS);
}

uint32_t http_link_queue_ms(const struct http_link *link)
{
    return or_default(link->connection.settings->queue_ms, LIMIT_CONNECT_MS);
}

bool http_link_is_tls(const struct http_link *link)
{
    return link->connection.stream.tls != NULL;
}

/* ---- the end ---- */

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

void http_link_drop_input(struct http_link *link)
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

void http_link_write_out(struct http_link *link)
{
    size_t before = buffer_len(&link->out);
    if (link->write_broken)
        return;
    if (before > 0) {
        enum err err = stream_write(&link->connection.stream, &link->out);
        link->written += before - buffer_len(&link->out);
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

size_t http_link_write_through(struct http_link *link, struct text bytes)
{
    size_t taken = 0, before = buffer_len(&link->out);
    if (link->ended || link->write_broken)
        return 0;
    enum err err = stream_write_more(&link->connection.stream, &link->out, bytes, &taken);
    link->written += before - buffer_len(&link->out) + taken;
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
