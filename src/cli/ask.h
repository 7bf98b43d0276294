/* Asking a running control plane, for the verbs that show it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/value.h"
#include "cli/cli.h"

/* Flags that those verbs share. */
struct ask_options {
    const char *admin;     /* --admin ADDR; NULL: the socket in the state directory */
    const char *state_dir; /* --state-dir DIR */
    bool as_json;          /* -o json */
};
#define ASK_USAGE                                                                                  \
    "  --admin ADDR     unix:PATH or IP:PORT of the control plane (the state directory's "         \
    "socket)\n"                                                                                    \
    "  --state-dir DIR  of the gateway that `nantian up` runs\n"                                   \
    "  --output FORMAT  table or json (-o)"

/* True: the current flag was one of them. */
bool ask_flag(struct cli_args *args, struct ask_options *options);
/* GET `path`; the answer as text and parsed, in `arena`. Else prints why and returns the exit code;
 * CLI_OK with *ret_value. */
int ask_get(const struct cli_verb *verb, const struct ask_options *options, const char *path,
            struct arena *arena, struct text *ret_body, struct value **ret_value);

/* A verb that is one GET shown: reads the flags, asks, prints JSON or hands the answer to `show`,
 * which returns the exit code. */
int ask_run(const struct cli_verb *verb, int argc, char **argv, const char *path,
            int (*show)(const struct value *answer, struct arena *arena));
