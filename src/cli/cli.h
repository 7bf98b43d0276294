/* What the verbs share: their table, how arguments are read, what exit codes mean. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/builder.h"
#include "base/text.h"

/* Documented in docs/user/cli.md; scripts rely on them. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FINDINGS = 1,    /* check found something; explain: no route; a step of demo failed */
    CLI_USAGE = 2,       /* unknown flag, missing argument or path */
    CLI_UNREACHABLE = 3, /* no gateway answers at the address */
    CLI_NOT_READY = 4,   /* it answers and is not in sync */
    CLI_INTERNAL = 5,
};

struct cli_verb {
    const char *name;                  /* "check", "config dump" */
    const char *summary;               /* one line */
    const char *usage;                 /* what follows the name, then options a line each */
    int (*run)(int argc, char **argv); /* argv[0] is the verb's last word */
};

extern const struct cli_verb cli_check, cli_config, cli_demo, cli_echo, cli_explain, cli_install,
    cli_nodes, cli_routes, cli_status, cli_up, cli_version;

/* What kubectl_complete-nantian does: prints what the last of the words may become, a line each,
 * then the directive of a cobra completion. */
int completion_words(const struct cli_verb *const *verbs, int argc, char **argv);
/* What `self` does: a script that completes `verbs`, NULL-terminated. */
int completion_run(const struct cli_verb *self, const struct cli_verb *const *verbs, int argc,
                   char **argv);

/* Reads arguments one by one: flags as --name VALUE, --name=VALUE or -x VALUE. */
struct cli_args {
    const struct cli_verb *verb;
    int argc, at;
    char **argv;
    const char *flag; /* the current flag with its dashes, or NULL for a plain word */
    char *value;      /* of --flag=VALUE, or the plain word */
    bool only_words;  /* after "--" */
    bool failed;      /* a message was printed; return CLI_USAGE */
};

void cli_args_init(struct cli_args *args, const struct cli_verb *verb, int argc, char **argv);
/* Next flag or word; false at the end. */
bool cli_args_next(struct cli_args *args);
bool cli_args_is(const struct cli_args *args, const char *long_name, char short_name);
/* The current flag's value; sets failed when there is none. Never NULL. */
const char *cli_args_value(struct cli_args *args);
uint64_t cli_args_number(struct cli_args *args, uint64_t min, uint64_t max);
/* One of `choices` (NULL-terminated): its index. */
int cli_args_choice(struct cli_args *args, const char *const *choices);
/* The current flag is not one of the verb's: prints what is. */
void cli_args_unknown(struct cli_args *args);
/* How we were called: "nantian", or "kubectl nantian" as a plugin of kubectl. */
bool cli_is_plugin(void);
const char *cli_program(void);
/* "nantian check: message" on stderr, then how to get help. */
void cli_complain(const struct cli_verb *verb, const char *format, ...) PRINTF_LIKE(2, 3);
/* Prints lines that quote what a file holds, and gives the builder back: what would steer the
 * terminal becomes '?'. */
void cli_print_quoting(struct builder *lines);
void cli_print_usage(const struct cli_verb *verb);
