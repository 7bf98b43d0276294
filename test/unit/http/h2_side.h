/* One end of an HTTP/2 stream in tests: says so much, counts what it hears. h2_pair.h has both. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "http/connection.h"
#include "net/certificates.h"
#include "net/listener.h"
#include "net/tls.h"
#include "test.h"

#define PAIR_DEADLINE_MS 20000
#define PAIR_SIDES       128

/* One stream as one end sees it. */
struct side {
    struct pair *pair;
    struct http_stream *stream; /* NULL once closed */
    bool serving, ended, want_trailers, paused, refuses, answer_early, keep_open;
    uint64_t to_send, received;
    uint32_t heads, informational, aborts, closes, sum_in, sum_out;
    int status;
    enum err err;
    enum framing framing;
    uint64_t content_length;
    char path[64], trailer[64], why[64];
};

struct pair {
    struct loop *loop;
    struct listener listener;
    struct address address;
    struct http_settings settings, server_settings;
    struct tls_context *server_tls, *client_tls;
    struct tls_certificate *certificate;
    struct test_identity authority, leaf;
    struct http_connection *client, *server;
    uint32_t ready, client_closed, server_closed, served_count, called_count;
    enum err client_err, server_err;
    char client_why[64];
    struct side called[PAIR_SIDES], served[PAIR_SIDES];
};

#define PAIR_UNTIL(pair, done)                                                                     \
    do {                                                                                           \
        uint64_t deadline_ms = loop_now_ms((pair)->loop) + PAIR_DEADLINE_MS;                       \
        while (!(done)) {                                                                          \
            if (loop_now_ms((pair)->loop) > deadline_ms)                                           \
                fail_msg("waited in vain for %s", #done);                                          \
            loop_turn((pair)->loop, 50);                                                           \
        }                                                                                          \
    } while (0)

static inline uint32_t pair_sum(uint32_t sum, struct text bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        sum = sum * 31 + (unsigned char)bytes.data[i];
    return sum;
}

/* Sends what is left of to_send, in pieces of an odd size, then the end. */
static inline void side_push(struct side *side)
{
    static char piece[5003];
    for (size_t i = 0; piece[1] == 0 && i < sizeof(piece); i++)
        piece[i] = (char)(i * 13);
    while (side->stream != NULL && side->to_send > 0) {
        struct text part = text_from(piece, (size_t)MIN(side->to_send, sizeof(piece)));
        bool last = part.len == side->to_send && !side->want_trailers && !side->keep_open;
        size_t taken = http_stream_write(side->stream, part, last);
        side->sum_out = pair_sum(side->sum_out, text_slice(part, 0, taken));
        side->to_send -= taken;
        if (taken < part.len)
            return;
        side->ended |= last;
    }
    if (side->stream == NULL || side->ended || side->keep_open)
        return;
    side->ended = true;
    if (!side->want_trailers) {
        (void)http_stream_write(side->stream, TEXT_NONE, true);
        return;
    }
    struct message trailers;
    message_init(&trailers);
    message_add(&trailers, &side->stream->arena, TEXT("x-sum"),
                arena_printf(&side->stream->arena, "%u", side->sum_out));
    http_stream_send_trailers(side->stream, &trailers);
}

static inline void side_pull(struct side *side)
{
    struct http_stream *stream = side->stream;
    while (!side->paused) {
        struct text bytes = http_stream_peek(stream);
        if (bytes.len == 0)
            break;
        side->sum_in = pair_sum(side->sum_in, bytes);
        side->received += bytes.len;
        http_stream_consume(stream, bytes.len);
    }
    struct field *sum = message_find(&stream->trailers, TEXT("x-sum"));
    if (stream->read_ended && sum != NULL)
        snprintf(side->trailer, sizeof(side->trailer), TEXT_FMT, TEXT_ARG(sum->value));
}

/* "/bytes/N" answers with N bytes, "/trailers/N" with trailers behind them, "/hints" with a 103,
 * "/head", "/204", "/early" (answers at once), "/refuse", "/silent"; all take the body first. */
static inline void side_answer(struct side *side)
{
    struct message answer;
    struct text path = text_of(side->path), number;
    uint64_t len = 0;
    if (side->stream->head_sent || text_is(path, "/silent"))
        return;
    message_init(&answer);
    answer.status = text_is(path, "/204") ? 204 : 200;
    number = text_slice(path, text_find(path, '/', 1) + 1, path.len);
    if (number.len > 0 && !text_to_u64(number, &len))
        len = 0;
    side->want_trailers = text_starts_with(path, TEXT("/trailers"));
    answer.framing = side->want_trailers ? FRAMING_CHUNKED : FRAMING_LENGTH;
    answer.content_length = text_is(path, "/head") ? 1234 : len;
    if (text_is(path, "/hints")) {
        struct message hints;
        message_init(&hints);
        hints.status = 103;
        http_stream_send_informational(side->stream, &hints);
    }
    bool end = len == 0 && !side->want_trailers;
    if (answer.status == 204)
        answer.framing = FRAMING_NONE;
    http_stream_send_head(side->stream, &answer, end);
    side->ended = end;
    side->to_send = len;
    if (!end)
        side_push(side);
}

static inline void side_on_head(void *owner, struct http_stream *stream, struct message *head,
                                bool end)
{
    struct side *side = owner;
    side->heads++;
    side->status = head->status;
    side->framing = head->framing;
    side->content_length = head->content_length;
    if (!side->serving) {
        assert_int_equal(end, stream->read_ended && stream->trailers.field_count == 0);
        return;
    }
    snprintf(side->path, sizeof(side->path), TEXT_FMT, TEXT_ARG(head->path));
    if (text_is(head->path, "/refuse"))
        http_stream_reset(stream, ERR_REFUSED);
    else if (text_is(head->path, "/pause"))
        side->paused = true;
    else if (end || text_is(head->path, "/early"))
        side_answer(side);
    if (text_is(head->path, "/early") && !end)
        http_stream_reset(stream, ERR_NONE);
}

static inline void side_on_informational(void *owner, struct http_stream *stream,
                                         struct message *head)
{
    (void)stream;
    assert_int_equal(head->status, 103);
    ((struct side *)owner)->informational++;
}

static inline void side_on_readable(void *owner, struct http_stream *stream)
{
    struct side *side = owner;
    side_pull(side);
    if (side->serving && stream->read_ended)
        side_answer(side);
}

static inline void side_on_writable(void *owner, struct http_stream *stream)
{
    (void)stream;
    side_push(owner);
}

static inline void side_on_abort(void *owner, struct http_stream *stream, enum err err)
{
    struct side *side = owner;
    assert_true(stream->aborted);
    side->aborts++;
    side->err = err;
    snprintf(side->why, sizeof(side->why), "%s", stream->why);
}

static inline void side_on_closed(void *owner, struct http_stream *stream)
{
    struct side *side = owner;
    assert_ptr_equal(side->stream, stream);
    side->closes++;
    side->stream = NULL;
}

static const struct http_stream_events PAIR_STREAM = {
    .on_head = side_on_head,
    .on_informational = side_on_informational,
    .on_readable = side_on_readable,
    .on_writable = side_on_writable,
    .on_abort = side_on_abort,
    .on_closed = side_on_closed,
};
