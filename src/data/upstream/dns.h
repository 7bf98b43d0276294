/* How long an answer of the name servers holds. What a name means is getaddrinfo's to say, which
 * knows hosts files and search lists but no times; this asks the servers for those. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dns_time {
    bool is_negative; /* there is no such name, or it has no address */
    uint32_t seconds; /* from now on */
};

/* Of a DNS message: the shortest time of what leads to the addresses, or of their absence (RFC 2308
 * 5). False: it is broken, or says nothing of that. */
bool dns_read(const uint8_t *message, size_t len, struct dns_time *ret_time);
/* Asks the system's name servers for one kind of address, and waits: not for a thread that has a
 * loop. `host` is taken as a whole name. False: they did not say. */
bool dns_ask(const char *host, bool is_v6, struct dns_time *ret_time);
