/* Hot restart: a data plane that follows another on the same state directory takes its listening
 * sockets, serves, and only then tells it to drain (docs/decisions/0005). The two talk over a Unix
 * socket in that directory:
 *
 *   old: 'S' with descriptors, any number of times; 'E': that was all
 *   new: 'R': every worker serves
 *   old: closes, once it has let go of the state directory and the control plane
 *
 * If the new one ends, or does not say so in time, the old one serves on as if nothing had been. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "event/loop.h"
#include "net/handover.h"
#include "net/listener.h"

/* -- the new one -- */

struct take_over_claim {
    struct handover sockets;
    int fd; /* to the one before; -1: nobody was there */
};

/* Asks whoever serves from `state_dir`, waits for the answer. False: somebody is there, but did not
 * hand over; *ret_why says why. */
MUST_USE bool take_over_ask(const char *state_dir, struct take_over_claim *ret_claim,
                            const char **ret_why);
/* Every worker serves: the one before may go. */
void take_over_confirm(struct take_over_claim *claim);
void take_over_fini(struct take_over_claim *claim);

/* -- the old one -- */

struct take_over_events {
    /* Descriptors to hand over, at most `max`; how many there are. */
    size_t (*on_sockets)(void *owner, int *fds, size_t max);
    /* Another process serves: let go of what only one may have, take_over_close, drain. */
    void (*on_taken)(void *owner);
};

struct take_over {
    struct loop *loop;
    const struct take_over_events *events;
    void *owner;
    struct listener listener;
    struct watch heir;     /* -1: none now */
    struct timer patience; /* with the heir */
};

/* Listens for successors, on a socket of `sockets` if that has it. False: errno says why. */
MUST_USE bool take_over_open(struct take_over *take_over, struct loop *loop, const char *state_dir,
                             struct handover *sockets, const struct take_over_events *events,
                             void *owner);
void take_over_close(struct take_over *take_over); /* also zeroed */
