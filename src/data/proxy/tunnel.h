/* TCP and TLS connections that are carried as bytes: a route by listener or server name, a backend
 * by weight, an endpoint by the balancer; then two relays until both sides have ended. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/proxy/proxy.h"

/* A connection of a TCP listener. */
void tunnel_accept(struct proxy_door *door, int fd, const struct address *peer);
/* One of a TLS listener, whose client hello is in `early`: passed on as it is, or ended here. Takes
 * over the connection of `from`. */
void tunnel_take_over(struct proxy_door *door, struct stream *from, struct text early,
                      struct listener_config *listener, struct text server_name);
void tunnel_close_all(struct proxy *proxy);
