/* Arguments, read strictly: what is not understood is said, with the way to the help. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli/cli.h"

void cli_args_init(struct cli_args *args, const struct cli_verb *verb, int argc, char **argv)
{
    *args = (struct cli_args){.verb = verb, .argc = argc, .argv = argv};
}

bool cli_is_plugin(void)
{
    return text_is(text_of(program_invocation_short_name), "kubectl-nantian");
}

const char *cli_program(void)
{
    return cli_is_plugin() ? "kubectl nantian" : "nantian";
}

void cli_complain(const struct cli_verb *verb, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fprintf(stderr, "%s %s: ", cli_program(), verb->name);
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n");
    va_end(list);
}

void cli_print_quoting(struct builder *lines)
{
    for (size_t i = 0; i < lines->len; i++) {
        unsigned char byte = (unsigned char)lines->data[i];
        bool is_c1 = byte == 0xc2 && i + 1 < lines->len && (lines->data[i + 1] & 0xe0) == 0x80;
        if ((byte < 0x20 && byte != '\n') || byte == 0x7f || is_c1)
            lines->data[i] = '?';
        if (is_c1) /* U+0080 to U+009F: one of them is ESC [ */
            lines->data[++i] = '?';
    }
    if (lines->len > 0)
        fwrite(lines->data, 1, lines->len, stdout);
    builder_fini(lines);
}

void cli_print_usage(const struct cli_verb *verb)
{
    printf("%s\n\nusage: %s %s %s\n", verb->summary, cli_program(), verb->name, verb->usage);
}

bool cli_args_next(struct cli_args *args)
{
    if (args->failed || args->at + 1 >= args->argc)
        return false;
    char *word = args->argv[++args->at];
    args->flag = NULL;
    args->value = word;
    if (args->only_words || word[0] != '-' || word[1] == '\0')
        return true;
    if (text_is(text_of(word), "--")) {
        args->only_words = true;
        return cli_args_next(args);
    }
    args->flag = word;
    args->value = NULL;
    char *equal = word[1] == '-' ? strchr(word, '=') : NULL;
    if (equal != NULL) {
        *equal = '\0';
        args->value = equal + 1;
    }
    return true;
}

bool cli_args_is(const struct cli_args *args, const char *long_name, char short_name)
{
    if (args->flag == NULL)
        return false;
    if (args->flag[1] == '-')
        return text_is(text_of(args->flag + 2), long_name);
    return short_name != '\0' && args->flag[1] == short_name && args->flag[2] == '\0';
}

const char *cli_args_value(struct cli_args *args)
{
    if (args->value != NULL)
        return args->value;
    if (args->at + 1 < args->argc)
        return args->value = args->argv[++args->at];
    cli_complain(args->verb, "%s wants a value", args->flag);
    args->failed = true;
    return "";
}

uint64_t cli_args_number(struct cli_args *args, uint64_t min, uint64_t max)
{
    uint64_t number = 0;
    const char *value = cli_args_value(args);
    if (args->failed)
        return min;
    if (text_to_u64(text_of(value), &number) && number >= min && number <= max)
        return number;
    cli_complain(args->verb, "%s wants a number from %llu to %llu, not `%s`", args->flag,
                 (unsigned long long)min, (unsigned long long)max, value);
    args->failed = true;
    return min;
}

int cli_args_choice(struct cli_args *args, const char *const *choices)
{
    const char *value = cli_args_value(args);
    if (args->failed)
        return 0;
    for (int i = 0; choices[i] != NULL; i++)
        if (text_is(text_of(value), choices[i]))
            return i;
    fprintf(stderr, "%s %s: %s is one of", cli_program(), args->verb->name, args->flag);
    for (int i = 0; choices[i] != NULL; i++)
        fprintf(stderr, " %s", choices[i]);
    fprintf(stderr, ", not `%s`\n", value);
    args->failed = true;
    return 0;
}

void cli_args_unknown(struct cli_args *args)
{
    cli_complain(args->verb, "does not know `%s`; see `%s %s --help`",
                 args->flag != NULL ? args->flag : args->value, cli_program(), args->verb->name);
    args->failed = true;
}
