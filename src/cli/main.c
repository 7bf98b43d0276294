/* nantian: one program, one verb a file. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "base/file.h"
#include "cli/cli.h"

static int run_completion(int argc, char **argv);

static const struct cli_verb COMPLETION = {
    .name = "completion",
    .summary = "print a completion script for bash, zsh or fish",
    .usage = "bash|zsh|fish",
    .run = run_completion,
};

/* In the order of `nantian help`. */
static const struct cli_verb *const VERBS[] = {
    &cli_demo,   &cli_up,      &cli_check, &cli_explain, &cli_routes,  &cli_status, &cli_nodes,
    &cli_config, &cli_install, &cli_echo,  &COMPLETION,  &cli_version, NULL,
};

static int run_completion(int argc, char **argv)
{
    return completion_run(&COMPLETION, VERBS, argc, argv);
}

static void print_help(FILE *out)
{
    fputs("nantian: a Kubernetes Gateway API gateway in two planes\n\n"
          "usage: nantian VERB [FLAGS]\n\n",
          out);
    for (size_t i = 0; VERBS[i] != NULL; i++)
        fprintf(out, "  %-12s %s\n", VERBS[i]->name, VERBS[i]->summary);
    fputs("\n`nantian VERB --help` says more. Start with `nantian demo`.\n", out);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return CLI_USAGE;
    }
    struct text word = text_of(argv[1]);
    if (text_is(word, "help") || text_is(word, "--help") || text_is(word, "-h")) {
        print_help(stdout);
        return CLI_OK;
    }
    if (text_is(word, "--version"))
        return cli_version.run(1, argv);
    for (size_t i = 0; VERBS[i] != NULL; i++)
        if (text_is(word, VERBS[i]->name))
            return VERBS[i]->run(argc - 1, argv + 1);
    fprintf(stderr, "nantian: there is no verb `%s`; `nantian help` lists them\n", argv[1]);
    return CLI_USAGE;
}

/* What could not be printed was not told: a full disk behind `> file` is no success. */
int main(int argc, char **argv)
{
    file_open_standard();
    int code = run(argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "nantian: the output cannot be written: %s\n", strerrordesc_np(errno));
    return CLI_INTERNAL;
}
