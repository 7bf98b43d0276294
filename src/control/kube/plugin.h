/* A program that says who we are at the API server (client.authentication.k8s.io ExecCredential):
 * run in a process group of its own with a deadline and a bound on what it may print. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/config.h"
#include "event/loop.h"

struct plugin;

struct plugin_credential {
    struct text token;            /* or empty */
    struct text certificate, key; /* PEM, or both empty; one of the two forms is there */
    uint64_t until_ms;            /* since 1970; 0: it does not end */
};

/* The last call, and the only one; `credential` NULL: `why` says why not. Both live until it
 * returns. */
typedef void (*plugin_answer)(void *owner, const struct plugin_credential *credential,
                              const char *why);

/* Borrows the config. Never answers before it returns. */
struct plugin *plugin_start(struct loop *loop, const struct kube_config *config,
                            plugin_answer on_answer, void *owner);
/* Ends the program without a word. NULL is nothing. */
void plugin_cancel(struct plugin *plugin);
