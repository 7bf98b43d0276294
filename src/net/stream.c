/* Streams over sockets: connecting, readiness, plain bytes. TLS is below, in tls_stream.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "net/proxy_protocol.h"
#include "net/tls_stream.h"

static struct io *io_of(const struct stream *stream)
{
    return loop_io(stream->loop);
}

/* Before the stream is up: the owner hears of it in an event. The last thing a caller does. */
static void fail(struct stream *stream)
{
    stream->failed = true;
    loop_disarm(stream->loop, &stream->timer);
    stream->on_event(stream->owner, STREAM_FAILED);
}

static enum err set_error(struct stream *stream, enum err err, const char *why)
{
    stream->err = err;
    stream->why = why;
    return err;
}

static enum err connect_error(struct stream *stream, int number)
{
    switch (number) {
    case ECONNREFUSED:
        return set_error(stream, ERR_REFUSED, "connect: refused");
    case ENOENT:
        return set_error(stream, ERR_REFUSED, "connect: no such socket");
    case ETIMEDOUT:
        return set_error(stream, ERR_TIMEOUT, "connect: timed out");
    case EHOSTUNREACH:
    case ENETUNREACH:
        return set_error(stream, ERR_SYSTEM, "connect: no route");
    case ECONNRESET:
        return set_error(stream, ERR_SYSTEM, "connect: reset by peer");
    case EADDRNOTAVAIL:
        return set_error(stream, ERR_SYSTEM, "connect: no free local port");
    case EMFILE:
    case ENFILE:
        return set_error(stream, ERR_SYSTEM, "connect: out of descriptors");
    case EAGAIN: /* a Unix socket whose backlog is full */
        return set_error(stream, ERR_SYSTEM, "connect: the listener is overloaded");
    case EACCES:
    case EPERM:
        return set_error(stream, ERR_SYSTEM, "connect: not permitted");
    default:
        return set_error(stream, ERR_SYSTEM, "connect: failed");
    }
}

/* One recv of exactly what the header still lacks: not a byte behind it may be taken. */
static enum err pull_header(struct stream *stream, size_t want)
{
    struct io *io = io_of(stream);
    char *room = buffer_reserve(stream->proxy_header, want);
    ssize_t got = io->recv(io->state, stream->watch.fd, room, want);
    if (got > 0) {
        stream->proxy_header->end += (uint32_t)got;
        return ERR_NONE;
    }
    if (got == 0)
        return set_error(stream, ERR_CLOSED, "proxy: closed before the header");
    if (errno == EAGAIN)
        return ERR_AGAIN;
    return errno == EINTR ? ERR_NONE : set_error(stream, ERR_SYSTEM, "proxy: reset by peer");
}

static void drop_header(struct stream *stream)
{
    if (stream->proxy_header == NULL)
        return;
    buffer_fini(stream->proxy_header);
    free(stream->proxy_header);
    stream->proxy_header = NULL;
}

/* True once the header is read; false: not yet, or it failed and the owner was told. */
static bool read_header(struct stream *stream)
{
    for (;;) {
        struct proxy_protocol header;
        size_t len = 0, have = buffer_len(stream->proxy_header);
        const char *why = NULL;
        enum err err = proxy_protocol_parse(buffer_text(stream->proxy_header), &header, &len, &why);
        if (err == ERR_NONE) {
            if (header.has_addresses)
                stream->peer = header.source;
            drop_header(stream);
            return true;
        }
        err = err == ERR_AGAIN ? pull_header(stream, len - have) : set_error(stream, err, why);
        if (err == ERR_AGAIN)
            return false;
        if (err != ERR_NONE) {
            fail(stream);
            return false;
        }
    }
}

/* TCP is up. True once the stream is; false: not yet, or it failed and the owner was told. */
static bool shake_hands(struct stream *stream)
{
    if (stream->tls != NULL) {
        enum err err = tls_session_handshake(stream->tls);
        if (err == ERR_AGAIN)
            return false;
        if (err == ERR_LIMIT)
            stream_set_abort(stream); /* nothing of it stays with the kernel either */
        if (err != ERR_NONE) {
            fail(stream);
            return false;
        }
    }
    loop_disarm(stream->loop, &stream->timer);
    stream->connected = true;
    return true;
}

