/* Listening sockets: opened once, given to workers, kept over restarts. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "event/loop.h"
#include "net/address.h"

struct listener {
    struct loop *loop;
    struct watch watch;
    struct address address;
    void *owner;
    /* An accepted descriptor, the callee's from now on. It may close the listener, not free it. */
    void (*on_accept)(void *owner, int fd, const struct address *peer);
    bool paused;
    struct timer retry; /* when descriptors ran out */
};

/* Binds and listens with SO_REUSEPORT (each worker has its own), or returns -1 and errno.
 * `reuse_port` false: a second process on the port is told EADDRINUSE.
 * A Unix socket is made with mode 0600; a path where nobody listens any more is taken over. */
int listener_open(const struct address *address, bool reuse_port);
/* What the kernel bound: the real port where 0 was asked. */
struct address listener_local(int fd);
/* `owner` and `on_accept` are set by the caller. Takes `fd` over and starts accepting, at most
 * LIMIT_ACCEPT_BATCH a turn. */
MUST_USE bool listener_start(struct listener *listener, struct loop *loop, int fd);
void listener_pause(struct listener *listener, bool paused);
void listener_close(struct listener *listener);
