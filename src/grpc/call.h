/* A call's moving parts, the same for both ends: server.c and channel.c make calls, call.c moves
 * their messages. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "grpc/frame.h"

struct grpc_peer; /* server.c: one connection */

/* The memory behind every struct grpc_call, which is its first member. */
struct grpc_exchange {
    struct grpc_call call;
    bool serving;
    bool finishing; /* grpc_finish was called: our end goes out behind the queue */
    bool finished;  /* it went out */
    bool held;      /* nothing is read; see grpc_hold */
    bool over;      /* the outcome stands: nothing but on_end is told */
    enum grpc_status status;
    struct text text;   /* in the stream's arena */
    int http_status;    /* calling: of the answer; 0: none yet */
    struct buffer in;   /* a message that is not whole yet */
    struct buffer out;  /* frames that the stream had no room for */
    struct timer timer; /* serving: the caller's deadline */
};

extern const struct http_stream_events grpc_call_events;

/* Takes a stream over; it frees itself behind on_end. */
struct grpc_exchange *grpc_call_new(struct http_stream *stream, struct text method, bool serving);
/* The outcome stands; the stream is reset with `err` if anything is still to come of it. */
void grpc_call_stop(struct grpc_exchange *exchange, enum grpc_status status, struct text text,
                    enum err err);
