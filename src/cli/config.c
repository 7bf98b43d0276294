/* nantian config dump: the resources that data planes receive, as JSON; never a private key. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/builder.h"
#include "cli/ask.h"
#include "cli/source.h"

static int dump_directory(const char *directory)
{
    struct source source;
    if (!source_load(&source, &cli_config, directory, KIND_LENIENT))
        return CLI_USAGE;
    struct builder out = {0};
    struct json json;
    json_init(&json, &out, 1);
    json_object_begin(&json, NULL);
    json_string(&json, "apiVersion", "control.nantian.dev/v1");
    json_key(&json, TEXT("resources"));
    outcome_resources_json(source.outcome, &json);
    json_object_end(&json);
    puts(out.data);
    builder_fini(&out);
    source_fini(&source);
    return CLI_OK;
}

static int run(int argc, char **argv)
{
    struct ask_options options = {0};
    const char *directory = NULL;
    bool dump = false;
    struct cli_args args;
    cli_args_init(&args, &cli_config, argc, argv);
    while (cli_args_next(&args)) {
        if (cli_args_is(&args, "help", 'h')) {
            cli_print_usage(&cli_config);
            return CLI_OK;
        }
        if (cli_args_is(&args, "file", 'f'))
            directory = cli_args_value(&args);
        else if (args.flag == NULL && !dump && text_is(text_of(args.value), "dump"))
            dump = true;
        else if (!ask_flag(&args, &options))
            cli_args_unknown(&args);
    }
    if (args.failed)
        return CLI_USAGE;
    if (!dump) {
        cli_complain(&cli_config, "say `%s config dump`", cli_program());
        return CLI_USAGE;
    }
    if (directory != NULL)
        return dump_directory(directory);
    struct ask ask;
    struct text body = TEXT_NONE;
    struct value *answer = NULL;
    int code = ask_open(&ask, &cli_config, &options);
    if (code == CLI_OK)
        code = ask_get(&ask, "/v1/config", &body, &answer);
    if (code == CLI_OK)
        fwrite(body.data, 1, body.len, stdout);
    ask_close(&ask);
    return code;
}

const struct cli_verb cli_config = {
    .name = "config",
    .summary = "dump what data planes receive, as JSON",
    .usage =
        "dump [-f PATH] [FLAGS]\n\n"
        "  --file PATH      of a directory or file instead of the running gateway (-f)\n" ASK_USAGE,
    .run = run,
};
