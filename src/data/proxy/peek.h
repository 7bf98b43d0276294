/* Clients of sockets that TLS listeners share with others: their first message is read, and the
 * server name in it says whose they are. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/proxy/proxy.h"

/* A client of an HTTPS listener; takes over the connection of `from`. */
typedef void (*peek_https)(struct proxy_door *door, struct stream *from, struct text early);

void peek_begin(struct proxy_door *door, int fd, const struct address *peer, peek_https on_https);
void peek_close_all(struct proxy *proxy);
