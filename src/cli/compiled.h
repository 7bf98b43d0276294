/* Configuration as the data plane runs it, compiled here, without a socket: of a directory, or of a
 * running control plane. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/ask.h"
#include "cli/source.h"
#include "data/compile/compile.h"

struct compiled {
    struct source source; /* of a directory */
    struct arena arena;
    struct compile *compile;
    struct snapshot *snapshot;
};

/* CLI_OK, or the exit code; a message was printed. */
int compiled_load(struct compiled *compiled, const struct cli_verb *verb, const char *directory);
/* What data planes of this Gateway ("namespace/name") have; empty: all data planes. */
int compiled_ask(struct compiled *compiled, struct ask *ask, struct text gateway);
void compiled_fini(struct compiled *compiled);

/* Which Gateways a verb is about. */
struct compiled_choice {
    const char *gateway;   /* --gateway [NAMESPACE/]NAME; NULL: all of them */
    const char *namespace; /* --namespace; NULL: any */
};
#define COMPILED_USAGE                                                                             \
    "  --gateway NAME   of a cluster: the Gateway, as NAME or NAMESPACE/NAME\n"                    \
    "  --namespace NAME of a cluster: the Gateways of this namespace (-n)\n"
bool compiled_flag(struct cli_args *args, struct compiled_choice *choice);
/* Their names for compiled_ask, in the arena of `ask`; outside of a cluster an empty one. CLI_OK
 * with at least one, or the exit code. */
int compiled_gateways(struct ask *ask, const struct compiled_choice *choice,
                      struct text **ret_gateways, size_t *ret_count);
