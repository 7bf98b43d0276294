/* The link: what connection.c and the codecs (h1_*.c, h2_*.c) stand on, the transport's buffers,
 * timers and end. connection.c owns it and picks the codec; the codec owns `codec` and streams. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "http/connection.h"

/* The memory behind every struct http_connection, which is its first member. */
struct http_link {
    struct http_connection connection;
    struct buffer in;         /* read and not yet used; may hold bytes before ops->start */
    struct buffer out;        /* to be written at the end of the turn */
    void *codec;              /* owned by the codec: made in start, gone after free */
    struct timer timer;       /* of the codec: ops->on_timer (header, body, idle, settings, ...) */
    struct timer write_timer; /* of connection.c: nothing was taken for write_ms */
    struct defer flush;       /* of connection.c: ops->on_flush, then out -> transport */
    struct defer finish;      /* of connection.c: the end, once */
    uint64_t written;         /* bytes that the transport took */
    uint64_t linger_left;     /* bytes still thrown away before the close */
    enum err end_err;         /* for on_closed */
    bool started;             /* ops->start was called */
    bool ready_told;          /* on_ready was told at least once: a failure is no connect failure */
    bool ended; /* http_close was called: callbacks are over but for ops->end at finish */
    bool close_when_flushed;
    bool linger_when_flushed; /* half-close, then read and drop for LIMIT_LINGER_MS */
    bool fin_when_flushed;    /* a tunnel's half-close */
    bool lingering;
    bool flushing;     /* inside on_flush: no need to defer again */
    bool write_broken; /* writing failed; kept open only while answer_kept */
    bool answer_kept;  /* calling: what was read completes the answer, let the owner have it */
};

static inline struct http_link *http_link_of(const struct http_connection *connection)
{
    return (struct http_link *)(uintptr_t)connection; /* its first member */
}

/* One constant per codec and side: h1_server_ops, h1_client_ops, h2_server_ops, h2_client_ops.
 * None is called after `end`, and none but `end` and `free` after http_close. */
struct http_connection_ops {
    uint8_t version; /* 11 or 20 */
    /* The transport is up and this codec was chosen. link->in may hold bytes read already (the
     * preface included, RFC 9113 3.4): use them now, no event will tell of them. Calling: tell
     * on_ready with http_link_ready. */
    void (*start)(struct http_link *link);
    /* Bytes or the end can be read (http_link_read), until ERR_AGAIN or on purpose no further; then
     * stream_resume brings this call again. Failures of the transport are connection.c's. */
    void (*on_readable)(struct http_link *link);
    /* End of the turn, before `out` is written: the codec may append (h2: frames that wait). */
    void (*on_flush)(struct http_link *link);
    /* After a write that took something: buffer_len(&link->out) says what is left. */
    void (*on_written)(struct http_link *link);
    void (*on_timer)(struct http_link *link); /* link->timer */
    bool (*can_open)(const struct http_link *link);
    struct http_stream *(*open)(struct http_link *link);
    void (*drain)(struct http_link *link);
    /* The connection is over (transport closed): tell on_abort and on_closed of every stream. */
    void (*end)(struct http_link *link, enum err why);
    void (*free)(struct http_link *link); /* link->codec and all streams; may be NULL'd before */
};

extern const struct http_connection_ops h1_server_ops, h1_client_ops, h2_server_ops, h2_client_ops;

/* Services for the codecs. */

/* Reads once into link->in, `want` bytes of room. ERR_NONE: bytes came. ERR_AGAIN: none.
 * ERR_CLOSED: the peer's clean end, also when told again. Others: broken; call http_close. */
MUST_USE enum err http_link_read(struct http_link *link, size_t want);
/* Something is in `out`, or on_flush has something to add: write at the end of this turn. */
void http_link_flush(struct http_link *link);
/* Writes now what is in `out` and then as much of `bytes` as the kernel takes; returns how many.
 * For large bodies only; small ones are better collected. */
size_t http_link_write_through(struct http_link *link, struct text bytes);
/* Everything in `out` is written, then the connection closes (http_close with `why`) ... */
void http_link_close_flushed(struct http_link *link, enum err err, const char *why);
/* ... or first lingers: FIN, reads and drops input for a moment, so that the peer sees our last
 * bytes instead of a reset. */
void http_link_linger(struct http_link *link, enum err err, const char *why);
/* http_close with words for the log (static). The transport closes now; ops->end and on_closed
 * come at the end of the turn. */
void http_link_fail(struct http_link *link, enum err err, const char *why);
void http_link_ready(struct http_link *link); /* calling: tells events->on_ready */

/* Settings with their defaults. */
uint32_t http_link_header_ms(const struct http_link *link);
uint32_t http_link_body_ms(const struct http_link *link);
uint32_t http_link_idle_ms(const struct http_link *link);
uint32_t http_link_write_ms(const struct http_link *link);
uint32_t http_link_queue_ms(const struct http_link *link);
bool http_link_is_tls(const struct http_link *link);

/* For connection.c. */
void http_link_write_out(struct http_link *link);  /* what is in `out`, then the ends that wait */
void http_link_drop_input(struct http_link *link); /* while lingering */
