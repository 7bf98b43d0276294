/* The kernel as the loop sees it: every call that a simulation must be able to replace.
 * io_kernel() is the real one. All descriptors are non-blocking and close-on-exec. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

enum io_events {
    IO_READ = 1,  /* readable, or the peer ended */
    IO_WRITE = 2, /* writable, or connected */
    IO_ERROR = 4, /* broken: the next call says why */
    IO_END = 8,   /* the peer sends nothing more (RDHUP) */
};

struct io_ready {
    void *owner;
    uint32_t events;
};

/* Results are as the system call's: -1 and errno. */
struct io {
    void *state;
    uint64_t (*now_ns)(void *state);  /* monotonic */
    uint64_t (*wall_ns)(void *state); /* since 1970 */
    uint64_t (*seed)(void *state);
    /* Edge triggered, both directions at once: a descriptor is registered once for its life. */
    int (*watch)(void *state, int fd, void *owner);
    /* Level triggered, read only: listening sockets, eventfd, signalfd, inotify. */
    int (*watch_level)(void *state, int fd, void *owner);
    int (*unwatch)(void *state, int fd);
    int (*wait)(void *state, struct io_ready *ready, int max, int timeout_ms);
    ssize_t (*recv)(void *state, int fd, void *data, size_t len);
    ssize_t (*send)(void *state, int fd, const struct iovec *parts, int count);
    int (*accept)(void *state, int fd, struct sockaddr_storage *peer, socklen_t *len);
    int (*connect)(void *state, const struct sockaddr *to, socklen_t len); /* new fd; in progress */
    int (*connect_result)(void *state, int fd); /* 0 or errno of a finished connect */
    int (*shutdown_write)(void *state, int fd);
    /* Between a socket and a pipe; NULL: this kernel cannot. */
    ssize_t (*splice)(void *state, int from, int to, size_t len);
    int (*close)(void *state, int fd);
};

/* What every TCP socket has, also those that a listening one with it accepts: no delay, and a peer
 * that acknowledges nothing, busy or idle, is dead after LIMIT_SILENT_MS or little more. */
bool io_tcp_options(int fd);

/* A new kernel instance (an epoll descriptor); NULL if the kernel refuses. */
struct io *io_kernel_new(void);
void io_kernel_free(struct io *io);
