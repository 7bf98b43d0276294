/* A request on a connection of its own. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/fetch.h"

#include "base/builder.h"
#include "http/connection.h"

struct fetch {
    struct loop *loop;
    struct http_connection *connection;
    struct arena *arena;
    struct text host, path;
    struct builder body;
    struct fetch_answer answer;
    bool done, sent;
};

static void on_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    (void)stream;
    struct fetch *fetch = owner;
    fetch->answer.status = head->status;
    fetch->done = end;
}

static void on_readable(void *owner, struct http_stream *stream)
{
    struct fetch *fetch = owner;
    for (;;) {
        struct text bytes = http_stream_peek(stream);
        if (bytes.len == 0)
            break;
        builder_add(&fetch->body, bytes);
        http_stream_consume(stream, bytes.len);
    }
    fetch->done |= stream->read_ended;
}

static void on_writable(void *owner, struct http_stream *stream)
{
    (void)owner;
    (void)stream;
}

static void on_abort(void *owner, struct http_stream *stream, enum err err)
{
    struct fetch *fetch = owner;
    fetch->answer.why = stream->why != NULL ? stream->why : err_name(err);
    fetch->answer.status = 0;
    fetch->done = true;
}

static void on_stream_closed(void *owner, struct http_stream *stream)
{
    (void)stream;
    struct fetch *fetch = owner;
    fetch->done = true;
}

static const struct http_stream_events STREAM_EVENTS = {
    .on_head = on_head,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_abort = on_abort,
    .on_closed = on_stream_closed,
};

static void on_ready(void *owner, struct http_connection *connection)
{
    struct fetch *fetch = owner;
    struct http_stream *stream = fetch->sent ? NULL : http_open(connection);
    if (stream == NULL)
        return;
    fetch->sent = true;
    http_stream_own(stream, &STREAM_EVENTS, fetch);
    struct message request;
    message_init(&request);
    request.method = METHOD_GET;
    request.method_name = TEXT("GET");
    request.scheme = TEXT("http");
    request.authority = fetch->host;
    request.path = fetch->path;
    request.version = 11;
    http_stream_send_head(stream, &request, true);
}

static void on_closed(void *owner, struct http_connection *connection, enum err err)
{
    struct fetch *fetch = owner;
    if (!fetch->done && fetch->answer.status == 0)
        fetch->answer.why = connection->why != NULL ? connection->why : err_name(err);
    fetch->connection = NULL;
    fetch->done = true;
}

static const struct http_connection_events CONNECTION_EVENTS = {
    .on_ready = on_ready,
    .on_closed = on_closed,
};

struct fetch_answer fetch_get(struct loop *loop, const struct address *to, struct text host,
                              struct text path, uint32_t timeout_ms, struct arena *arena)
{
    static const struct http_settings settings = {.version = HTTP_1};
    struct fetch fetch = {.loop = loop, .arena = arena, .host = host, .path = path};
    (void)loop_tick(loop);
    uint64_t deadline = loop_now_ms(loop) + timeout_ms;
    fetch.connection =
        http_connect(loop, to, NULL, TEXT_NONE, timeout_ms, &settings, &CONNECTION_EVENTS, &fetch);
    if (fetch.connection == NULL) {
        fetch.answer.why = "the kernel refused a socket";
        return fetch.answer;
    }
    while (!fetch.done && loop_now_ms(loop) < deadline)
        if (!loop_turn(loop, (int)(deadline - loop_now_ms(loop))))
            break;
    if (!fetch.done) {
        fetch.answer.status = 0;
        fetch.answer.why = "no answer in time";
    }
    if (fetch.connection != NULL)
        http_close(fetch.connection, ERR_NONE);
    loop_settle(loop);
    CHECK(fetch.connection == NULL);
    fetch.answer.body = arena_text(arena, builder_text(&fetch.body));
    builder_fini(&fetch.body);
    return fetch.answer;
}
