/* TLS sessions: the library deciphers from one buffer and enciphers into another, and the socket
 * is met once for many records. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_stream.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "net/tls_internal.h"

static enum err set_error(struct tls_session *session, enum err err, const char *why)
{
    session->stream->err = err;
    session->stream->why = why;
    return err;
}

/* One recv; false when there is nothing (now, or any more). */
static bool pull(struct tls_session *session)
{
    struct stream *stream = session->stream;
    if (!session->wire_ready || session->wire_ended || session->wire_errno != 0)
        return false;
    struct io *io = loop_io(stream->loop);
    char *room = buffer_reserve(&session->in, LIMIT_BUFFER_BLOCK);
    size_t size = buffer_room(&session->in);
    ssize_t got = io->recv(io->state, stream->watch.fd, room, size);
    if (got > 0) {
        session->in.end += (uint32_t)got;
        session->wire_ready = (size_t)got == size || stream->end_told;
        return true;
    }
    int why = errno;
    buffer_release(&session->in);
    session->wire_ready = false;
    if (got == 0)
        session->wire_ended = true;
    else if (why != EAGAIN && why != EINTR)
        session->wire_errno = why;
    else
        session->wire_ready = why == EINTR;
    return false;
}

static int bio_read(BIO *bio, char *out, int len)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (len <= 0)
        return 0;
    if (buffer_len(&session->in) == 0 && !pull(session)) {
        if (session->wire_ended)
            return 0;
        if (session->wire_errno == 0)
            BIO_set_retry_read(bio);
        return -1;
    }
    size_t count = MIN((size_t)len, buffer_len(&session->in));
    memcpy(out, buffer_text(&session->in).data, count);
    buffer_consume(&session->in, count);
    return (int)count;
}

static int bio_write(BIO *bio, const char *data, int len)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (len <= 0)
        return 0;
    buffer_add(&session->out, data, (size_t)len);
    return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static bool attach(struct tls_session *session)
{
    session->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");
    CHECK(session->method != NULL);
    BIO_meth_set_read(session->method, bio_read);
    BIO_meth_set_write(session->method, bio_write);
    BIO_meth_set_ctrl(session->method, bio_ctrl);
    BIO *bio = BIO_new(session->method);
    if (bio == NULL)
        return false;
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    return true;
}

enum err tls_session_open(struct stream *stream, struct tls_context *context,
                          struct text server_name)
{
    struct tls_session *session = memory_new(struct tls_session);
    session->stream = stream;
    session->context = tls_context_ref(context);
    buffer_init(&session->in, loop_buffers(stream->loop));
    buffer_init(&session->out, loop_buffers(stream->loop));
    stream->tls = session;
    const char *why = "tls: no memory for a session";
    session->ssl = tls_context_session(context, session, server_name, &why);
    if (session->ssl == NULL || !attach(session))
        return set_error(session, ERR_INVALID, why);
    return ERR_NONE;
}

void tls_session_close(struct tls_session *session)
{
    if (session == NULL)
        return;
    SSL_free(session->ssl);
    BIO_meth_free(session->method);
    buffer_fini(&session->in);
    buffer_fini(&session->out);
    tls_context_unref(session->context);
    free(session->server_name);
    free(session->peer_name);
    free(session);
}

void tls_session_feed(struct tls_session *session, struct text bytes)
{
    buffer_add(&session->in, bytes.data, bytes.len);
    session->wire_ready = true;
}

void tls_session_wake(struct tls_session *session)
{
    session->wire_ready = true;
}

bool tls_session_may_read(const struct tls_session *session)
{
    return session->wire_ready || buffer_len(&session->in) > 0 || SSL_pending(session->ssl) > 0;
}

static void shut_down(struct tls_session *session)
{
    struct io *io = loop_io(session->stream->loop);
    session->end_wanted = false;
    (void)io->shutdown_write(io->state, session->stream->watch.fd);
}

