/* nantian-proxy's command line. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "base/log.h"
#include "net/address.h"

#define OPTIONS_LIST_MAX 16

struct options {
    const char *xds[OPTIONS_LIST_MAX]; /* "unix:/path", "host:port" */
    size_t xds_count;
    const char *xds_ca, *xds_cert, *xds_key, *xds_name;
    const char *xds_token; /* a file */
    char *node;            /* owns */
    const char *zone;      /* where we run; empty: not known */
    const char *gateway;   /* "namespace/name" or "/class"; NULL: all */
    const char *state_dir; /* NULL: nothing is kept */
    const char *admin[OPTIONS_LIST_MAX];
    size_t admin_count; /* 0 after "off" */
    uint32_t workers;
    const char *access_log; /* "stdout", "off" or a path */
    bool log_as_text;
    enum log_level log_level;
    struct text default_addresses[OPTIONS_LIST_MAX];
    size_t default_address_count;
    bool take_over; /* the sockets of whoever serves from this state directory */
    uint64_t drain_delay_ms, drain_timeout_ms;
    uint64_t memory_max;     /* bytes; 0: unbounded */
    uint64_t handshake_rate; /* of TLS, a second from one address; 0: unbounded */
};

enum options_result { OPTIONS_RUN, OPTIONS_EXIT, OPTIONS_WRONG };

/* Prints what --help and --version ask for, or what is wrong. Strings stay in argv. */
enum options_result options_parse(struct options *options, int argc, char **argv);
void options_fini(struct options *options);
