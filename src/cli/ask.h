/* Asking a running control plane, for the verbs that show it: at its socket or port, or in a
 * cluster through the API server. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/value.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "net/address.h"

/* Flags that those verbs share. */
struct ask_options {
    const char *admin;              /* --admin ADDR; NULL: the socket in the state directory */
    const char *state_dir;          /* --state-dir DIR */
    struct cluster_options cluster; /* --kubeconfig, --context, --control-namespace */
    bool as_json;                   /* -o json */
};
#define ASK_USAGE_PLACE                                                                            \
    "  --admin ADDR     unix:PATH or IP:PORT of the control plane (the state directory's "         \
    "socket)\n"                                                                                    \
    "  --state-dir DIR  of the gateway that `nantian up` runs\n"                                   \
    "  --kubeconfig FILE, --context NAME\n"                                                        \
    "                   a cluster, as kubectl finds it; so too when nothing runs here\n"           \
    "  --control-namespace NAME\n"                                                                 \
    "                   of the cluster's control plane (nantian-system)\n"
#define ASK_USAGE ASK_USAGE_PLACE "  --output FORMAT  table or json (-o)"

/* True: the current flag was one of them. */
bool ask_flag(struct cli_args *args, struct ask_options *options);
/* Those that say where. */
bool ask_flag_place(struct cli_args *args, struct ask_options *options);

/* One control plane, asked as often as need be. */
struct ask {
    const struct cli_verb *verb;
    struct loop *loop;
    struct arena arena; /* of all answers */
    struct text where;  /* "unix:PATH" or "IP:PORT" */
    struct address to;
    struct cluster *cluster; /* instead of the two; NULL: there is none */
};

/* CLI_OK, or the exit code: a message was printed. Either way ask_close. */
int ask_open(struct ask *ask, const struct cli_verb *verb, const struct ask_options *options);
/* GET `path`; the answer as text and parsed. Else prints why and returns the exit code. */
int ask_get(struct ask *ask, const char *path, struct text *ret_body, struct value **ret_value);
void ask_close(struct ask *ask);

/* A verb that is one GET shown: reads the flags, asks, prints JSON or hands the answer to `show`,
 * which returns the exit code. `narrow` (or NULL: no --namespace) leaves in the answer what is of
 * one namespace. */
struct ask_view {
    const char *path;
    int (*show)(const struct value *answer, struct arena *arena);
    void (*narrow)(struct value *answer, struct text namespace);
};
int ask_run(const struct cli_verb *verb, int argc, char **argv, const struct ask_view *view);
