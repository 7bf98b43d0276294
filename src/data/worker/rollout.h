/* Brings a snapshot to all workers: sockets first, so that what cannot be bound is known before
 * anything changes; then one message each; then the answer. On the main thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/fault.h"
#include "data/worker/worker.h"
#include "net/handover.h"

struct rollout;

struct rollout_events {
    /* Every worker serves by it. */
    void (*on_done)(void *owner, struct snapshot *snapshot);
    /* Every client connection is gone. */
    void (*on_drained)(void *owner);
};

struct rollout_options {
    struct loop *loop; /* the main thread's */
    uint32_t workers;
    const char *access_log;
    bool log_as_text;
    struct text node;
    uint64_t handshake_rate;    /* of TLS, a second from one address; 0: unbounded */
    struct handover *inherited; /* listening sockets to use before new ones; NULL: none. Borrows */
    const struct rollout_events *events;
    void *owner;
};

/* Makes the workers and starts their threads. NULL: errno says why. */
struct rollout *rollout_new(const struct rollout_options *options);
/* Stops the workers, waits for them. */
void rollout_free(struct rollout *rollout);

/* ERR_AGAIN: on_done will follow. ERR_INVALID: a socket cannot be opened; the faults say which, and
 * nothing has changed. One at a time. */
MUST_USE enum err rollout_publish(struct rollout *rollout, struct snapshot *snapshot,
                                  struct faults *faults);
bool rollout_is_busy(const struct rollout *rollout);
/* The sockets that the workers listen on, which stay theirs; how many, at most `max`. */
size_t rollout_sockets(const struct rollout *rollout, int *fds, size_t max);
struct snapshot *rollout_current(const struct rollout *rollout); /* borrowed; may be NULL */
void rollout_drain(struct rollout *rollout, uint32_t idle_ms);
void rollout_reopen_logs(struct rollout *rollout);
void rollout_pressure(struct rollout *rollout, enum pressure level);
uint32_t rollout_workers(const struct rollout *rollout, struct worker *const **ret_workers);
