/* A control plane of a cluster, asked through the API server (the proxy of its pod), so that a
 * person needs nothing but a kubeconfig and the rights to list pods and to get pods/proxy. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cli.h"
#include "event/loop.h"

struct cluster;

struct cluster_options {
    const char *kubeconfig; /* NULL: as kubectl finds it */
    const char *context;    /* NULL: the current one */
    const char *namespace;  /* where control planes run; NULL: nantian-system */
};

/* CLI_OK and *ret_cluster, or the exit code: a message was printed. */
int cluster_open(const struct cli_verb *verb, struct loop *loop,
                 const struct cluster_options *options, struct cluster **ret_cluster);
/* GET `path` of the first control plane that answers, whose body stands in `arena`. */
int cluster_get(struct cluster *cluster, const char *path, struct arena *arena,
                struct text *ret_body);
/* How many control planes there are to ask, and what the one at this place answers, the one that
 * cluster_get heard last being the first. False: nothing useful, and nothing was printed. */
size_t cluster_count(const struct cluster *cluster);
MUST_USE bool cluster_get_at(struct cluster *cluster, size_t at, const char *path,
                             struct arena *arena, struct text *ret_body);
void cluster_close(struct cluster *cluster); /* NULL is nothing */
/* There is a kubeconfig, or this is a pod. */
bool cluster_is_there(void);
