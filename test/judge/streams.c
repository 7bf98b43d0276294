/* Long streams of numbered items, three kinds in turn: events over HTTP/1, an echo both ways over
 * HTTP/2, and the same behind 101. Each item must come once, in order; a stream must end cleanly
 * behind its last. A stream that ends too early is replaced, so that there are always as many. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/builder.h"
#include "base/memory.h"
#include "judge.h"

enum kind { KIND_EVENTS, KIND_ECHO, KIND_SWITCHED, KINDS };

struct flow {
    struct streams *streams;
    enum kind kind;
    struct http_connection *connection;
    struct http_stream *stream;
    struct builder line; /* of an item, as far as it came */
    uint64_t sent, expected;
    struct timer timer;
    bool is_asked, is_whole;
};

struct streams {
    struct judge *judge;
    struct flow *flows; /* owns */
    uint32_t count, open;
    bool is_finishing;
};

static void flow_start(struct flow *flow);

static void take_item(struct flow *flow, struct text line)
{
    struct judge_counts *counts = &flow->streams->judge->counts;
    uint64_t number = 0;
    struct text digits = flow->kind == KIND_EVENTS ? text_slice(line, 6, line.len) : line;
    counts->items++;
    if (!text_to_u64(digits, &number) || (number < flow->expected && number + 1 < flow->expected))
        counts->reordered++;
    else if (number < flow->expected)
        counts->repeated++;
    else
        counts->missing += number - flow->expected;
    flow->expected = MAX(flow->expected, number + 1);
}

static void take(struct flow *flow, struct text bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.data[i] != '\n') {
            builder_add_char(&flow->line, bytes.data[i]);
            continue;
        }
        take_item(flow, builder_text(&flow->line));
        builder_clear(&flow->line);
    }
}

static bool has_all(const struct flow *flow)
{
    return flow->expected >= flow->streams->judge->options->items;
}

static void on_readable(void *owner, struct http_stream *stream)
{
    struct flow *flow = owner;
    struct text bytes;
    while ((bytes = http_stream_peek(stream)).len > 0) {
        take(flow, bytes);
        http_stream_consume(stream, bytes.len);
    }
    flow->is_whole = flow->is_whole || (stream->read_ended && has_all(flow)) ||
                     (flow->kind == KIND_SWITCHED && has_all(flow));
    if (flow->is_whole && flow->connection != NULL && flow->kind == KIND_SWITCHED)
        http_close(flow->connection, ERR_NONE);
}

static void on_item_due(void *owner)
{
    struct flow *flow = owner;
    struct http_stream *stream = flow->stream;
    char line[32];
    if (flow->connection == NULL) { /* the last could not be had */
        if (flow->streams->is_finishing)
            flow->streams->open--;
        else
            flow_start(flow);
        return;
    }
    if (stream == NULL || stream->aborted || stream->write_ended)
        return;
    bool is_last = flow->sent + 1 == flow->streams->judge->options->items;
    int len = snprintf(line, sizeof(line), "%llu\n", (unsigned long long)flow->sent);
    bool ends = is_last && flow->kind == KIND_ECHO;
    if (http_stream_write(stream, text_from(line, (size_t)len), ends) == (size_t)len)
        flow->sent++;
    if (!is_last)
        loop_arm(flow->streams->judge->loop, &flow->timer, JUDGE_ITEM_MS);
}

static void on_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    (void)end;
    struct flow *flow = owner;
    if (head->status != (flow->kind == KIND_SWITCHED ? 101 : 200)) {
        flow->streams->judge->counts.bad++;
        http_stream_reset(stream, ERR_PROTOCOL);
        return;
    }
    if (flow->kind == KIND_SWITCHED)
        on_item_due(flow);
    on_readable(flow, stream);
}

static void on_writable(void *owner, struct http_stream *stream)
{
    (void)owner, (void)stream;
}

static void on_abort(void *owner, struct http_stream *stream, enum err err)
{
    (void)owner, (void)stream, (void)err;
}

static void on_stream_closed(void *owner, struct http_stream *stream)
{
    struct flow *flow = owner;
    struct judge *judge = flow->streams->judge;
    if (!flow->is_whole) {
        judge->counts.broken++;
        if (judge->first_loss == NULL)
            judge->first_loss = stream->why == NULL ? "a stream ended early" : stream->why;
    }
    flow->stream = NULL;
    if (flow->connection != NULL)
        http_drain(flow->connection, 0);
}

