/* One GET over the Unix socket or TCP, with an error that says what to do. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ask.h"

#include <stdio.h>

#include "cli/fetch.h"
#include "cli/place.h"

#define ASK_MS 10000

bool ask_flag(struct cli_args *args, struct ask_options *options)
{
    if (cli_args_is(args, "admin", 'a'))
        options->admin = cli_args_value(args);
    else if (cli_args_is(args, "state-dir", 's'))
        options->state_dir = cli_args_value(args);
    else if (cli_args_is(args, "output", 'o'))
        options->as_json = cli_args_choice(args, (const char *const[]){"table", "json", NULL}) == 1;
    else
        return false;
    return true;
}

int ask_get(const struct cli_verb *verb, const struct ask_options *options, const char *path,
            struct arena *arena, struct text *ret_body, struct value **ret_value)
{
    struct text where = options->admin != NULL ? text_of(options->admin) : TEXT_NONE;
    if (options->admin == NULL)
        where = arena_printf(
            arena, "unix:%s",
            place_admin_socket(place_state_dir(options->state_dir, arena), arena).data);
    struct address to;
    if (!address_parse_endpoint(where, &to)) {
        cli_complain(verb, "`%s` is neither unix:PATH nor IP:PORT", where.data);
        return CLI_USAGE;
    }
    struct loop *loop = loop_new(NULL);
    struct fetch_answer answer =
        fetch_get(loop, &to, TEXT("localhost"), text_of(path), ASK_MS, arena);
    loop_free(loop);
    if (answer.status == 0) {
        cli_complain(verb, "no gateway answers at %s (%s); is `nantian up DIR` running?",
                     where.data, answer.why != NULL ? answer.why : "closed");
        return CLI_UNREACHABLE;
    }
    struct faults faults;
    faults_init(&faults, arena);
    bool parsed = value_parse_json(answer.body, TEXT_NONE, arena, ret_value, &faults);
    faults_fini(&faults);
    *ret_body = answer.body;
    if (answer.status == 200 && parsed)
        return CLI_OK;
    cli_complain(verb, "%s answered %d to GET %s", where.data, answer.status, path);
    return CLI_INTERNAL;
}

int ask_run(const struct cli_verb *verb, int argc, char **argv, const char *path,
            int (*show)(const struct value *answer, struct arena *arena))
{
    struct ask_options options = {0};
    struct cli_args args;
    cli_args_init(&args, verb, argc, argv);
    while (cli_args_next(&args)) {
        if (cli_args_is(&args, "help", 'h')) {
            cli_print_usage(verb);
            return CLI_OK;
        }
        if (!ask_flag(&args, &options))
            cli_args_unknown(&args);
    }
    if (args.failed)
        return CLI_USAGE;
    struct arena arena;
    arena_init(&arena, 0);
    struct text body = TEXT_NONE;
    struct value *answer = NULL;
    int code = ask_get(verb, &options, path, &arena, &body, &answer);
    if (code == CLI_OK && options.as_json)
        fwrite(body.data, 1, body.len, stdout);
    else if (code == CLI_OK)
        code = show(answer, &arena);
    arena_fini(&arena);
    return code;
}
