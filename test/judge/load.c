/* The open loop: request n is due at a fixed moment and goes out then, whatever became of those
 * before it. Each carries its number, and only an answer with the same number counts.
 *
 * What counts as lost: no whole answer. One exception is allowed, as RFC 9112 9.3.1 and RFC 9113
 * 8.7 allow it to every client, and counted apart: a connection that had served before and ended
 * without a byte of this answer, or a stream that was refused unprocessed, is tried once more.
 * That such a request was not processed all the same is seen at the backend, as `doubled`. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/builder.h"
#include "base/memory.h"
#include "judge.h"

#define CONNECT_MS 10000
#define LINES_MAX  4096 /* connections of one kind: beyond, requests wait for one */
#define COMING_MAX 64   /* connections for one request each that are being opened */

enum kind { KIND_H1, KIND_H2, KIND_NEW, KIND_GRPC, KINDS };

struct line { /* a connection and its place */
    struct load *load;
    struct line *next; /* of its kind */
    enum kind kind;
    struct http_connection *connection; /* NULL: connecting anew is due */
    uint32_t busy;                      /* streams */
    bool is_up;
};

struct ask { /* a request */
    struct ask *next;
    struct line *line;
    struct http_stream *stream;
    struct builder body;
    uint64_t due_ms;
    uint32_t number;
    enum kind kind;
    int status;
    bool was_reused, is_again, has_head, is_whole;
};

struct load {
    struct judge *judge;
    struct line *lines[KINDS];
    uint32_t line_count[KINDS];
    struct ask *waiting[KINDS], **waiting_end[KINDS]; /* for a connection */
    uint32_t waiting_count[KINDS];
    uint32_t next; /* number */
    uint64_t under_way, started_ms;
    bool is_closing;
    struct timer ticker;
    uint32_t *latency_ms; /* owns: of the answered */
    uint64_t latency_count;
};

static void dispatch(struct load *load, enum kind kind);

static enum kind kind_of(const struct judge_options *options, uint32_t number)
{
    /* In twenty requests: fourteen, four, one, one. */
    static const enum kind mix[20] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 2, 0, 0, 1, 0, 0, 0, 1, 0, 3, 0};
    const bool is_on[KINDS] = {options->h1, options->h2, options->new, options->grpc};
    enum kind kind = mix[number % 20];
    while (!is_on[kind])
        kind = (kind + 1) % KINDS;
    return kind;
}

/* -- the end of a request -- */

static void ask_free(struct ask *ask)
{
    ask->line = NULL;
    builder_fini(&ask->body);
    free(ask);
}

static void lose(struct load *load, struct ask *ask, const char *why)
{
    struct judge *judge = load->judge;
    judge->counts.lost++;
    if (judge->first_loss == NULL)
        judge->first_loss = why == NULL ? "no answer" : why;
    load->under_way--;
    ask_free(ask);
}

static bool is_right(const struct ask *ask)
{
    char want[16];
    struct text body = builder_text(&ask->body);
    int len = snprintf(want, sizeof(want), "%u\n", ask->number);
    if (ask->kind == KIND_GRPC) {
        body = text_slice(body, JUDGE_GRPC_HEAD, body.len);
        return text_equal(body, text_from(want, (size_t)len)) &&
               text_is(message_value(&ask->stream->trailers, NAME_GRPC_STATUS), "0");
    }
    return text_equal(body, text_from(want, (size_t)len));
}

static void answer(struct load *load, struct ask *ask)
{
    struct judge_counts *counts = &load->judge->counts;
    uint64_t took = judge_now_ms(load->judge) - ask->due_ms;
    counts->answered++;
    if (ask->status != 200) {
        counts->bad++;
        if (load->judge->first_loss == NULL)
            load->judge->first_loss = "an answer that is not 200";
    } else if (!is_right(ask)) {
        counts->mixed++;
    }
    counts->late += took > load->judge->options->late_ms;
    load->latency_ms[load->latency_count++] = (uint32_t)took;
    load->under_way--;
}

static void wait_for_line(struct load *load, struct ask *ask)
{
    ask->next = NULL;
    load->waiting_count[ask->kind]++;
    *load->waiting_end[ask->kind] = ask;
    load->waiting_end[ask->kind] = &ask->next;
}

/* The stream is gone: answered, to be sent once more, or lost. */
static void on_stream_closed(void *owner, struct http_stream *stream)
{
    struct ask *ask = owner;
    struct line *line = ask->line;
    struct load *load = line->load;
    line->busy--;
    ask->stream = NULL;
    if (ask->is_whole) {
        ask_free(ask);
        return;
    }
    bool may_again = ask->was_reused || stream->connection->version == 20;
    if (ask->has_head || ask->is_again || !may_again || load->is_closing) {
        lose(load, ask, stream->why);
        return;
    }
    load->judge->counts.retried++;
    ask->is_again = true;
    builder_clear(&ask->body);
    wait_for_line(load, ask);
}

