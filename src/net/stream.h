/* A byte stream: TCP or Unix socket, plain or under TLS; http knows no difference.
 *
 * Edge triggered: after on_event(STREAM_READABLE) read until a short read or ERR_AGAIN, or
 * stop on purpose and call stream_resume later (back-pressure: bytes are pulled).
 * Writing: whole turns are collected by the caller; stream_write takes what the kernel takes. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buffer.h"
#include "base/err.h"
#include "event/loop.h"
#include "net/address.h"

struct tls_context;
struct tls_session;

enum stream_event {
    STREAM_CONNECTED = 1, /* TCP, and TLS if any, are up; also told to the serving side */
    STREAM_READABLE = 2,  /* bytes or the end can be read */
    STREAM_WRITABLE = 4,  /* a write that was short can go on */
    STREAM_FAILED = 8,    /* never came up; stream->err and stream->why say how; close it */
};

struct stream {
    struct loop *loop;
    struct watch watch;
    struct tls_session *tls; /* owns; NULL = plain */
    struct address peer;
    void *owner;
    void (*on_event)(void *owner, uint32_t events);
    void *chooser;   /* what tls_pick is asked with; NULL: the owner */
    enum err err;    /* why it failed */
    const char *why; /* static words for the log: "connect: refused", "tls: bad certificate" */
    bool connected;
    bool read_ready; /* there may be bytes (no short read since the last event) */
    bool read_ended; /* the peer's end was read */
    bool write_blocked;
    bool connecting;             /* TCP is not up yet */
    bool end_told;               /* the kernel told of the peer's end: a last read is worth it */
    bool broken;                 /* reset or hung up: what can still be read is a rest */
    bool failed;                 /* STREAM_FAILED was told */
    struct buffer *proxy_header; /* owns; what came of it so far; NULL: none is awaited */
    struct timer timer;          /* connect, header and handshake deadline */
    struct defer resume;
};

/* `owner` and `on_event` are set by the caller, before or after these two; no event comes from
 * within them. When they fail the stream is closed, and `why` says more.
 * Serving side: takes over an accepted descriptor. With `tls` the handshake comes first. */
MUST_USE enum err stream_accept(struct stream *stream, struct loop *loop, int fd,
                                const struct address *peer, struct tls_context *tls);
/* The same behind a load balancer that speaks the PROXY protocol: its header must come first,
 * within `header_ms`, and `peer` becomes the client it names; anything else is STREAM_FAILED. */
MUST_USE enum err stream_accept_proxied(struct stream *stream, struct loop *loop, int fd,
                                        const struct address *peer, struct tls_context *tls,
                                        uint32_t header_ms);
/* Goes on with a plain stream's connection. With `tls` the handshake begins, by `early`, which was
 * read already. `from` is closed, also when this fails. */
MUST_USE enum err stream_take_over(struct stream *stream, struct stream *from, struct text early,
                                   struct tls_context *tls);
/* Calling side. `server_name` (SNI and verification) only with tls; may be empty. */
MUST_USE enum err stream_connect(struct stream *stream, struct loop *loop, const struct address *to,
                                 struct tls_context *tls, struct text server_name,
                                 uint32_t timeout_ms);
/* Closes at once; no event follows. Safe on a zeroed or closed stream, and within on_event. */
void stream_close(struct stream *stream);
/* When it is closed the peer will be told of a reset (RST) instead of an end. */
void stream_set_abort(struct stream *stream);
/* Bytes that the peer does not acknowledge for so long end the connection, and are not delivered
 * later (TCP_USER_TIMEOUT; LIMIT_SILENT_MS otherwise). While it is open or connecting. */
void stream_set_silence(struct stream *stream, uint32_t ms);
/* No more bytes from us (FIN, close_notify). */
void stream_end_write(struct stream *stream);

/* Reads once into the buffer's room (reserves `want`). ERR_AGAIN: nothing now. ERR_CLOSED: clean
 * end. ERR_SYSTEM, ERR_PROTOCOL: broken (also TLS that ended without close_notify). A short read
 * clears read_ready, so no probe is needed; if the end stands behind it, READABLE comes once more.
 */
MUST_USE enum err stream_read(struct stream *stream, struct buffer *into, size_t want);
/* Writes what the kernel takes of the front of `from` and consumes it. ERR_AGAIN: the rest waits
 * for STREAM_WRITABLE. With TLS the rest may stand encrypted in the stream while `from` is empty
 * already: go by the result. Before CONNECTED nothing is taken. A failed write leaves reading as it
 * is (an early answer may wait). */
MUST_USE enum err stream_write(struct stream *stream, struct buffer *from);
/* The same for bytes that are not in a buffer, behind those that are; *ret_taken of `more`. */
MUST_USE enum err stream_write_more(struct stream *stream, struct buffer *from, struct text more,
                                    size_t *ret_taken);
/* If bytes may be waiting since reading stopped, on_event(READABLE) comes in this turn. */
void stream_resume(struct stream *stream);
/* The same in the next turn, when all others had theirs. */
void stream_yield(struct stream *stream);

/* Our end of the connection, asked of the kernel: a system call. len 0: it does not say. */
struct address stream_local(const struct stream *stream);
/* Who is at the other end of a Unix socket; false on others. */
MUST_USE bool stream_peer_uid(const struct stream *stream, uint32_t *ret_uid);

/* TLS facts; empty or NULL on plain streams. */
struct text stream_alpn(const struct stream *stream);
struct text stream_server_name(const struct stream *stream); /* SNI */
const char *stream_tls_version(const struct stream *stream);
struct text stream_peer_certificate_name(const struct stream *stream); /* first SAN or CN */
