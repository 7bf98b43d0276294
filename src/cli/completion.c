/* nantian completion: a shell script that completes verbs and their flags, made from the verb
 * table. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/cli.h"

/* The flags of a usage text: every word that starts with --. */
static void print_flags(const char *usage)
{
    for (const char *at = usage; (at = strstr(at, "--")) != NULL;) {
        size_t len = 2 + strspn(at + 2, "abcdefghijklmnopqrstuvwxyz-");
        if (len > 2 && (at == usage || strchr(" [\n|", at[-1]) != NULL))
            printf(" %.*s", (int)len, at);
        at += len;
    }
}

static void print_verbs(void)
{
    for (size_t i = 0; cli_verbs()[i] != NULL; i++)
        printf("%s%s", i > 0 ? " " : "", cli_verbs()[i]->name);
}

static void print_bash(void)
{
    printf("# source <(nantian completion bash)\n_nantian() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]}\n"
           "    if [ \"$COMP_CWORD\" = 1 ]; then\n        COMPREPLY=($(compgen -W '");
    print_verbs();
    printf("' -- \"$word\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; cli_verbs()[i] != NULL; i++) {
        printf("    %s) COMPREPLY=($(compgen -W '--help", cli_verbs()[i]->name);
        print_flags(cli_verbs()[i]->usage);
        printf("' -- \"$word\") $(compgen -f -- \"$word\")) ;;\n");
    }
    printf("    esac\n}\ncomplete -o filenames -F _nantian nantian\n");
}

static void print_zsh(void)
{
    printf("#compdef nantian\nautoload -U +X bashcompinit && bashcompinit\n");
    print_bash();
}

static void print_fish(void)
{
    printf("# nantian completion fish | source\n");
    for (size_t i = 0; cli_verbs()[i] != NULL; i++) {
        printf("complete -c nantian -n __fish_use_subcommand -a %s -d '%s'\n", cli_verbs()[i]->name,
               cli_verbs()[i]->summary);
        printf("for flag in");
        print_flags(cli_verbs()[i]->usage);
        printf("; complete -c nantian -n '__fish_seen_subcommand_from %s' -l "
               "(string sub -s 3 -- $flag); end\n",
               cli_verbs()[i]->name);
    }
}

static int run(int argc, char **argv)
{
    if (argc == 2 && text_is(text_of(argv[1]), "bash"))
        print_bash();
    else if (argc == 2 && text_is(text_of(argv[1]), "zsh"))
        print_zsh();
    else if (argc == 2 && text_is(text_of(argv[1]), "fish"))
        print_fish();
    else if (argc == 2 && text_is(text_of(argv[1]), "--help"))
        cli_print_usage(&cli_completion);
    else {
        cli_complain(&cli_completion, "say which shell: bash, zsh or fish");
        return CLI_USAGE;
    }
    return CLI_OK;
}

const struct cli_verb cli_completion = {
    .name = "completion",
    .summary = "print a completion script for bash, zsh or fish",
    .usage = "bash|zsh|fish",
    .run = run,
};
