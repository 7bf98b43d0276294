/* Listening sockets on their way from a process to the one that follows it: over a Unix socket
 * (SCM_RIGHTS), as they are, so that what the kernel has queued for them is lost to nobody. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "net/address.h"

/* What came, until it is taken. Zeroed: empty. */
struct handover {
    int *fds; /* owns, and the descriptors */
    size_t count, cap;
};

/* One message: a byte that says what it is, with at most HANDOVER_BATCH descriptors (which stay the
 * sender's). False: errno says why. */
#define HANDOVER_BATCH 200
MUST_USE bool handover_send(int socket, char what, const int *fds, size_t count);
/* Reads one message, adds its descriptors. ERR_AGAIN: none yet; ERR_CLOSED: the peer is gone. */
MUST_USE enum err handover_receive(int socket, char *ret_what, struct handover *handover);
/* Takes out a socket that listens at `address` (is_udp: is bound to it for datagrams), or -1. */
int handover_take(struct handover *handover, const struct address *address, bool is_udp);
void handover_fini(struct handover *handover); /* closes what nobody took */
