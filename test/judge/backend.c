/* The backend behind the gateway that is judged: says each number back and counts how often it saw
 * it, echoes streams, sends numbered events.
 *
 *   /n/NUMBER      the number as body and in x-number; gRPC: the frame that came
 *   /events/COUNT  one "data: N" each JUDGE_ITEM_MS
 *   /echo          the body as it comes; with Upgrade: what comes behind 101
 *   /report        {"received": .., "doubled": ..}, not counted */
/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/builder.h"
#include "base/memory.h"
#include "event/signals.h"
#include "judge.h"
#include "net/listener.h"

struct backend {
    struct loop *loop;
    struct listener listeners[JUDGE_PORTS];
    uint8_t *seen; /* owns: JUDGE_NUMBERS */
    uint64_t received, doubled;
};

enum kind { KIND_NUMBER, KIND_GRPC, KIND_EVENTS, KIND_ECHO };

struct served {
    struct backend *backend;
    struct http_stream *stream;
    struct builder out; /* not taken yet */
    enum kind kind;
    uint64_t number; /* of the request; events: how many are still to come */
    uint64_t next;   /* event */
    struct timer timer;
    bool ends; /* behind `out` */
};

/* Hands over what there is; gRPC ends by trailers. */
static void push(struct served *served)
{
    struct http_stream *stream = served->stream;
    bool is_grpc = served->kind == KIND_GRPC;
    if (stream->write_ended || stream->aborted || !stream->head_sent)
        return;
    struct text rest = builder_text(&served->out);
    if (rest.len > 0 || (served->ends && !is_grpc)) {
        size_t taken = http_stream_write(stream, rest, served->ends && !is_grpc);
        if (taken > 0)
            memmove(served->out.data, served->out.data + taken, rest.len - taken);
        served->out.len = rest.len - taken;
    }
    if (!is_grpc || !served->ends || served->out.len > 0)
        return;
    struct message trailers;
    message_init(&trailers);
    message_add(&trailers, &stream->arena, TEXT("grpc-status"), TEXT("0"));
    http_stream_send_trailers(stream, &trailers);
}

static void count_number(struct served *served)
{
    struct backend *backend = served->backend;
    if (served->number >= JUDGE_NUMBERS)
        return;
    backend->received++;
    if (backend->seen[served->number] < UINT8_MAX)
        backend->doubled += backend->seen[served->number]++ > 0;
}

static void send_head(struct served *served, int status, enum framing framing, struct text type)
{
    struct http_stream *stream = served->stream;
    struct message head;
    message_init(&head);
    head.status = status;
    head.framing = framing;
    head.content_length = served->out.len;
    if (status == 101)
        head.upgrade = stream->head.upgrade;
    else
        message_add(&head, &stream->arena, TEXT("content-type"), type);
    if (served->kind == KIND_NUMBER || served->kind == KIND_GRPC)
        message_add(&head, &stream->arena, TEXT("x-number"),
                    arena_printf(&stream->arena, "%llu", (unsigned long long)served->number));
    http_stream_send_head(stream, &head, false);
}

static void on_event_due(void *owner)
{
    struct served *served = owner;
    char line[64];
    if (served->stream->aborted)
        return;
    int len = snprintf(line, sizeof(line), "data: %llu\n", (unsigned long long)served->next++);
    builder_add(&served->out, text_from(line, (size_t)len));
    served->ends = served->next >= served->number;
    push(served);
    if (!served->ends)
        loop_arm(served->backend->loop, &served->timer, JUDGE_ITEM_MS);
}

static void answer_report(struct served *served)
{
    char body[128];
    int len = snprintf(body, sizeof(body), "{\"received\": %llu, \"doubled\": %llu}\n",
                       (unsigned long long)served->backend->received,
                       (unsigned long long)served->backend->doubled);
    builder_add(&served->out, text_from(body, (size_t)len));
    served->ends = true;
    send_head(served, 200, FRAMING_LENGTH, TEXT("application/json"));
    push(served);
}

static bool number_behind(struct text path, const char *prefix, uint64_t *ret_number)
{
    struct text start = text_of(prefix);
    return text_starts_with(path, start) &&
           text_to_u64(text_slice(path, start.len, path.len), ret_number);
}

