/* Where a standalone gateway keeps its state, so that every verb finds what `up` started. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "net/address.h"

/* --state-dir if given; else $XDG_STATE_HOME/nantian, ~/.local/state/nantian, /var/lib/nantian for
 * root, else /tmp/nantian-UID. */
struct text place_state_dir(const char *given, struct arena *arena);
/* Makes it and the folders planes use (0700), and takes it for this process: a second gateway in it
 * would take the first one's ports away. The caller closes what it gets; -1: *ret_why. */
MUST_USE int place_take(struct text dir, const char **ret_why);
/* "DIR/control.sock": the control plane's admin socket. */
struct text place_admin_socket(struct text dir, struct arena *arena);
struct text place_xds_socket(struct text dir, struct arena *arena);
/* The first port from `port` on that can be bound on 127.0.0.1 (0: none of the next 100). */
uint16_t place_free_port(uint16_t port);