static bool finish_connect(struct stream *stream, uint32_t events)
{
    if ((events & (IO_WRITE | IO_ERROR)) == 0)
        return false;
    struct io *io = io_of(stream);
    int result = io->connect_result(io->state, stream->watch.fd);
    if (result != 0) {
        (void)connect_error(stream, result);
        fail(stream);
        return false;
    }
    stream->connecting = false;
    if (stream->tls != NULL)
        loop_arm(stream->loop, &stream->timer, LIMIT_HANDSHAKE_MS);
    return true;
}

/* What was waiting goes on; true when the owner may write again. */
static bool unblock(struct stream *stream)
{
    stream->write_blocked = false;
    return stream->tls == NULL || tls_session_flush(stream->tls) != ERR_AGAIN;
}

static void on_ready(void *owner, uint32_t events)
{
    struct stream *stream = owner;
    if (stream->failed)
        return;
    if (stream->connecting && !finish_connect(stream, events))
        return;
    stream->end_told |= (events & (IO_END | IO_ERROR)) != 0;
    stream->broken |= (events & IO_ERROR) != 0;
    bool may_read = (events & (IO_READ | IO_END | IO_ERROR)) != 0;
    if (may_read && stream->tls != NULL)
        tls_session_wake(stream->tls);
    uint32_t news = 0;
    if (stream->write_blocked && (events & (IO_WRITE | IO_ERROR)) != 0 && unblock(stream))
        news |= STREAM_WRITABLE;
    if (stream->proxy_header != NULL) {
        if (!read_header(stream))
            return;
        may_read = true; /* bytes behind the header bring no edge of their own */
        if (stream->tls != NULL) {
            tls_session_wake(stream->tls);
            loop_arm(stream->loop, &stream->timer, LIMIT_HANDSHAKE_MS);
        }
    }
    if (!stream->connected) {
        if (!shake_hands(stream))
            return;
        news = STREAM_CONNECTED;
        may_read |= stream->tls != NULL && tls_session_may_read(stream->tls);
    }
    if (may_read && !stream->read_ended) {
        stream->read_ready = true;
        news |= STREAM_READABLE;
    }
    if (news != 0)
        stream->on_event(stream->owner, news);
}

static void on_deadline(void *owner)
{
    struct stream *stream = owner;
    if (stream->connecting)
        (void)set_error(stream, ERR_TIMEOUT, "connect: timed out");
    else if (stream->proxy_header != NULL)
        (void)set_error(stream, ERR_TIMEOUT, "proxy: no header came");
    else
        (void)set_error(stream, ERR_TIMEOUT, "tls: handshake timed out");
    fail(stream);
}

static void on_resume(void *owner)
{
    struct stream *stream = owner;
    if (stream->connected && stream->read_ready && !stream->read_ended)
        stream->on_event(stream->owner, STREAM_READABLE);
}

/* Everything but the descriptor: what the owner set stays. */
static void reset(struct stream *stream, struct loop *loop, const struct address *peer)
{
    *stream = (struct stream){
        .loop = loop,
        .owner = stream->owner,
        .on_event = stream->on_event,
        .chooser = stream->chooser,
        .peer = *peer,
    };
    stream->watch = (struct watch){.fd = -1, .owner = stream, .on_ready = on_ready};
    timer_init(&stream->timer, stream, on_deadline);
    defer_init(&stream->resume, stream, on_resume);
}

static enum err start(struct stream *stream, int fd, struct tls_context *tls,
                      struct text server_name)
{
    stream->watch.fd = fd;
    enum err err = ERR_NONE;
    if (!loop_watch(stream->loop, &stream->watch))
        err = set_error(stream, ERR_SYSTEM, "watch: the kernel refused");
    else if (tls != NULL)
        err = tls_session_open(stream, tls, server_name);
    if (err != ERR_NONE)
        stream_close(stream);
    return err;
}

enum err stream_accept(struct stream *stream, struct loop *loop, int fd, const struct address *peer,
                       struct tls_context *tls)
{
    reset(stream, loop, peer);
    enum err err = start(stream, fd, tls, TEXT_NONE);
    if (err == ERR_NONE && tls != NULL)
        loop_arm(loop, &stream->timer, LIMIT_HANDSHAKE_MS);
    return err;
}

