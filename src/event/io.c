/* The real kernel behind struct io: epoll and socket calls, one system call each. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "event/io.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/macros.h"
#include "base/memory.h"
#include "base/random.h"

struct kernel {
    struct io io;
    int epoll;
    struct epoll_event events[LIMIT_READY_BATCH];
};

static uint64_t kernel_now_ns(void *state)
{
    (void)state;
    return clock_monotonic_ns();
}

static uint64_t kernel_wall_ns(void *state)
{
    (void)state;
    return clock_wall_ns();
}

static uint64_t kernel_seed(void *state)
{
    (void)state;
    uint64_t seed;
    random_secure(&seed, sizeof(seed));
    return seed;
}

static int kernel_watch(void *state, int fd, void *owner)
{
    struct kernel *kernel = state;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = owner};
    return epoll_ctl(kernel->epoll, EPOLL_CTL_ADD, fd, &event);
}

static int kernel_watch_level(void *state, int fd, void *owner)
{
    struct kernel *kernel = state;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = owner};
    return epoll_ctl(kernel->epoll, EPOLL_CTL_ADD, fd, &event);
}

static int kernel_unwatch(void *state, int fd)
{
    struct kernel *kernel = state;
    return epoll_ctl(kernel->epoll, EPOLL_CTL_DEL, fd, NULL);
}

static uint32_t told(uint32_t events)
{
    uint32_t ready = 0;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        ready |= IO_READ;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        ready |= IO_WRITE;
    if (events & (EPOLLHUP | EPOLLERR))
        ready |= IO_ERROR;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        ready |= IO_END;
    return ready;
}

static int kernel_wait(void *state, struct io_ready *ready, int max, int timeout_ms)
{
    struct kernel *kernel = state;
    max = MIN(max, LIMIT_READY_BATCH);
    int count = epoll_wait(kernel->epoll, kernel->events, max, timeout_ms);
    for (int i = 0; i < count; i++)
        ready[i] = (struct io_ready){.owner = kernel->events[i].data.ptr,
                                     .events = told(kernel->events[i].events)};
    return count;
}

static ssize_t kernel_recv(void *state, int fd, void *data, size_t len)
{
    (void)state;
    return recv(fd, data, len, 0);
}

static ssize_t kernel_send(void *state, int fd, const struct iovec *parts, int count)
{
    (void)state;
    if (count == 1)
        return send(fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL);
    union {
        const struct iovec *in;
        struct iovec *out;
    } iov = {.in = parts}; /* the kernel does not write to them */
    struct msghdr message = {.msg_iov = iov.out, .msg_iovlen = (size_t)count};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* TCP_NODELAY comes with the listening socket (listener_open sets it). */
static int kernel_accept(void *state, int fd, struct sockaddr_storage *peer, socklen_t *len)
{
    (void)state;
    return accept4(fd, (struct sockaddr *)peer, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

bool io_tcp_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, LIMIT_SILENT_MS},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, LIMIT_SILENT_MS / 1000},
        {IPPROTO_TCP, TCP_KEEPINTVL, LIMIT_SILENT_MS / 6000},
    };
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int)) != 0)
            return false;
    return true;
}

static int kernel_connect(void *state, const struct sockaddr *to, socklen_t len)
{
    (void)state;
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (to->sa_family != AF_UNIX)
        (void)io_tcp_options(fd);
    if (connect(fd, to, len) == 0 || errno == EINPROGRESS)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static int kernel_connect_result(void *state, int fd)
{
    (void)state;
    int result = 0;
    socklen_t len = sizeof(result);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &len) != 0)
        return errno;
    return result;
}

static int kernel_shutdown_write(void *state, int fd)
{
    (void)state;
    return shutdown(fd, SHUT_WR);
}

static ssize_t kernel_splice(void *state, int from, int to, size_t len)
{
    (void)state;
    return splice(from, NULL, to, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

static int kernel_close(void *state, int fd)
{
    (void)state;
    return close(fd);
}

struct io *io_kernel_new(void)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        return NULL;
    struct kernel *kernel = memory_new(struct kernel);
    kernel->epoll = epoll;
    kernel->io = (struct io){
        .state = kernel,
        .now_ns = kernel_now_ns,
        .wall_ns = kernel_wall_ns,
        .seed = kernel_seed,
        .watch = kernel_watch,
        .watch_level = kernel_watch_level,
        .unwatch = kernel_unwatch,
        .wait = kernel_wait,
        .recv = kernel_recv,
        .send = kernel_send,
        .accept = kernel_accept,
        .connect = kernel_connect,
        .connect_result = kernel_connect_result,
        .shutdown_write = kernel_shutdown_write,
        .splice = kernel_splice,
        .close = kernel_close,
    };
    return &kernel->io;
}

void io_kernel_free(struct io *io)
{
    if (io == NULL)
        return;
    struct kernel *kernel = io->state;
    close(kernel->epoll);
    free(kernel);
}
