/* A directory, or a file of it alone, read once and translated, by the same code that serves it:
 * what check, explain and routes look at. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cli.h"
#include "control/files/files.h"
#include "control/translate/translate.h"

struct source {
    struct store *store;
    struct files *files;
    struct outcome *outcome;
    struct translate_options options;
};

/* False: a message was printed (the path is missing, or neither of the two). */
MUST_USE bool source_load(struct source *source, const struct cli_verb *verb, const char *path,
                          enum kind_mode mode);
void source_fini(struct source *source);