enum err stream_accept_proxied(struct stream *stream, struct loop *loop, int fd,
                               const struct address *peer, struct tls_context *tls,
                               uint32_t header_ms)
{
    enum err err = stream_accept(stream, loop, fd, peer, tls);
    if (err != ERR_NONE)
        return err;
    stream->proxy_header = memory_new(struct buffer);
    buffer_init(stream->proxy_header, loop_buffers(loop));
    loop_arm(loop, &stream->timer, header_ms);
    return ERR_NONE;
}

enum err stream_take_over(struct stream *stream, struct stream *from, struct text early,
                          struct tls_context *tls)
{
    struct loop *loop = from->loop;
    struct address peer = from->peer;
    int fd = from->watch.fd;
    loop_unwatch(loop, &from->watch);
    from->watch.fd = -1;
    stream_close(from);
    enum err err = stream_accept(stream, loop, fd, &peer, tls);
    if (err == ERR_NONE && tls != NULL)
        tls_session_feed(stream->tls, early);
    return err;
}

enum err stream_connect(struct stream *stream, struct loop *loop, const struct address *to,
                        struct tls_context *tls, struct text server_name, uint32_t timeout_ms)
{
    reset(stream, loop, to);
    struct io *io = io_of(stream);
    int fd = io->connect(io->state, &to->any, to->len);
    if (fd < 0) {
        enum err why = connect_error(stream, errno);
        stream_close(stream);
        return why;
    }
    stream->connecting = true;
    enum err err = start(stream, fd, tls, server_name);
    if (err == ERR_NONE)
        loop_arm(loop, &stream->timer, timeout_ms);
    return err;
}

void stream_close(struct stream *stream)
{
    if (stream->loop == NULL)
        return;
    loop_disarm(stream->loop, &stream->timer);
    loop_undefer(stream->loop, &stream->resume);
    int fd = stream->watch.fd;
    if (fd >= 0) {
        struct io *io = io_of(stream);
        loop_unwatch(stream->loop, &stream->watch);
        io->close(io->state, fd);
    }
    drop_header(stream);
    tls_session_close(stream->tls);
    stream->tls = NULL;
    stream->loop = NULL;
    stream->connected = stream->connecting = stream->read_ready = false;
}

