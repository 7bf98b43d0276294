/* IPv4, IPv6 and Unix addresses as values. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/text.h"

#define ADDRESS_TEXT_MAX 128

struct address {
    socklen_t len; /* 0: none */
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
        struct sockaddr_un local;
    };
};

/* "10.0.0.1", "::1" or "[::1]", with the port given; numbers only. */
MUST_USE bool address_parse(struct text host, uint16_t port, struct address *ret_address);
/* "10.0.0.1:80", "[::1]:80", "unix:/run/x.sock", ":80" (every address, IPv6 dual stack off). */
MUST_USE bool address_parse_endpoint(struct text text, struct address *ret_address);
bool address_equal(const struct address *a, const struct address *b);
/* 127.0.0.1 or ::1, whatever the port; not the rest of 127.0.0.0/8, by which service meshes hand on
 * what came from elsewhere. */
bool address_is_loopback(const struct address *address);
/* Leads back to this machine, and no packet leaves it: 127.0.0.0/8 and ::1, and the addresses of no
 * host, which connect(2) takes for those; also as IPv4 in IPv6. */
bool address_is_here(const struct address *address);
uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);
/* "10.0.0.1:80"; and the host alone "10.0.0.1". Terminated; returns the text in `out`. */
struct text address_format(const struct address *address, char out[ADDRESS_TEXT_MAX]);
struct text address_format_host(const struct address *address, char out[ADDRESS_TEXT_MAX]);
/* The bytes by which clients are told apart: IPv4 whole, of IPv6 the first half, since a client
 * owns its /64 and would else be that many. Borrows; empty for those that have no such address. */
struct text address_client(const struct address *address);
