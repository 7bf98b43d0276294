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
    fprintf(out,
            "nantian: a Kubernetes Gateway API gateway in two planes\n\n"
            "usage: %s VERB [FLAGS]\n\n",
            cli_program());
    for (size_t i = 0; VERBS[i] != NULL; i++)
        fprintf(out, "  %-12s %s\n", VERBS[i]->name, VERBS[i]->summary);
    fprintf(out, "\n`%s VERB --help` says more. Start with `%s`.\n", cli_program(),
            cli_is_plugin() ? "kubectl nantian status" : "nantian demo");
}

static int run(int argc, char **argv)
{
    if (text_is(text_of(program_invocation_short_name), "kubectl_complete-nantian"))
        return completion_words(VERBS, argc, argv);
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
    fprintf(stderr, "%s: there is no verb `%s`; `%s help` lists them\n", cli_program(), argv[1],
            cli_program());
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
