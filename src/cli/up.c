/* nantian up: both planes over a directory, in earnest; what a service manager runs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/planes.h"

static int serve(const struct planes_options *options)
{
    struct loop *loop = loop_new(NULL);
    struct planes planes;
    int code = CLI_INTERNAL;
    if (planes_start(&planes, loop, options)) {
        loop_run(loop);
        code = planes.group.exit_code;
        planes_fini(&planes);
    }
    loop_free(loop);
    return code;
}

static bool is_directory(const char *path)
{
    struct stat facts;
    if (stat(path, &facts) != 0) {
        cli_complain(&cli_up, "%s: %s", path, strerrordesc_np(errno));
        return false;
    }
    if (!S_ISDIR(facts.st_mode)) {
        cli_complain(&cli_up, "%s is not a directory", path);
        return false;
    }
    if (access(path, R_OK | X_OK) != 0) {
        cli_complain(&cli_up, "%s: %s", path, strerrordesc_np(errno));
        return false;
    }
    return true;
}

static void read_flag(struct cli_args *args, struct planes_options *options, const char **state_dir)
{
    static const char *const formats[] = {"text", "json", NULL};
    static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
    if (cli_args_is(args, "state-dir", 's')) {
        *state_dir = cli_args_value(args);
    } else if (cli_args_is(args, "workers", 'w')) {
        cli_args_number(args, 1, 1024);
        options->workers = args->value;
    } else if (cli_args_is(args, "admin", '\0')) {
        options->proxy_admin = cli_args_value(args);
    } else if (cli_args_is(args, "control-admin", '\0')) {
        options->control_admin = cli_args_value(args);
    } else if (cli_args_is(args, "default-address", '\0')) {
        options->default_address = cli_args_value(args);
    } else if (cli_args_is(args, "access-log", '\0')) {
        options->access_log = cli_args_value(args);
    } else if (cli_args_is(args, "drain-timeout", '\0')) {
        cli_args_number(args, 0, 3600000);
        options->drain_ms = args->value;
    } else if (cli_args_is(args, "log-format", '\0')) {
        options->log_format = formats[cli_args_choice(args, formats)];
    } else if (cli_args_is(args, "log-level", '\0')) {
        options->log_level = levels[cli_args_choice(args, levels)];
    } else {
        cli_args_unknown(args);
    }
}

static int run(int argc, char **argv)
{
    struct planes_options options = {.log_format = "json"};
    const char *state_dir = NULL;
    struct cli_args args;
    cli_args_init(&args, &cli_up, argc, argv);
    while (cli_args_next(&args)) {
        if (cli_args_is(&args, "help", 'h')) {
            cli_print_usage(&cli_up);
            return CLI_OK;
        }
        if (args.flag == NULL && options.directory == NULL)
            options.directory = args.value;
        else
            read_flag(&args, &options, &state_dir);
    }
    if (args.failed)
        return CLI_USAGE;
    if (options.directory == NULL) {
        cli_complain(&cli_up, "say which directory of YAML to serve: nantian up DIR");
        return CLI_USAGE;
    }
    if (!is_directory(options.directory))
        return CLI_USAGE;
    struct arena arena;
    arena_init(&arena, 0);
    options.state_dir = place_state_dir(state_dir, &arena);
    int code = CLI_USAGE;
    const char *why = NULL;
    int lock = place_take(options.state_dir, &why);
    if (lock >= 0) {
        log_setup("up", text_is(text_of(options.log_format), "text"), LOG_INFO);
        log_info("starting", log_str("directory", options.directory),
                 log_text("state", options.state_dir));
        code = serve(&options);
    } else {
        cli_complain(&cli_up,
                     "the state directory %s cannot be used: %s; --state-dir takes another",
                     options.state_dir.data, why);
    }
    if (lock >= 0)
        close(lock);
    arena_fini(&arena);
    return code;
}

const struct cli_verb cli_up = {
    .name = "up",
    .summary = "serve a directory of Gateway API YAML: both planes, restarted when they fail",
    .usage =
        "DIR [FLAGS]\n\n"
        "  --workers N            threads of the data plane (one a core)\n"
        "  --admin ADDR           health, metrics and dump of the data plane (127.0.0.1:19000)\n"
        "  --control-admin ADDR   the control plane's API on TCP too (a Unix socket alone)\n"
        "  --default-address IP   where Gateways without spec.addresses bind (all addresses)\n"
        "  --state-dir DIR        snapshots, sockets and counters (found by the other verbs)\n"
        "  --access-log PATH      a file, stdout or off (stdout)\n"
        "  --drain-timeout MS     how long SIGTERM waits for requests in flight (60000)\n"
        "  --log-format FORMAT    json or text (json)\n"
        "  --log-level LEVEL      debug, info, warn or error (info)",
    .run = run,
};
