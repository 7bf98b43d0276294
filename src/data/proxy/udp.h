/* UDP: who sends from one address and port is one flow, and has one endpoint until it falls silent.
 * Answers leave from the address that the client spoke to. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/proxy/proxy.h"

struct udp_door;

/* Takes the socket over; NULL: the kernel refused. */
struct udp_door *udp_open(struct proxy *proxy, const struct address *address, int fd,
                          const struct binding *binding);
const struct address *udp_address(const struct udp_door *udp);
/* What the current snapshot says of it. */
void udp_bind(struct udp_door *udp, const struct binding *binding);
/* Reads nothing more from clients; flows end once their endpoints are silent. */
void udp_drain(struct udp_door *udp);
/* Ends its flows, closes it. */
void udp_close(struct udp_door *udp);