static void on_abort(void *owner, struct http_stream *stream, enum err err)
{
    (void)owner, (void)stream, (void)err;
}

static void on_readable(void *owner, struct http_stream *stream)
{
    struct ask *ask = owner;
    struct text bytes;
    while ((bytes = http_stream_peek(stream)).len > 0) {
        builder_add(&ask->body, bytes);
        http_stream_consume(stream, bytes.len);
    }
    if (stream->read_ended && !ask->is_whole) {
        ask->is_whole = true;
        answer(ask->line->load, ask);
    }
}

static void on_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    (void)end;
    struct ask *ask = owner;
    ask->has_head = true;
    ask->status = head->status;
    on_readable(owner, stream);
}

static void on_writable(void *owner, struct http_stream *stream)
{
    (void)owner, (void)stream;
}

/* -- the start of one -- */

static void send_head(struct ask *ask)
{
    struct http_stream *stream = ask->stream;
    const char *host = ask->line->load->judge->options->host;
    bool is_grpc = ask->kind == KIND_GRPC;
    struct message head;
    message_init(&head);
    head.method = is_grpc ? METHOD_POST : METHOD_GET;
    head.method_name = is_grpc ? TEXT("POST") : TEXT("GET");
    head.scheme = TEXT("http");
    head.authority = head.host = text_of(host);
    head.path = arena_printf(&stream->arena, "/n/%u", ask->number);
    head.framing = is_grpc ? FRAMING_CHUNKED : FRAMING_NONE;
    if (is_grpc) {
        message_add(&head, &stream->arena, TEXT("content-type"), JUDGE_GRPC);
        message_add(&head, &stream->arena, TEXT("te"), TEXT("trailers"));
    }
    http_stream_send_head(stream, &head, !is_grpc);
    if (is_grpc && !stream->aborted) {
        char frame[32] = {0};
        int len =
            snprintf(frame + JUDGE_GRPC_HEAD, sizeof(frame) - JUDGE_GRPC_HEAD, "%u\n", ask->number);
        frame[JUDGE_GRPC_HEAD - 1] = (char)len;
        (void)http_stream_write(stream, text_from(frame, (size_t)len + JUDGE_GRPC_HEAD), true);
    }
}

static void send_on(struct line *line, struct ask *ask)
{
    static const struct http_stream_events events = {
        .on_head = on_head,
        .on_readable = on_readable,
        .on_writable = on_writable,
        .on_abort = on_abort,
        .on_closed = on_stream_closed,
    };
    ask->line = line;
    ask->was_reused = line->connection->request_count > 0;
    ask->stream = http_open(line->connection);
    CHECK(ask->stream != NULL);
    line->busy++;
    http_stream_own(ask->stream, &events, ask);
    send_head(ask);
}

/* -- connections -- */

static void on_connection_ready(void *owner, struct http_connection *connection)
{
    struct line *line = owner;
    if (!line->is_up)
        line->load->judge->counts.connects++;
    line->is_up = true;
    if (line->kind == KIND_NEW && connection->request_count > 0)
        http_drain(connection, 0);
    else
        dispatch(line->load, line->kind);
}

static void on_connection_closed(void *owner, struct http_connection *connection, enum err err)
{
    (void)connection, (void)err;
    struct line *line = owner;
    struct load *load = line->load;
    load->judge->counts.refused += !line->is_up && !load->is_closing;
    line->connection = NULL;
    line->is_up = false;
}

static bool line_open(struct line *line)
{
    static const struct http_settings one = {.version = HTTP_1, .idle_ms = 3600000},
                                      two = {.version = HTTP_2, .idle_ms = 3600000};
    static const struct http_connection_events events = {
        .on_ready = on_connection_ready,
        .on_closed = on_connection_closed,
    };
    const struct judge *judge = line->load->judge;
    const struct judge_options *options = judge->options;
    bool is_tls = line->kind == KIND_NEW && options->tls.len > 0;
    line->connection = http_connect(
        judge->loop, is_tls ? &options->tls : &options->plain, is_tls ? judge->tls : NULL,
        is_tls ? text_of(options->host) : TEXT(""), CONNECT_MS,
        line->kind == KIND_H2 || line->kind == KIND_GRPC ? &two : &one, &events, line);
    return line->connection != NULL;
}

static bool is_usable(const struct line *line)
{
    return line->connection != NULL && line->is_up && http_can_open(line->connection) &&
           (line->kind != KIND_NEW || line->connection->request_count == 0);
}

static struct line *line_new(struct load *load, enum kind kind)
{
    struct line *line = memory_new(struct line);
    line->load = load;
    line->kind = kind;
    load->line_count[kind]++;
    return line;
}

