/* Listening sockets and the accepting side of a worker. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"

/* Removes a socket file behind which nobody listens. False (errno) if the path is in use, or is
 * anything but a socket. */
static bool clear_path(const struct address *address)
{
    const char *path = address->local.sun_path;
    if (path[0] == 0)
        return true; /* no file */
    struct stat found;
    if (lstat(path, &found) != 0)
        return errno == ENOENT;
    errno = EADDRINUSE;
    if (!S_ISSOCK(found.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool dead = connect(fd, &address->any, address->len) != 0 && errno == ECONNREFUSED;
    close(fd);
    if (dead && unlink(path) == 0)
        return true;
    errno = EADDRINUSE;
    return false;
}

static bool prepare(int fd, const struct address *address, bool reuse_port)
{
    int on = 1;
    if (address->any.sa_family == AF_UNIX)
        return clear_path(address) && fchmod(fd, S_IRUSR | S_IWUSR) == 0; /* bind takes the mode */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 || !io_tcp_options(fd))
        return false;
    if (address->any.sa_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
        return false;
    return !reuse_port || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0;
}

int listener_open(const struct address *address, bool reuse_port)
{
    if (address->len == 0) {
        errno = EINVAL;
        return -1;
    }
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (prepare(fd, address, reuse_port) && bind(fd, &address->any, address->len) == 0 &&
        listen(fd, LIMIT_LISTEN_BACKLOG) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

struct address listener_local(int fd)
{
    struct address address = {.len = sizeof(address.storage)};
    if (getsockname(fd, &address.any, &address.len) != 0)
        address.len = 0;
    return address;
}

static void back_off(struct listener *listener)
{
    int fd = listener->watch.fd;
    loop_unwatch(listener->loop, &listener->watch);
    listener->watch.fd = fd;
    loop_arm(listener->loop, &listener->retry, LIMIT_ACCEPT_PAUSE_MS);
}

static void on_ready(void *owner, uint32_t events)
{
    (void)events;
    struct listener *listener = owner;
    struct io *io = loop_io(listener->loop);
    for (int i = 0; i < LIMIT_ACCEPT_BATCH; i++) {
        struct address peer = {.len = sizeof(peer.storage)};
        int fd = io->accept(io->state, listener->watch.fd, &peer.storage, &peer.len);
        if (fd >= 0) {
            listener->on_accept(listener->owner, fd, &peer);
            if (listener->watch.fd < 0 || listener->paused)
                return;
            continue;
        }
        switch (errno) {
        case EAGAIN:
            return;
        case EINTR:
        case ECONNABORTED: /* the errors of a connection that is gone already (accept(2)) */
        case EPROTO:
        case EPERM:
        case ENETDOWN:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ENETUNREACH:
        case ENOPROTOOPT:
            continue;
        default: /* out of descriptors or memory: the rest waits in the backlog */
            back_off(listener);
            return;
        }
    }
}

static void on_retry(void *owner)
{
    struct listener *listener = owner;
    if (listener->paused || listener->watch.fd < 0)
        return;
    if (!loop_watch_level(listener->loop, &listener->watch))
        loop_arm(listener->loop, &listener->retry, LIMIT_ACCEPT_PAUSE_MS);
}

bool listener_start(struct listener *listener, struct loop *loop, int fd)
{
    listener->loop = loop;
    listener->paused = false;
    listener->watch = (struct watch){.fd = fd, .owner = listener, .on_ready = on_ready};
    timer_init(&listener->retry, listener, on_retry);
    if (listener->address.len == 0)
        listener->address = listener_local(fd);
    if (loop_watch_level(loop, &listener->watch))
        return true;
    struct io *io = loop_io(loop);
    io->close(io->state, fd);
    listener->watch.fd = -1;
    return false;
}

void listener_pause(struct listener *listener, bool paused)
{
    if (listener->loop == NULL || listener->watch.fd < 0 || listener->paused == paused)
        return;
    listener->paused = paused;
    if (!paused) {
        on_retry(listener);
    } else if (timer_is_armed(&listener->retry)) {
        loop_disarm(listener->loop, &listener->retry); /* not watched now */
    } else {
        int fd = listener->watch.fd;
        loop_unwatch(listener->loop, &listener->watch);
        listener->watch.fd = fd;
    }
}

void listener_close(struct listener *listener)
{
    if (listener->loop == NULL || listener->watch.fd < 0)
        return;
    struct io *io = loop_io(listener->loop);
    int fd = listener->watch.fd;
    loop_disarm(listener->loop, &listener->retry);
    loop_unwatch(listener->loop, &listener->watch);
    io->close(io->state, fd);
}
