/* The owner of a serving connection under test (h1_rig.h): reads each request whole and answers
 * 200; what it saw is written down as text. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/builder.h"
#include "http/connection.h"
#include "test.h"

struct rig {
    struct loop *loop;
    struct http_settings settings;
    struct http_connection *connection;
    struct http_stream *stream;
    int fd;                      /* the client's end */
    bool closed, fd_ended, hold; /* hold: the owner answers when the test says so */
    uint32_t streams, complete, aborted, streams_closed, refused;
    int refused_status;
    struct builder seen;  /* "GET /a?q HTTP/1.1 host=a\nname: value\n\nbody\n--\n" per request */
    struct builder got;   /* what the client read */
    struct text body;     /* of the answers; none: empty */
    enum framing framing; /* of the answers */
};

static inline void rig_record_head(struct rig *rig, const struct message *head)
{
    builder_add(&rig->seen, head->method_name);
    builder_add_char(&rig->seen, ' ');
    builder_add(&rig->seen, head->path);
    if (head->has_query) {
        builder_add_char(&rig->seen, '?');
        builder_add(&rig->seen, head->query);
    }
    builder_add_string(&rig->seen, head->version == 10 ? " HTTP/1.0 host=" : " HTTP/1.1 host=");
    builder_add(&rig->seen, head->authority);
    builder_add_char(&rig->seen, '\n');
    if (head->framing == FRAMING_LENGTH)
        builder_printf(&rig->seen, "content-length: %llu\n",
                       (unsigned long long)head->content_length);
    for (uint32_t i = 0; i < head->field_count; i++) {
        builder_add(&rig->seen, head->fields[i].name);
        builder_add_string(&rig->seen, ": ");
        builder_add(&rig->seen, head->fields[i].value);
        builder_add_char(&rig->seen, '\n');
    }
    builder_add_char(&rig->seen, '\n');
}

static inline void rig_answer(struct rig *rig, struct http_stream *stream)
{
    struct message head;
    message_init(&head);
    head.status = 200;
    head.framing = rig->framing;
    head.content_length = rig->body.len;
    http_stream_send_head(stream, &head, rig->body.len == 0);
    if (rig->body.len > 0)
        (void)http_stream_write(stream, rig->body, true);
}

static inline void rig_complete(struct rig *rig, struct http_stream *stream)
{
    for (uint32_t i = 0; i < stream->trailers.field_count; i++) {
        builder_add_string(&rig->seen, "\ntrailer ");
        builder_add(&rig->seen, stream->trailers.fields[i].name);
        builder_add_string(&rig->seen, ": ");
        builder_add(&rig->seen, stream->trailers.fields[i].value);
    }
    builder_add_string(&rig->seen, "\n--\n");
    rig->complete++;
    if (!rig->hold)
        rig_answer(rig, stream);
}

static inline void rig_pull(struct rig *rig, struct http_stream *stream)
{
    for (;;) {
        struct text bytes = http_stream_peek(stream);
        if (bytes.len == 0)
            break;
        builder_add(&rig->seen, bytes);
        http_stream_consume(stream, bytes.len);
    }
    if (stream->read_ended)
        rig_complete(rig, stream);
}

static inline void rig_on_head(void *owner, struct http_stream *stream, struct message *head,
                               bool end)
{
    struct rig *rig = owner;
    rig_record_head(rig, head);
    if (end)
        rig_complete(rig, stream);
    else if (head->expect_continue)
        rig_pull(rig, stream);
}

static inline void rig_on_readable(void *owner, struct http_stream *stream)
{
    rig_pull(owner, stream);
}

static inline void rig_on_writable(void *owner, struct http_stream *stream)
{
    (void)owner;
    (void)stream;
}

static inline void rig_on_abort(void *owner, struct http_stream *stream, enum err err)
{
    struct rig *rig = owner;
    (void)stream;
    assert_int_not_equal(err, ERR_NONE);
    rig->aborted++;
}

static inline void rig_on_stream_closed(void *owner, struct http_stream *stream)
{
    struct rig *rig = owner;
    assert_ptr_equal(rig->stream, stream);
    rig->stream = NULL;
    rig->streams_closed++;
}

static const struct http_stream_events RIG_STREAM = {
    .on_head = rig_on_head,
    .on_readable = rig_on_readable,
    .on_writable = rig_on_writable,
    .on_abort = rig_on_abort,
    .on_closed = rig_on_stream_closed,
};

static inline void rig_on_stream(void *owner, struct http_stream *stream)
{
    struct rig *rig = owner;
    assert_null(rig->stream);
    rig->stream = stream;
    rig->streams++;
    http_stream_own(stream, &RIG_STREAM, rig);
}

static inline void rig_on_refused(void *owner, struct http_connection *connection, int status,
                                  const char *reason)
{
    struct rig *rig = owner;
    (void)connection;
    assert_non_null(reason);
    rig->refused++;
    rig->refused_status = status;
}

static inline void rig_on_closed(void *owner, struct http_connection *connection, enum err err)
{
    struct rig *rig = owner;
    (void)err;
    assert_ptr_equal(rig->connection, connection);
    rig->closed = true;
    rig->connection = NULL;
}

static const struct http_connection_events RIG_EVENTS = {
    .on_stream = rig_on_stream,
    .on_refused = rig_on_refused,
    .on_closed = rig_on_closed,
};