static void ask(struct flow *flow)
{
    static const char *const names[KINDS] = {"events", "echo", "echo"};
    struct http_stream *stream = flow->stream;
    const struct judge_options *options = flow->streams->judge->options;
    struct message head;
    message_init(&head);
    head.method = flow->kind == KIND_ECHO ? METHOD_POST : METHOD_GET;
    head.method_name = flow->kind == KIND_ECHO ? TEXT("POST") : TEXT("GET");
    head.scheme = TEXT("http");
    head.authority = head.host = text_of(options->host);
    head.path = flow->kind == KIND_EVENTS
                    ? arena_printf(&stream->arena, "/events/%u", options->items)
                    : arena_printf(&stream->arena, "/%s", names[flow->kind]);
    head.framing = flow->kind == KIND_ECHO ? FRAMING_CHUNKED : FRAMING_NONE;
    if (flow->kind == KIND_SWITCHED) {
        head.wants_upgrade = true;
        head.upgrade = TEXT("judge");
    }
    http_stream_send_head(stream, &head, flow->kind != KIND_ECHO);
    if (flow->kind == KIND_ECHO)
        on_item_due(flow);
}

static void on_connection_ready(void *owner, struct http_connection *connection)
{
    static const struct http_stream_events events = {
        .on_head = on_head,
        .on_readable = on_readable,
        .on_writable = on_writable,
        .on_abort = on_abort,
        .on_closed = on_stream_closed,
    };
    struct flow *flow = owner;
    if (flow->stream != NULL || connection->request_count > 0)
        return;
    flow->stream = http_open(connection);
    CHECK(flow->stream != NULL);
    http_stream_own(flow->stream, &events, flow);
    flow->is_asked = true;
    flow->streams->judge->counts.streams++;
    ask(flow);
}

static void on_connection_closed(void *owner, struct http_connection *connection, enum err err)
{
    (void)connection, (void)err;
    struct flow *flow = owner;
    struct streams *streams = flow->streams;
    flow->connection = NULL;
    loop_disarm(streams->judge->loop, &flow->timer);
    streams->judge->counts.refused += !flow->is_asked;
    if (flow->is_asked && streams->is_finishing)
        streams->open--;
    else if (flow->is_asked)
        flow_start(flow);
    else
        loop_arm(streams->judge->loop, &flow->timer, JUDGE_ITEM_MS);
}

static void flow_start(struct flow *flow)
{
    static const struct http_settings one = {.version = HTTP_1, .body_ms = 3600000},
                                      two = {.version = HTTP_2, .body_ms = 3600000};
    static const struct http_connection_events events = {
        .on_ready = on_connection_ready,
        .on_closed = on_connection_closed,
    };
    struct judge *judge = flow->streams->judge;
    flow->is_asked = flow->is_whole = false;
    flow->sent = flow->expected = 0;
    builder_clear(&flow->line);
    flow->connection = http_connect(judge->loop, &judge->options->plain, NULL, TEXT(""), 10000,
                                    flow->kind == KIND_ECHO ? &two : &one, &events, flow);
    if (flow->connection == NULL) {
        judge->counts.refused++;
        loop_arm(judge->loop, &flow->timer, JUDGE_ITEM_MS);
    }
}

struct streams *streams_new(struct judge *judge)
{
    struct streams *streams = memory_new(struct streams);
    streams->judge = judge;
    streams->count = streams->open = judge->options->streams;
    streams->flows = memory_alloc((streams->count + 1) * sizeof(struct flow));
    for (uint32_t i = 0; i < streams->count; i++) {
        struct flow *flow = &streams->flows[i];
        flow->streams = streams;
        flow->kind = (enum kind)(i % KINDS);
        timer_init(&flow->timer, flow, on_item_due);
        flow_start(flow);
    }
    return streams;
}

void streams_finish(struct streams *streams)
{
    streams->is_finishing = true;
}

bool streams_done(const struct streams *streams)
{
    return streams->open == 0;
}

void streams_free(struct streams *streams)
{
    streams->is_finishing = true;
    for (uint32_t i = 0; i < streams->count; i++)
        loop_disarm(streams->judge->loop, &streams->flows[i].timer);
    for (uint32_t i = 0; i < streams->count; i++)
        if (streams->flows[i].connection != NULL)
            http_close(streams->flows[i].connection, ERR_TIMEOUT);
    loop_settle(streams->judge->loop);
    for (uint32_t i = 0; i < streams->count; i++)
        builder_fini(&streams->flows[i].line);
    free(streams->flows);
    free(streams);
}