static void on_readable(void *owner, struct http_stream *stream)
{
    struct served *served = owner;
    struct text bytes;
    while ((bytes = http_stream_peek(stream)).len > 0) {
        if (served->kind == KIND_ECHO || served->kind == KIND_GRPC)
            builder_add(&served->out, bytes);
        http_stream_consume(stream, bytes.len);
    }
    bool is_both_ways = served->kind == KIND_ECHO || served->kind == KIND_GRPC;
    if (stream->read_ended && is_both_ways)
        served->ends = true;
    push(served);
}

static void on_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    struct served *served = owner;
    served->stream = stream;
    served->kind = KIND_ECHO;
    if (text_is(head->path, "/report")) {
        served->kind = KIND_EVENTS;
        answer_report(served);
    } else if (number_behind(head->path, "/events/", &served->number)) {
        served->kind = KIND_EVENTS;
        send_head(served, 200, FRAMING_CHUNKED, TEXT("text/event-stream"));
        on_event_due(served);
    } else if (number_behind(head->path, "/n/", &served->number)) {
        bool is_grpc = text_equal(message_value(head, NAME_CONTENT_TYPE), JUDGE_GRPC);
        served->kind = is_grpc ? KIND_GRPC : KIND_NUMBER;
        count_number(served);
        if (!is_grpc) {
            builder_add(&served->out,
                        arena_printf(&stream->arena, "%llu\n", (unsigned long long)served->number));
            served->ends = true;
        }
        send_head(served, 200, is_grpc ? FRAMING_CHUNKED : FRAMING_LENGTH,
                  is_grpc ? JUDGE_GRPC : TEXT("text/plain"));
    } else {
        bool is_switch = head->wants_upgrade;
        send_head(served, is_switch ? 101 : 200, is_switch ? FRAMING_TUNNEL : FRAMING_CHUNKED,
                  TEXT("text/plain"));
    }
    served->ends = served->ends || (end && served->kind != KIND_EVENTS && !head->wants_upgrade);
    on_readable(served, stream);
}

static void on_writable(void *owner, struct http_stream *stream)
{
    (void)stream;
    push(owner);
}

static void on_abort(void *owner, struct http_stream *stream, enum err err)
{
    (void)owner, (void)stream, (void)err;
}

static void on_stream_closed(void *owner, struct http_stream *stream)
{
    (void)stream;
    struct served *served = owner;
    loop_disarm(served->backend->loop, &served->timer);
    builder_fini(&served->out);
    free(served);
}

static void on_stream(void *owner, struct http_stream *stream)
{
    static const struct http_stream_events events = {
        .on_head = on_head,
        .on_readable = on_readable,
        .on_writable = on_writable,
        .on_abort = on_abort,
        .on_closed = on_stream_closed,
    };
    struct served *served = memory_new(struct served);
    served->backend = owner;
    timer_init(&served->timer, served, on_event_due);
    http_stream_own(stream, &events, served);
}

static void on_connection_closed(void *owner, struct http_connection *connection, enum err err)
{
    (void)owner, (void)connection, (void)err;
}

static void on_accept(void *owner, int fd, const struct address *peer)
{
    static const struct http_settings settings = {
        .version = HTTP_AUTO, .allow_h2 = true, .idle_ms = 3600000, .body_ms = 3600000};
    static const struct http_connection_events events = {
        .on_stream = on_stream,
        .on_closed = on_connection_closed,
    };
    struct backend *backend = owner;
    (void)!http_serve(backend->loop, fd, peer, NULL, &settings, &events, backend);
}

static void on_signal(void *owner, int number)
{
    struct backend *backend = owner;
    if (number == SIGTERM || number == SIGINT)
        loop_stop(backend->loop);
}

static bool listen_at(struct backend *backend, struct listener *listener,
                      const struct address *address)
{
    int fd = listener_open(address, false);
    if (fd < 0)
        return false;
    listener->owner = backend;
    listener->on_accept = on_accept;
    return listener_start(listener, backend->loop, fd);
}

int backend_run(const struct address *ports, size_t count)
{
    struct backend backend = {.loop = loop_new(NULL), .seen = memory_alloc(JUDGE_NUMBERS)};
    struct signals signals;
    bool is_good = signals_init(&signals, backend.loop, &backend, on_signal);
    for (size_t i = 0; i < count && is_good; i++)
        is_good = listen_at(&backend, &backend.listeners[i], &ports[i]);
    if (is_good)
        loop_run(backend.loop);
    else
        perror("judge: cannot serve");
    /* The process ends with its connections: the kernel closes them. */
    fflush(stdout);
    _Exit(is_good ? 0 : 1);
}