enum err tls_session_flush(struct tls_session *session)
{
    struct stream *stream = session->stream;
    struct io *io = loop_io(stream->loop);
    size_t len = buffer_len(&session->out);
    if (len > 0) {
        struct iovec part = {session->out.data + session->out.start, len};
        ssize_t sent = io->send(io->state, stream->watch.fd, &part, 1);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return set_error(session, ERR_SYSTEM,
                             errno == ECONNRESET || errno == EPIPE ? "write: reset by peer"
                                                                   : "write: failed");
        if (sent > 0)
            buffer_consume(&session->out, (size_t)sent);
        if (sent < 0 || (size_t)sent < len) {
            stream->write_blocked = true;
            return ERR_AGAIN;
        }
    }
    if (session->end_wanted)
        shut_down(session);
    return ERR_NONE;
}

/* The library's last call ended for good: why. */
static enum err broken(struct tls_session *session, const char *ended)
{
    int reason = ERR_GET_REASON(ERR_peek_error());
    bool wire = session->wire_ended || session->wire_errno != 0;
    if (session->name_refused || (reason != 0 && !(wire && buffer_len(&session->in) == 0 &&
                                                   reason == SSL_R_UNEXPECTED_EOF_WHILE_READING))) {
        const char *why;
        enum err err = tls_context_why(session, &why);
        return set_error(session, err, why);
    }
    if (session->wire_errno == ECONNRESET)
        return set_error(session, ERR_SYSTEM, "tls: reset by peer");
    if (session->wire_errno != 0)
        return set_error(session, ERR_SYSTEM, "tls: reading failed");
    return set_error(session, ERR_PROTOCOL, ended);
}

/* None of the library's answer has left yet, so that the client reads the alert in the clear. */
static enum err refuse_hello(struct tls_session *session)
{
    static const char ALERT[] = {SSL3_RT_ALERT,           3, 3, 0, 2, SSL3_AL_FATAL,
                                 SSL_AD_ILLEGAL_PARAMETER};
    buffer_consume(&session->out, buffer_len(&session->out));
    buffer_add(&session->out, ALERT, sizeof(ALERT));
    (void)tls_session_flush(session);
    return set_error(session, ERR_PROTOCOL, "tls: the second hello asks for another name");
}

/* True as well while no byte has come. */
static bool is_welcome(struct tls_session *session)
{
    struct stream *stream = session->stream;
    tls_admit admit = session->context->admit;
    if (admit == NULL || session->is_admitted)
        return true;
    if (buffer_len(&session->in) == 0 && !pull(session))
        return true;
    session->is_admitted =
        admit(stream->chooser == NULL ? stream->owner : stream->chooser, &stream->peer);
    return session->is_admitted;
}

enum err tls_session_handshake(struct tls_session *session)
{
    if (session->stream->write_blocked)
        return ERR_AGAIN;
    if (!is_welcome(session))
        return set_error(session, ERR_LIMIT, "tls: too many handshakes from this address");
    ERR_clear_error();
    int result = SSL_do_handshake(session->ssl);
    if (session->name_changed)
        return refuse_hello(session);
    int kind = SSL_get_error(session->ssl, result);
    if (result != 1 && kind != SSL_ERROR_WANT_READ) {
        enum err err = broken(session, "tls: the peer ended during the handshake");
        const char *why = session->stream->why;
        (void)tls_session_flush(session); /* the alert */
        return set_error(session, err, why);
    }
    enum err flushed = tls_session_flush(session);
    if (flushed != ERR_NONE && flushed != ERR_AGAIN)
        return flushed;
    return result == 1 ? ERR_NONE : ERR_AGAIN;
}

/* What a read of nothing means. */
static enum err read_nothing(struct tls_session *session, int result, size_t got)
{
    struct stream *stream = session->stream;
    int kind = SSL_get_error(session->ssl, result);
    if (kind == SSL_ERROR_WANT_READ) {
        stream->read_ready = false;
        return got > 0 ? ERR_NONE : ERR_AGAIN;
    }
    if (got > 0)
        return ERR_NONE; /* the end or the error is told again by the next read */
    stream->read_ready = false;
    if (kind == SSL_ERROR_ZERO_RETURN) {
        stream->read_ended = true;
        return ERR_CLOSED;
    }
    stream->broken = true;
    return broken(session, "tls: ended without close_notify");
}

