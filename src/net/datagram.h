/* UDP: a socket that many send to, and one for each flow to a backend. Straight to the kernel: the
 * simulated one has no datagrams. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "event/loop.h"
#include "net/address.h"

#define DATAGRAM_MAX 65535

/* Who sent a datagram, and to which of our addresses: an answer leaves from that one. */
struct datagram_from {
    struct address peer, local;
};

/* Binds with SO_REUSEPORT (each worker has its own, and the kernel keeps a peer with one of them);
 * -1 and errno. `reuse_port` false: a second process on the port is told EADDRINUSE. */
int datagram_open(const struct address *address, bool reuse_port);
/* A socket that speaks to `to` alone; -1 and errno. */
int datagram_connect(const struct address *to);
/* The length, which may be 0; -1 and errno (EAGAIN: none now). `local` has the socket's port. */
ssize_t datagram_receive(int fd, uint16_t port, char *data, size_t size,
                         struct datagram_from *ret_from);
/* From the address that the peer spoke to. False: the kernel did not take it. */
bool datagram_answer(int fd, const struct datagram_from *to, struct text data);
