/* A thread that serves: one loop, its doors, its proxy. Others reach it by mail only; a simulation
 * runs it without a thread, turn by turn. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "data/proxy/proxy.h"
#include "event/mailbox.h"
#include "net/listener.h"

/* A listening address and the socket that this worker has of its own. */
struct worker_door {
    struct proxy_door door;
    struct listener listener;
    struct worker *worker;
    struct worker_door *next;
    enum listener_protocol speaks;
};

struct worker {
    struct loop *loop;
    struct udp_door **udp_doors; /* owns */
    size_t udp_count, udp_cap;
    struct mailbox mailbox;
    struct proxy proxy;
    struct worker_door *doors;
    struct timer drain_check;
    uint32_t drain_idle_ms;
    struct worker_mail *drain_reply; /* sent when the last connection is gone */
    pthread_t thread;
    bool has_thread;
    bool is_stopping;
    bool is_seeded; /* the thread's random generator of TLS */
    uint32_t index;
};

struct worker_options {
    struct io *io; /* NULL: the kernel */
    uint32_t index;
    const char *access_log;
    bool log_as_text;
    struct text node;
    struct pool_bells *bells;      /* the workers' that share limits; NULL: it is alone */
    struct handshakes *handshakes; /* as in proxy_options; borrows */
};

/* NULL: the kernel refused, or the access log cannot be opened; errno says why. */
struct worker *worker_new(const struct worker_options *options);
MUST_USE bool worker_start(struct worker *worker); /* its thread */
/* After worker_post_stop: waits for the thread; without one, turns the loop to the end. */
void worker_free(struct worker *worker);

/* A socket for a new door; the worker owns `fd` from now on. */
struct worker_socket {
    struct address address;
    int fd;
    bool is_udp;
};

/* On the worker's own thread. */
void worker_adopt(struct worker *worker, struct snapshot *snapshot,
                  const struct worker_socket *sockets, size_t count);
/* Idle connections stay for `idle_ms`: a request may be on its way. */
void worker_drain(struct worker *worker, uint32_t idle_ms);

/* From another thread. `reply` is called on the thread of `reply_to`, with its owner. */
typedef void (*worker_reply)(void *owner, struct worker *worker);
struct worker_answer {
    struct mailbox *reply_to;
    worker_reply reply;
};
/* Takes a reference to the snapshot; copies the sockets. */
void worker_post_adopt(struct worker *worker, struct snapshot *snapshot,
                       const struct worker_socket *sockets, size_t count,
                       struct worker_answer answer);
/* Answered when no client connection is left. */
void worker_post_drain(struct worker *worker, uint32_t idle_ms, struct worker_answer answer);
void worker_post_reopen(struct worker *worker);
void worker_post_pressure(struct worker *worker, enum pressure level);
void worker_post_stop(struct worker *worker);
