/* A raw HTTP/2 client that may say anything, against a server of ours on the other end of a socket
 * pair. Answers are kept as frames. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/builder.h"
#include "base/limits.h"
#include "base/memory.h"
#include "http/connection.h"
#include "test.h"

#define RAW_DEADLINE_MS 20000
#define RAW_FRAMES      4096
#define RAW_IN          (8u << 20)

enum {
    RAW_DATA,
    RAW_HEADERS,
    RAW_PRIORITY,
    RAW_RESET,
    RAW_SETTINGS,
    RAW_PUSH,
    RAW_PING,
    RAW_GOAWAY,
    RAW_WINDOW,
    RAW_CONTINUATION
};
enum { RAW_END = 1, RAW_ACK = 1, RAW_END_HEADERS = 4, RAW_PADDED = 8 };

struct raw_frame {
    uint8_t type, flags, first; /* first byte of the payload: of HEADERS it tells the status */
    uint32_t id, len, code;     /* code of RST_STREAM and GOAWAY */
};

struct raw {
    struct loop *loop;
    struct http_connection *connection; /* NULL once closed */
    struct http_settings settings;
    int fd;
    bool blocked, closed; /* closed: by the server */
    struct builder out;
    size_t out_at;
    unsigned char *in;
    size_t in_len, skip; /* skip: bytes of the client's preface, when we play the server */
    struct raw_frame frames[RAW_FRAMES];
    size_t frame_count;
    /* what the server's owner saw */
    uint32_t heads, aborts, ended_streams, refused;
    enum err abort_err, closed_err;
    const char *why;
    char reason[64], path[256], host[256], cookie[256];
    uint64_t body_bytes;
    bool hold;      /* answers nothing */
    bool keep_body; /* consumes nothing */
    bool early;     /* answers with a body and does not want the rest of the request */
    bool got_expect;
};

/* ---- the served side ---- */

static inline void raw_answer(struct http_stream *stream)
{
    struct message answer;
    message_init(&answer);
    answer.status = 200;
    answer.framing = FRAMING_LENGTH;
    if (!stream->head_sent)
        http_stream_send_head(stream, &answer, true);
}

static inline void raw_answer_early(struct http_stream *stream)
{
    struct message answer;
    message_init(&answer);
    answer.status = 404;
    answer.framing = FRAMING_LENGTH;
    answer.content_length = 5;
    http_stream_send_head(stream, &answer, false);
    assert_int_equal(http_stream_write(stream, TEXT("none\n"), true), 5);
    http_stream_reset(stream, ERR_NONE);
}

static inline void raw_on_readable(void *owner, struct http_stream *stream)
{
    struct raw *raw = owner;
    if (raw->keep_body)
        return;
    for (struct text bytes; (bytes = http_stream_peek(stream)).len > 0;) {
        raw->body_bytes += bytes.len;
        http_stream_consume(stream, bytes.len);
    }
    if (stream->read_ended && !raw->hold)
        raw_answer(stream);
}

static inline void raw_on_head(void *owner, struct http_stream *stream, struct message *head,
                               bool end)
{
    struct raw *raw = owner;
    struct text cookie = message_value(head, NAME_COOKIE);
    raw->heads++;
    raw->got_expect = head->expect_continue;
    snprintf(raw->path, sizeof(raw->path), TEXT_FMT, TEXT_ARG(head->path));
    snprintf(raw->host, sizeof(raw->host), TEXT_FMT, TEXT_ARG(head->host));
    snprintf(raw->cookie, sizeof(raw->cookie), TEXT_FMT, TEXT_ARG(cookie));
    if (raw->early)
        raw_answer_early(stream);
    else if (end && !raw->hold)
        raw_answer(stream);
}

static inline void raw_on_writable(void *owner, struct http_stream *stream)
{
    (void)owner;
    (void)stream;
}

static inline void raw_on_abort(void *owner, struct http_stream *stream, enum err err)
{
    struct raw *raw = owner;
    assert_non_null(stream->why);
    raw->aborts++;
    raw->abort_err = err;
}

static inline void raw_on_stream_closed(void *owner, struct http_stream *stream)
{
    (void)stream;
    ((struct raw *)owner)->ended_streams++;
}

static const struct http_stream_events RAW_STREAM = {
    .on_head = raw_on_head,
    .on_readable = raw_on_readable,
    .on_writable = raw_on_writable,
    .on_abort = raw_on_abort,
    .on_closed = raw_on_stream_closed,
};

static inline void raw_on_stream(void *owner, struct http_stream *stream)
{
    http_stream_own(stream, &RAW_STREAM, owner);
}

static inline void raw_on_refused(void *owner, struct http_connection *connection, int status,
                                  const char *reason)
{
    struct raw *raw = owner;
    (void)connection;
    assert_true(status >= 400 || status == 0);
    raw->refused++;
    snprintf(raw->reason, sizeof(raw->reason), "%s", reason);
}

static inline void raw_on_closed(void *owner, struct http_connection *connection, enum err err)
{
    struct raw *raw = owner;
    raw->connection = NULL;
    raw->closed_err = err;
    raw->why = connection->why;
}

static const struct http_connection_events RAW_CONNECTION = {
    .on_stream = raw_on_stream,
    .on_refused = raw_on_refused,
    .on_closed = raw_on_closed,
};

static inline struct raw *raw_new(void)
{
    struct raw *raw = calloc(1, sizeof(*raw));
    int fds[2];
    struct address none = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    raw->fd = fds[0];
    raw->loop = loop_new(NULL);
    raw->in = malloc(RAW_IN);
    raw->settings = (struct http_settings){.allow_h2 = true};
    raw->connection =
        http_serve(raw->loop, fds[1], &none, NULL, &raw->settings, &RAW_CONNECTION, raw);
    assert_non_null(raw->connection);
    return raw;
}

static inline void raw_free(struct raw *raw)
{
    if (raw->connection != NULL)
        http_close(raw->connection, ERR_NONE);
    loop_turn(raw->loop, 0);
    assert_null(raw->connection);
    assert_int_equal(raw->ended_streams, raw->heads); /* each on_closed was told */
    assert_int_equal(loop_buffers(raw->loop)->lent_bytes, 0);
    loop_free(raw->loop);
    close(raw->fd);
    builder_fini(&raw->out);
    free(raw->in);
    free(raw);
}
