/* splice(2) between sockets and pipes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/splice.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void splice_pool_fini(struct splice_pool *pool)
{
    for (uint32_t i = 0; i < pool->count; i++) {
        close(pool->free[i].in);
        close(pool->free[i].out);
    }
    pool->count = 0;
}

bool splice_take(struct splice_pool *pool, struct io *io, struct splice_pipe *ret_pipe)
{
    int ends[2];
    if (io->splice == NULL)
        return false;
    if (pool->count > 0) {
        *ret_pipe = pool->free[--pool->count];
        return true;
    }
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
        return false;
    *ret_pipe = (struct splice_pipe){.out = ends[0], .in = ends[1]};
    return true;
}

void splice_give(struct splice_pool *pool, struct splice_pipe *pipe)
{
    if (pipe->in >= 0 && pipe->held == 0 && pool->count < LIMIT_PIPES_KEPT) {
        pool->free[pool->count++] = *pipe;
    } else if (pipe->in >= 0) {
        close(pipe->in);
        close(pipe->out);
    }
    *pipe = (struct splice_pipe){-1, -1, 0};
}

static enum err fail(struct stream *stream, const char *reset, const char *other)
{
    stream->err = ERR_SYSTEM;
    stream->why = errno == ECONNRESET || errno == EPIPE ? reset : other;
    return ERR_SYSTEM;
}

/* The pipe is empty, so that EAGAIN speaks of the socket. */
enum err splice_read(struct stream *stream, struct splice_pipe *pipe)
{
    if (stream->loop == NULL)
        return ERR_SYSTEM;
    if (stream->read_ended)
        return ERR_CLOSED;
    if (!stream->read_ready || !stream->connected)
        return ERR_AGAIN;
    struct io *io = loop_io(stream->loop);
    ssize_t got = io->splice(io->state, stream->watch.fd, pipe->in, LIMIT_SPLICE);
    if (got > 0) {
        pipe->held += (uint32_t)got;
        return ERR_NONE;
    }
    if (got < 0 && errno == EINTR)
        return ERR_AGAIN;
    stream->read_ready = false;
    if (got == 0) {
        stream->read_ended = true;
        return ERR_CLOSED;
    }
    if (errno == EAGAIN)
        return ERR_AGAIN;
    stream->broken = true;
    return fail(stream, "read: reset by peer", "read: failed");
}

enum err splice_write(struct stream *stream, struct splice_pipe *pipe, uint32_t *ret_taken)
{
    *ret_taken = 0;
    if (stream->loop == NULL || stream->failed)
        return ERR_SYSTEM;
    if (stream->write_blocked || !stream->connected)
        return ERR_AGAIN;
    struct io *io = loop_io(stream->loop);
    while (pipe->held > 0) {
        ssize_t sent = io->splice(io->state, pipe->out, stream->watch.fd, pipe->held);
        if (sent > 0) {
            pipe->held -= (uint32_t)sent;
            *ret_taken += (uint32_t)sent;
            continue;
        }
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            /* What the peer said before it reset can still be read, to its end; no edge may tell.
             */
            stream->read_ready = !stream->read_ended;
            stream->end_told = true;
            return fail(stream, "write: reset by peer", "write: failed");
        }
        stream->write_blocked = true;
        return ERR_AGAIN;
    }
    return ERR_NONE;
}
