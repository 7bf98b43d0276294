/* nantian version: what this is, and what is linked into it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/builder.h"
#include "base/json.h"
#include "cli/cli.h"
#include "net/tls.h"

#ifndef NANTIAN_VERSION
#error "the build names the version"
#endif

static int run(int argc, char **argv)
{
    bool as_json = false;
    struct cli_args args;
    cli_args_init(&args, &cli_version, argc, argv);
    while (cli_args_next(&args)) {
        if (cli_args_is(&args, "help", 'h')) {
            cli_print_usage(&cli_version);
            return CLI_OK;
        }
        if (cli_args_is(&args, "output", 'o'))
            as_json = cli_args_choice(&args, (const char *const[]){"text", "json", NULL}) == 1;
        else
            cli_args_unknown(&args);
    }
    if (args.failed)
        return CLI_USAGE;
    if (!as_json) {
        printf("nantian %s (Gateway API v1.7, %s)\n", NANTIAN_VERSION, tls_library());
        return CLI_OK;
    }
    struct builder out = {0};
    struct json json;
    json_init(&json, &out, 2);
    json_object_begin(&json, NULL);
    json_string(&json, "apiVersion", "cli.nantian.dev/v1");
    json_string(&json, "version", NANTIAN_VERSION);
    json_string(&json, "gatewayApi", "v1.7.0");
    json_string(&json, "tls", tls_library());
    json_object_end(&json);
    puts(out.data);
    builder_fini(&out);
    return CLI_OK;
}

const struct cli_verb cli_version = {
    .name = "version",
    .summary = "print the version and what is linked",
    .usage = "[-o text|json]",
    .run = run,
};