enum err tls_session_read(struct tls_session *session, struct buffer *into, size_t want)
{
    char *room = buffer_reserve(into, want);
    size_t size = MIN(buffer_room(into), (size_t)INT_MAX), got = 0;
    int result = 1;
    ERR_clear_error();
    while (got < size) {
        result = SSL_read(session->ssl, room + got, (int)(size - got));
        if (result <= 0)
            break;
        got += (size_t)result;
    }
    into->end += (uint32_t)got;
    enum err err = result > 0 ? ERR_NONE : read_nothing(session, result, got);
    if (got == 0)
        buffer_release(into);
    /* Answers of the protocol itself (key updates, alerts). */
    if (buffer_len(&session->out) > 0 && !session->stream->write_blocked) {
        const char *why = session->stream->why;
        enum err before = session->stream->err;
        (void)tls_session_flush(session); /* a failure shows in the next write */
        session->stream->why = why;
        session->stream->err = before;
    }
    return err;
}

/* Enciphers up to LIMIT_TLS_BACKLOG of `bytes`; returns how many, or -1. */
static ssize_t encipher(struct tls_session *session, struct text bytes)
{
    size_t held = buffer_len(&session->out);
    size_t len = MIN(bytes.len, held < LIMIT_TLS_BACKLOG ? LIMIT_TLS_BACKLOG - held : 0);
    if (len == 0)
        return 0;
    /* Room for all records and their frames at once. */
    (void)buffer_reserve(&session->out, len + (len / SSL3_RT_MAX_PLAIN_LENGTH + 1) * 64);
    int result = SSL_write(session->ssl, bytes.data, (int)len);
    return result <= 0 ? -1 : result;
}

static enum err write_round(struct tls_session *session, struct buffer *from, struct text more,
                            size_t *ret_taken)
{
    ERR_clear_error();
    ssize_t done = encipher(session, buffer_text(from));
    if (done > 0)
        buffer_consume(from, (size_t)done);
    if (done >= 0 && buffer_len(from) == 0) {
        done = encipher(session, text_slice(more, *ret_taken, more.len));
        *ret_taken += (size_t)MAX(done, 0);
    }
    if (done < 0)
        return broken(session, "tls: the session is over");
    return tls_session_flush(session);
}

enum err tls_session_write(struct tls_session *session, struct buffer *from, struct text more,
                           size_t *ret_taken)
{
    enum err err;
    do
        err = write_round(session, from, more, ret_taken);
    while (err == ERR_NONE && (buffer_len(from) > 0 || *ret_taken < more.len));
    return err;
}

void tls_session_end(struct tls_session *session)
{
    ERR_clear_error();
    (void)SSL_shutdown(session->ssl);
    ERR_clear_error();
    session->end_wanted = true;
    if (!session->stream->write_blocked && tls_session_flush(session) == ERR_SYSTEM)
        shut_down(session);
}

struct text tls_session_alpn(const struct tls_session *session)
{
    const uint8_t *data;
    unsigned len;
    SSL_get0_alpn_selected(session->ssl, &data, &len);
    return text_from((const char *)data, len);
}

struct text tls_session_server_name(const struct tls_session *session)
{
    return text_of(session->server_name);
}

const char *tls_session_version(const struct tls_session *session)
{
    return SSL_get_version(session->ssl);
}

struct text tls_session_peer_name(struct tls_session *session)
{
    if (session->peer_name == NULL) {
        X509 *certificate = session->peer_doubtful ? NULL : SSL_get_peer_certificate(session->ssl);
        session->peer_name =
            certificate == NULL ? memory_string(TEXT("")) : tls_certificate_first_name(certificate);
        X509_free(certificate);
    }
    return text_of(session->peer_name);
}
