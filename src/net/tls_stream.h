/* A TLS session under a stream. For net/stream.c only; the TLS library does not show here.
 * What returns an error has set stream->err and stream->why. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "net/stream.h"

/* Makes stream->tls. Shares the context. */
MUST_USE enum err tls_session_open(struct stream *stream, struct tls_context *context,
                                   struct text server_name);
void tls_session_close(struct tls_session *session);
/* ERR_NONE: done. ERR_AGAIN: waits for the peer. */
MUST_USE enum err tls_session_handshake(struct tls_session *session);
MUST_USE enum err tls_session_read(struct tls_session *session, struct buffer *into, size_t want);
MUST_USE enum err tls_session_write(struct tls_session *session, struct buffer *from,
                                    struct text more, size_t *ret_taken);
/* May be ignored: a failure shows in the next write. */
enum err tls_session_flush(struct tls_session *session);
/* close_notify, then FIN once all is gone. */
void tls_session_end(struct tls_session *session);
/* Bytes of the peer that were read before there was a session. */
void tls_session_feed(struct tls_session *session, struct text bytes);
/* The kernel told of bytes or of the end. */
void tls_session_wake(struct tls_session *session);
bool tls_session_may_read(const struct tls_session *session);

/* Facts, after the handshake. */
struct text tls_session_alpn(const struct tls_session *session);
struct text tls_session_server_name(const struct tls_session *session);
const char *tls_session_version(const struct tls_session *session);
struct text tls_session_peer_name(struct tls_session *session);
