/* A directory as the data plane would run it: translated, compiled, without a socket. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/source.h"
#include "data/compile/compile.h"

struct compiled {
    struct source source;
    struct arena arena;
    struct compile *compile;
    struct snapshot *snapshot;
};

/* CLI_OK, or the exit code; a message was printed. */
int compiled_load(struct compiled *compiled, const struct cli_verb *verb, const char *directory);
void compiled_fini(struct compiled *compiled);
/* The directory to look at: the one given, else that of the running gateway (asked of its control
 * plane, in `arena`). NULL: a message was printed; *ret_code says which exit. */
struct ask_options;
const char *compiled_directory(const char *given, const struct cli_verb *verb,
                               const struct ask_options *ask, struct arena *arena, int *ret_code);
