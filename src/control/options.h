/* The flags of nantian-control. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "base/log.h"
#include "net/address.h"

#define OPTIONS_ADDRESSES 4

struct options {
    struct arena arena;
    struct text directory, state_dir, controller, default_address;
    struct text proxy_image;         /* of the data planes of a cluster */
    struct text kubeconfig, context; /* instead of a directory; both empty as well: in a pod */
    uint32_t relist_ms;              /* between two lists of a kind of the cluster, at most */
    uint32_t lease_ms;               /* a follower takes over after so long without a renewal */
    struct address xds[OPTIONS_ADDRESSES], admin[OPTIONS_ADDRESSES];
    size_t xds_count, admin_count;
    struct text certificate, key, client_ca; /* PEM, of xDS over TCP */
    uint32_t certificate_s;                  /* life of our own one; 0: as usual */
    struct text session_key;                 /* content of the file; empty: our own */
    bool log_as_text;
    enum log_level log_level;
};

/* -1: go on. Else what the program should exit with (help was printed, or what is wrong). */
int control_options_read(struct options *options, int argc, char **argv);
/* A cluster is the source, not a directory. */
bool options_are_for_cluster(const struct options *options);
void control_options_fini(struct options *options);
