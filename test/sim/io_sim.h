/* A simulated kernel behind struct io: a virtual clock and sockets in memory, with faults drawn
 * from a seed, so that a failing run can be repeated. One loop, in which all actors live.
 *
 * What it promises is what Linux promises, no more: edges after each change, a short read only when
 * nothing more is there yet (the rest "arrives" later, with a new edge), FIN behind the data.
 * Descriptors of the real kernel (mailboxes, signals) may be watched as well. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "event/io.h"

/* Chances are out of 1000, for each call. */
struct io_sim_options {
    uint64_t seed;
    uint32_t delay_us_max;  /* between a change and the event that tells of it */
    uint32_t short_chance;  /* a read or write takes less than it could */
    uint32_t again_chance;  /* a read or write is put off */
    uint32_t reset_chance;  /* a read or write finds the connection reset */
    uint32_t refuse_chance; /* a connect is refused */
    uint32_t hang_chance;   /* a connect is never answered */
    uint32_t accept_chance; /* accept runs out of descriptors */
    uint32_t capacity;      /* bytes a socket holds for its reader; 0: 65536 */
};

struct io_sim_counts {
    uint64_t shorts, agains, resets, refusals, hangs, exhausted; /* faults */
    uint64_t waits, connects, bytes;
    uint64_t stalls; /* an endless wait with nothing to come */
};

/* Free the loop first. */
struct io *io_sim_new(const struct io_sim_options *options);
void io_sim_free(struct io *io);

/* A listening descriptor; -1 (EADDRINUSE) if the address is taken. Addresses are as connect gets
 * them. */
int io_sim_listen(struct io *io, const struct sockaddr *address, socklen_t len);
/* Faults from here on; the seed is not looked at. */
void io_sim_set_faults(struct io *io, const struct io_sim_options *options);
/* Both ends of a connection see a reset. */
void io_sim_reset(struct io *io, int fd);
/* Lets time pass without events. */
void io_sim_sleep(struct io *io, uint64_t ms);
const struct io_sim_counts *io_sim_counts(const struct io *io);
/* Sockets not closed yet: none at the end of a run that leaks nothing. */
uint32_t io_sim_open_sockets(const struct io *io);
