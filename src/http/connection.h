/* HTTP connections of both kinds and both versions: what opens, carries and ends streams. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "http/stream.h"

struct tls_context;

enum http_version_want {
    HTTP_AUTO, /* TLS: by ALPN, else HTTP/1. Plain serving: by the first bytes (h2 preface) */
    HTTP_1,
    HTTP_2, /* prior knowledge */
};

struct http_settings {
    uint32_t header_ms, body_ms, idle_ms, write_ms; /* 0: the default of base/limits.h */
    uint32_t stream_window; /* HTTP/2: body bytes taken ahead per stream; 0: the default */
    uint32_t ping_ms;       /* HTTP/2: a PING after so long a silence of the peer; 0: none */
    uint32_t queue_ms; /* calling, HTTP/2: a request waits so long until the peer allows a stream */
    enum http_version_want version;
    bool allow_h2;       /* serving, HTTP_AUTO: preface or ALPN h2 is taken */
    bool merge_slashes;  /* serving */
    bool any_authority;  /* serving, HTTP/2: it routes nothing, and need not be a host */
    bool proxy_protocol; /* serving: its header comes first, even before TLS, within header_ms */
    void *chooser;       /* serving: what tls_pick is asked with; NULL: the connection */
};

struct http_connection_events {
    /* Serving: the transport is up, TLS with it. May be NULL. */
    void (*on_connected)(void *owner, struct http_connection *connection);
    /* Serving: a new stream; its events and owner must be set before returning. The head follows
     * at once by on_head. */
    void (*on_stream)(void *owner, struct http_stream *stream);
    /* Calling: the connection can carry a request now (again). */
    void (*on_ready)(void *owner, struct http_connection *connection);
    /* A request was refused before it became a stream (400, 408, 414, 431, ...; 0: without an
     * answer): for log and counter. `reason` is a static word. May be NULL. */
    void (*on_refused)(void *owner, struct http_connection *connection, int status,
                       const char *reason);
    /* Gone; the last call. `err` ERR_NONE or ERR_CLOSED: by choice. Before on_ready: the connect
     * failed; connection->why says how. */
    void (*on_closed)(void *owner, struct http_connection *connection, enum err err);
};

struct http_connection {
    struct stream stream; /* the transport */
    struct loop *loop;
    const struct http_connection_events *events;
    void *owner;
    const struct http_settings *settings; /* borrows */
    bool serving;
    uint8_t version; /* 11 or 20; 0 until known */
    bool draining;
    uint32_t drain_idle_ms; /* as http_drain was told */
    uint32_t stream_count;
    uint64_t request_count;
    const char *why;
    const struct http_connection_ops *ops; /* of the codec */
};

/* Serving: takes over an accepted descriptor. NULL: the kernel refused (fd is closed). */
struct http_connection *http_serve(struct loop *loop, int fd, const struct address *peer,
                                   struct tls_context *tls, const struct http_settings *settings,
                                   const struct http_connection_events *events, void *owner);
/* The same for the connection of a plain stream, of which `early` was read already: TLS begins. */
struct http_connection *http_take_over(struct stream *from, struct text early,
                                       struct tls_context *tls,
                                       const struct http_settings *settings,
                                       const struct http_connection_events *events, void *owner);
/* Calling: starts to connect; on_ready or on_closed will follow (never before this returns). */
struct http_connection *http_connect(struct loop *loop, const struct address *to,
                                     struct tls_context *tls, struct text server_name,
                                     uint32_t connect_ms, const struct http_settings *settings,
                                     const struct http_connection_events *events, void *owner);
/* Calling: a new stream, if the connection can carry one now, or NULL. Set its events, then
 * http_stream_send_head with the request. */
struct http_stream *http_open(struct http_connection *connection);
bool http_can_open(const struct http_connection *connection);
/* No new streams; closes when the last has ended. HTTP/2: GOAWAY, and again once the peer has heard
 * of it; HTTP/1: Connection: close on the next answer. Idle: closes at once; only a served HTTP/1
 * connection, on which a request may be on its way already, stays for `idle_ms` (0:
 * LIMIT_DRAIN_IDLE_MS) and answers that. */
void http_drain(struct http_connection *connection, uint32_t idle_ms);
void http_close(struct http_connection *connection, enum err why); /* at once; on_closed follows */
