/* One HTTP/2 connection as its four files see it. h2_server.c and h2_client.c stand on
 * h2_connection.c, that on h2_stream.c, that on h2_session.c and h2_message.c.
 *
 * Frames are read first and told afterwards: what the session says is noted as news of a stream,
 * and told to the stream's owner when the bytes at hand are used up. A request that was reset in
 * the same breath is never seen above. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "http/h2_message.h"
#include "http/link.h"

enum h2_news { /* in the order in which they are told */
               H2_NEWS_HEAD = 1,
               H2_NEWS_READABLE = 2,
               H2_NEWS_WRITABLE = 4,
               H2_NEWS_ABORT = 8,
               H2_NEWS_CLOSED = 16,
};

struct h2_stream {
    struct http_stream stream;     /* first member */
    struct h2_link *h2;            /* borrows: owns us */
    struct h2_stream *next, *prev; /* of the connection, or of its dead ones */
    struct h2_stream *news_next;
    uint32_t news;     /* enum h2_news; not 0: it stands in the queue */
    int32_t id;        /* 0: no head was sent yet (calling) */
    bool in_session;   /* frames may still come and go */
    bool told;         /* the owner knows of it */
    bool finished;     /* both directions ended well and all was consumed */
    bool over;         /* nothing but on_abort and on_closed will be told */
    bool closed;       /* on_closed was told, or never will be */
    bool remote_ended; /* END_STREAM came */
    bool left;         /* its head went into a frame */
    bool sent_end;     /* END_STREAM went into a frame */
    bool reset_when_sent;
    bool wants_room; /* a write was short */
    bool has_expected, no_body;
    uint8_t informational;
    enum err err;                     /* for on_abort */
    uint64_t expected, received;      /* body bytes: content-length, and what came */
    uint64_t read_at_ms, write_at_ms; /* progress */
    uint64_t asked_ms;                /* calling: when the head was given to the session */
    struct h2_head reading;
    struct buffer in; /* body bytes not consumed, bounded by the stream's window */
    struct h2_body out;
};

/* What differs between the ends. */
struct h2_side {
    /* The peer opens a stream; NULL refuses. */
    struct h2_stream *(*on_open)(struct h2_link *h2, int32_t id);
    /* A head (no trailers) is complete and well formed. */
    enum h2_code (*on_head)(struct h2_stream *stream, bool end);
    /* H2_NEWS_HEAD is told. */
    void (*tell_head)(struct h2_stream *stream);
    void (*on_malformed)(struct h2_stream *stream, const char *reason);
};

struct h2_link {
    struct http_link *link; /* borrows: owns us */
    struct h2_session *session;
    const struct h2_side *side;
    struct h2_stream *streams; /* owns */
    struct h2_stream *dead;    /* owns; freed after this turn */
    struct h2_stream *news_first, *news_last;
    bool telling, was_full, settled, ending, at_end;
    bool noticed, goaway_sent, goaway_due;
    enum err end_err; /* at_end: how the peer's end came */
    uint64_t started_ms, idle_ms, notice_ms;
    uint64_t heard_ms, pinged_ms;    /* settings->ping_ms; pinged_ms 0: no answer is awaited */
    uint64_t head_ms;                /* a head began then and has not ended; 0: none */
    const struct h2_stream *head_of; /* whose that is: compared alone, it may be gone */
    uint64_t tick_ms;                /* when link->timer is due; 0: it is not armed */
};

static inline struct h2_link *h2_link_of(const struct http_link *link)
{
    return link->codec;
}

/* h2_stream.c */
struct h2_stream *h2_stream_new(struct h2_link *h2, int32_t id);
void h2_stream_news(struct h2_stream *stream, enum h2_news news);
/* Broken: on_abort and on_closed will follow, if it was told at all. */
void h2_stream_fail(struct h2_stream *stream, enum err err, const char *why);
/* Over if both directions have ended and all was consumed. */
void h2_stream_check(struct h2_stream *stream);
void h2_stream_remote_end(struct h2_stream *stream);
/* The peer's message is whole and had neither body nor trailers: the `end` of on_head. */
bool h2_stream_is_bare(const struct h2_stream *stream);
/* To the dead ones, if neither the owner nor the session needs it any more. */
void h2_stream_release(struct h2_stream *stream);
/* Its memory is kept for the next stream of this worker. */
void h2_stream_free(struct h2_stream *stream);
enum h2_code h2_stream_code(enum err err);
enum err h2_stream_err(uint32_t code);

/* h2_connection.c */
void h2_connection_start(struct http_link *link, const struct h2_side *side, bool serving);
void h2_connection_on_readable(struct http_link *link);
void h2_connection_on_flush(struct http_link *link);
void h2_connection_on_written(struct http_link *link);
void h2_connection_on_timer(struct http_link *link);
void h2_connection_drain(struct http_link *link);
void h2_connection_end(struct http_link *link, enum err why);
void h2_connection_free(struct http_link *link);