/* A connection that can take a request; NULL while there is none, and one is being opened. */
static struct line *pick_line(struct load *load, enum kind kind)
{
    uint32_t coming = 0;
    struct line *closed = NULL;
    struct line **at = &load->lines[kind];
    for (; *at != NULL; at = &(*at)->next) {
        if (is_usable(*at)) { /* taken out and put last: all take their turn */
            struct line *found = *at;
            struct line **end = at;
            *at = found->next;
            while (*end != NULL)
                end = &(*end)->next;
            *end = found;
            found->next = NULL;
            return found;
        }
        coming += (*at)->connection != NULL && !(*at)->is_up;
        if ((*at)->connection == NULL && (*at)->busy == 0)
            closed = *at;
    }
    uint32_t at_once = kind == KIND_NEW ? MIN(load->waiting_count[kind], COMING_MAX) : 1;
    if (coming >= at_once || load->is_closing)
        return NULL;
    if (closed == NULL && load->line_count[kind] < LINES_MAX) {
        closed = *at = line_new(load, kind);
    }
    if (closed != NULL && !line_open(closed))
        load->judge->counts.refused++;
    return NULL;
}

static void dispatch(struct load *load, enum kind kind)
{
    struct ask *ask;
    while ((ask = load->waiting[kind]) != NULL) {
        struct line *line = pick_line(load, kind);
        if (line == NULL)
            return;
        load->waiting[kind] = ask->next;
        load->waiting_count[kind]--;
        if (ask->next == NULL)
            load->waiting_end[kind] = &load->waiting[kind];
        send_on(line, ask);
    }
}

/* -- time -- */

static void on_tick(void *owner)
{
    struct load *load = owner;
    const struct judge_options *options = load->judge->options;
    uint64_t now = judge_now_ms(load->judge);
    while (!load->judge->is_ending && load->next < options->requests &&
           load->started_ms + (uint64_t)(load->next * 1000.0 / options->rate) <= now) {
        struct ask *ask = memory_new(struct ask);
        ask->number = load->next++;
        ask->kind = kind_of(options, ask->number);
        ask->due_ms = load->started_ms + (uint64_t)(ask->number * 1000.0 / options->rate);
        load->under_way++;
        load->judge->counts.sent++;
        wait_for_line(load, ask);
    }
    for (enum kind kind = 0; kind < KINDS; kind++)
        dispatch(load, kind);
    loop_arm(load->judge->loop, &load->ticker, 1);
}

/* So many of each kind that stays, before the first request. */
static void open_lines(struct load *load)
{
    const struct judge_options *options = load->judge->options;
    const bool stays[KINDS] = {options->h1, options->h2, false, options->grpc};
    for (enum kind kind = 0; kind < KINDS; kind++)
        for (uint32_t i = 0; stays[kind] && i < options->connections; i++) {
            struct line *line = line_new(load, kind);
            line->next = load->lines[kind];
            load->lines[kind] = line;
            if (!line_open(line))
                load->judge->counts.refused++;
        }
}

struct load *load_new(struct judge *judge)
{
    struct load *load = memory_new(struct load);
    load->judge = judge;
    load->latency_ms = memory_alloc((judge->options->requests + 1) * sizeof(uint32_t));
    for (enum kind kind = 0; kind < KINDS; kind++)
        load->waiting_end[kind] = &load->waiting[kind];
    open_lines(load);
    load->started_ms = judge_now_ms(judge);
    timer_init(&load->ticker, load, on_tick);
    loop_arm(judge->loop, &load->ticker, 1);
    return load;
}

bool load_done(const struct load *load)
{
    return (load->judge->is_ending || load->next == load->judge->options->requests) &&
           load->under_way == 0;
}

/* Ends every connection: what was under way is told as lost by its stream. */
void load_give_up(struct load *load)
{
    load->is_closing = true;
    loop_disarm(load->judge->loop, &load->ticker);
    for (enum kind kind = 0; kind < KINDS; kind++)
        for (struct line *line = load->lines[kind]; line != NULL; line = line->next)
            if (line->connection != NULL)
                http_close(line->connection, ERR_TIMEOUT);
    loop_settle(load->judge->loop);
    for (enum kind kind = 0; kind < KINDS; kind++)
        for (struct ask *ask = load->waiting[kind], *next; ask != NULL; ask = next) {
            next = ask->next;
            lose(load, ask, "never sent: no connection");
        }
}

static int by_value(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

uint32_t load_latency_ms(struct load *load, double share)
{
    if (load->latency_count == 0)
        return 0;
    qsort(load->latency_ms, load->latency_count, sizeof(uint32_t), by_value);
    return load->latency_ms[(uint64_t)((double)(load->latency_count - 1) * share)];
}

void load_free(struct load *load)
{
    for (enum kind kind = 0; kind < KINDS; kind++)
        for (struct line *line = load->lines[kind], *next; line != NULL; line = next) {
            next = line->next;
            free(line);
        }
    free(load->latency_ms);
    free(load);
}