void stream_set_abort(struct stream *stream)
{
    struct linger at_once = {.l_onoff = 1};
    if (stream->loop != NULL && stream->watch.fd >= 0)
        (void)setsockopt(stream->watch.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

void stream_set_silence(struct stream *stream, uint32_t ms)
{
    if (stream->loop != NULL && stream->watch.fd >= 0)
        (void)setsockopt(stream->watch.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

void stream_end_write(struct stream *stream)
{
    if (stream->loop == NULL || !stream->connected)
        return;
    if (stream->tls != NULL) {
        tls_session_end(stream->tls);
        return;
    }
    struct io *io = io_of(stream);
    (void)io->shutdown_write(io->state, stream->watch.fd);
}

static enum err read_plain(struct stream *stream, struct buffer *into, size_t want)
{
    char *room = buffer_reserve(into, want);
    size_t size = buffer_room(into);
    struct io *io = io_of(stream);
    ssize_t got = io->recv(io->state, stream->watch.fd, room, size);
    if (got > 0) {
        into->end += (uint32_t)got;
        if ((size_t)got < size && !stream->end_told)
            stream->read_ready = false;
        return ERR_NONE;
    }
    int why = errno;
    buffer_release(into);
    if (got == 0) {
        stream->read_ended = true;
        stream->read_ready = false;
        return ERR_CLOSED;
    }
    if (why == EAGAIN || why == EINTR) {
        stream->read_ready = why == EINTR;
        return ERR_AGAIN;
    }
    stream->read_ready = false;
    stream->broken = true;
    return set_error(stream, ERR_SYSTEM,
                     why == ECONNRESET  ? "read: reset by peer"
                     : why == ETIMEDOUT ? "read: connection timed out"
                                        : "read: failed");
}

enum err stream_read(struct stream *stream, struct buffer *into, size_t want)
{
    if (stream->loop == NULL)
        return ERR_SYSTEM;
    if (stream->read_ended)
        return ERR_CLOSED;
    if (!stream->read_ready)
        return stream->broken && stream->err != ERR_NONE ? stream->err : ERR_AGAIN;
    if (!stream->connected)
        return ERR_AGAIN;
    size_t before = buffer_len(into);
    enum err err = stream->tls == NULL ? read_plain(stream, into, want)
                                       : tls_session_read(stream->tls, into, want);
    /* A short read that leaves the end or an error unread: the reader may stop here, and no edge
     * would wake it. */
    if (err == ERR_NONE && stream->read_ready && buffer_len(into) - before < want)
        loop_defer(stream->loop, &stream->resume);
    return err;
}

static enum err write_plain(struct stream *stream, struct buffer *from, struct text more,
                            size_t *ret_taken)
{
    struct text first = buffer_text(from);
    union {
        const char *in;
        void *out;
    } first_data = {.in = first.data}, more_data = {.in = more.data};
    struct iovec parts[2];
    int count = 0;
    if (first.len > 0)
        parts[count++] = (struct iovec){first_data.out, first.len};
    if (more.len > 0)
        parts[count++] = (struct iovec){more_data.out, more.len};
    if (count == 0)
        return ERR_NONE;

    struct io *io = io_of(stream);
    ssize_t sent = io->send(io->state, stream->watch.fd, parts, count);
    if (sent < 0) {
        if (errno == EAGAIN || errno == EINTR) {
            stream->write_blocked = true;
            return ERR_AGAIN;
        }
        /* What the peer said before it reset can still be read, to its end; no edge may tell. */
        stream->read_ready = !stream->read_ended;
        stream->end_told = true;
        return set_error(stream, ERR_SYSTEM,
                         errno == ECONNRESET || errno == EPIPE ? "write: reset by peer"
                                                               : "write: failed");
    }
    size_t of_first = MIN((size_t)sent, first.len);
    if (of_first > 0)
        buffer_consume(from, of_first);
    *ret_taken = (size_t)sent - of_first;
    if ((size_t)sent == first.len + more.len)
        return ERR_NONE;
    stream->write_blocked = true;
    return ERR_AGAIN;
}

enum err stream_write_more(struct stream *stream, struct buffer *from, struct text more,
                           size_t *ret_taken)
{
    *ret_taken = 0;
    if (stream->loop == NULL || stream->failed)
        return ERR_SYSTEM;
    if (stream->write_blocked || !stream->connected)
        return ERR_AGAIN;
    if (stream->tls != NULL)
        return tls_session_write(stream->tls, from, more, ret_taken);
    return write_plain(stream, from, more, ret_taken);
}

enum err stream_write(struct stream *stream, struct buffer *from)
{
    size_t taken;
    return stream_write_more(stream, from, TEXT_NONE, &taken);
}

void stream_resume(struct stream *stream)
{
    if (stream->loop != NULL && stream->read_ready && !stream->read_ended)
        loop_defer(stream->loop, &stream->resume);
}

void stream_yield(struct stream *stream)
{
    if (stream->loop != NULL && stream->read_ready && !stream->read_ended)
        loop_defer_next(stream->loop, &stream->resume);
}

struct text stream_alpn(const struct stream *stream)
{
    return stream->tls == NULL ? TEXT_NONE : tls_session_alpn(stream->tls);
}

struct text stream_server_name(const struct stream *stream)
{
    return stream->tls == NULL ? TEXT_NONE : tls_session_server_name(stream->tls);
}

const char *stream_tls_version(const struct stream *stream)
{
    return stream->tls == NULL ? NULL : tls_session_version(stream->tls);
}

struct text stream_peer_certificate_name(const struct stream *stream)
{
    return stream->tls == NULL ? TEXT_NONE : tls_session_peer_name(stream->tls);
}

struct address stream_local(const struct stream *stream)
{
    struct address local = {.len = sizeof(local.storage)};
    if (stream->loop == NULL || getsockname(stream->watch.fd, &local.any, &local.len) != 0)
        local.len = 0;
    return local;
}

bool stream_peer_uid(const struct stream *stream, uint32_t *ret_uid)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    if (stream->loop == NULL || stream->peer.len == 0 || stream->peer.any.sa_family != AF_UNIX)
        return false;
    if (getsockopt(stream->watch.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    *ret_uid = peer.uid;
    return true;
}
