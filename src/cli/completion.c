/* nantian completion: a shell script that completes verbs and their flags, made from the verb
 * table. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/cli.h"

/* The next flag of a usage text at or after *at, which moves behind it: every word that starts with
 * --. */
static bool next_flag(const char *usage, const char **at, struct text *ret_flag)
{
    while ((*at = strstr(*at, "--")) != NULL) {
        const char *flag = *at;
        *ret_flag = text_from(flag, 2 + strspn(flag + 2, "abcdefghijklmnopqrstuvwxyz-"));
        *at += ret_flag->len;
        if (ret_flag->len > 2 && (flag == usage || strchr(" [\n|", flag[-1]) != NULL))
            return true;
    }
    return false;
}

static bool stands_before(const char *usage, struct text flag)
{
    struct text other;
    for (const char *at = usage; next_flag(usage, &at, &other) && other.data < flag.data;)
        if (text_equal(other, flag))
            return true;
    return false;
}

/* Each once, though a usage names it in its first line and explains it below. */
static void print_flags(const char *usage)
{
    struct text flag;
    for (const char *at = usage; next_flag(usage, &at, &flag);)
        if (!stands_before(usage, flag))
            printf(" " TEXT_FMT, TEXT_ARG(flag));
}

static void print_verbs(const struct cli_verb *const *verbs)
{
    for (size_t i = 0; verbs[i] != NULL; i++)
        printf("%s%s", i > 0 ? " " : "", verbs[i]->name);
}

static void print_bash(const struct cli_verb *const *verbs)
{
    printf("# source <(nantian completion bash)\n_nantian() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]}\n"
           "    if [ \"$COMP_CWORD\" = 1 ]; then\n        COMPREPLY=($(compgen -W '");
    print_verbs(verbs);
    printf("' -- \"$word\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; verbs[i] != NULL; i++) {
        printf("    %s) COMPREPLY=($(compgen -W '--help", verbs[i]->name);
        print_flags(verbs[i]->usage);
        printf("' -- \"$word\") $(compgen -f -- \"$word\")) ;;\n");
    }
    printf("    esac\n}\ncomplete -o filenames -F _nantian nantian\n");
}

static void print_zsh(const struct cli_verb *const *verbs)
{
    printf("#compdef nantian\nautoload -U +X bashcompinit && bashcompinit\n");
    print_bash(verbs);
}

static void print_fish(const struct cli_verb *const *verbs)
{
    printf("# nantian completion fish | source\n");
    for (size_t i = 0; verbs[i] != NULL; i++) {
        printf("complete -c nantian -n __fish_use_subcommand -a %s -d '%s'\n", verbs[i]->name,
               verbs[i]->summary);
        printf("for flag in");
        print_flags(verbs[i]->usage);
        printf("; complete -c nantian -n '__fish_seen_subcommand_from %s' -l "
               "(string sub -s 3 -- $flag); end\n",
               verbs[i]->name);
    }
}

int completion_run(const struct cli_verb *self, const struct cli_verb *const *verbs, int argc,
                   char **argv)
{
    if (argc == 2 && text_is(text_of(argv[1]), "bash"))
        print_bash(verbs);
    else if (argc == 2 && text_is(text_of(argv[1]), "zsh"))
        print_zsh(verbs);
    else if (argc == 2 && text_is(text_of(argv[1]), "fish"))
        print_fish(verbs);
    else if (argc == 2 && text_is(text_of(argv[1]), "--help"))
        cli_print_usage(self);
    else {
        cli_complain(self, "say which shell: bash, zsh or fish");
        return CLI_USAGE;
    }
    return CLI_OK;
}

#define DIRECTIVE_FILES    ":0\n" /* cobra's: the shell's own completion as well */
#define DIRECTIVE_NO_FILES ":4\n"

int completion_words(const struct cli_verb *const *verbs, int argc, char **argv)
{
    struct text word = text_of(argc > 1 ? argv[argc - 1] : ""), flag;
    for (size_t i = 0; verbs[i] != NULL; i++) {
        const struct cli_verb *verb = verbs[i];
        if (argc <= 2 && text_starts_with(text_of(verb->name), word))
            printf("%s\t%s\n", verb->name, verb->summary);
        if (argc <= 2 || !text_is(text_of(verb->name), argv[1]))
            continue;
        for (const char *at = verb->usage; next_flag(verb->usage, &at, &flag);)
            if (text_starts_with(flag, word))
                printf(TEXT_FMT "\n", TEXT_ARG(flag));
    }
    fputs(argc <= 2 ? DIRECTIVE_NO_FILES : DIRECTIVE_FILES, stdout);
    return CLI_OK;
}
