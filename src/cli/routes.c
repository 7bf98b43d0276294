/* nantian routes: every rule in the order in which the proxy tries them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/builder.h"
#include "base/json.h"
#include "cli/compiled.h"
#include "cli/describe.h"
#include "cli/table.h"

struct listing {
    struct table table;
    struct json json;
    struct builder out;
    bool as_json;
    struct arena arena;
    const struct listener_config *listener;
    size_t count;
};

static void on_entry(void *owner, const struct route *route, const struct route_match *match,
                     struct text hostname)
{
    struct listing *listing = owner;
    listing->count++;
    struct text what = describe_match(match, &listing->arena);
    struct text backends = describe_backends(route, &listing->arena);
    if (listing->as_json) {
        json_object_begin(&listing->json, NULL);
        json_text(&listing->json, "listener", listing->listener->resource);
        json_text(&listing->json, "hostname", hostname);
        json_text(&listing->json, "match", what);
        json_text(&listing->json, "route", route->label);
        json_text(&listing->json, "rule", route->rule_name);
        json_text(&listing->json, "filters", describe_filters(route->filters, &listing->arena));
        json_text(&listing->json, "backends", backends);
        json_object_end(&listing->json);
        return;
    }
    const struct text cells[] = {
        arena_text(&listing->arena, listing->listener->resource),
        hostname.len > 0 ? arena_text(&listing->arena, hostname) : TEXT("*"),
        what,
        arena_text(&listing->arena, route->label),
        describe_filters(route->filters, &listing->arena),
        backends,
    };
    table_add(&listing->table, cells, ARRAY_LEN(cells));
}

static void begin(struct listing *listing)
{
    arena_init(&listing->arena, 0);
    table_init(
        &listing->table, &listing->arena,
        (const char *const[]){"LISTENER", "HOST", "MATCH", "ROUTE", "FILTERS", "BACKENDS", NULL});
    json_init(&listing->json, &listing->out, 2);
    json_object_begin(&listing->json, NULL);
    json_string(&listing->json, "apiVersion", "cli.nantian.dev/v1");
    json_array_begin(&listing->json, "routes");
}

/* What the rows say is copied: the snapshot goes before they are shown. */
static void add(struct listing *listing, struct compiled *compiled)
{
    const struct snapshot *snapshot = compiled->snapshot;
    for (uint32_t b = 0; b < snapshot->binding_count; b++) {
        const struct binding *binding = snapshot->bindings[b];
        for (uint32_t i = 0; i < binding->listener_count; i++) {
            listing->listener = binding->listeners[i];
            route_table_walk(listing->listener->routes, listing, on_entry);
        }
    }
    compiled_fini(compiled);
}

static void end(struct listing *listing, bool is_shown)
{
    json_array_end(&listing->json);
    json_object_end(&listing->json);
    if (is_shown && listing->as_json)
        puts(listing->out.data);
    else if (is_shown)
        table_print(&listing->table);
    builder_fini(&listing->out);
    table_fini(&listing->table);
    arena_fini(&listing->arena);
}

static int add_running(struct listing *listing, const struct ask_options *options,
                       const struct compiled_choice *choice)
{
    struct ask ask;
    struct compiled compiled;
    struct text *gateways = NULL;
    size_t count = 0;
    int code = ask_open(&ask, &cli_routes, options);
    if (code == CLI_OK)
        code = compiled_gateways(&ask, choice, &gateways, &count);
    for (size_t i = 0; code == CLI_OK && i < count; i++) {
        code = compiled_ask(&compiled, &ask, gateways[i]);
        if (code == CLI_OK)
            add(listing, &compiled);
    }
    ask_close(&ask);
    return code;
}

static int run(int argc, char **argv)
{
    struct ask_options ask = {0};
    struct compiled_choice choice = {0};
    const char *directory = NULL;
    struct cli_args args;
    cli_args_init(&args, &cli_routes, argc, argv);
    while (cli_args_next(&args)) {
        if (cli_args_is(&args, "help", 'h')) {
            cli_print_usage(&cli_routes);
            return CLI_OK;
        }
        if (cli_args_is(&args, "file", 'f'))
            directory = cli_args_value(&args);
        else if (!ask_flag(&args, &ask) && !compiled_flag(&args, &choice))
            cli_args_unknown(&args);
    }
    if (args.failed)
        return CLI_USAGE;
    struct listing listing = {.as_json = ask.as_json};
    struct compiled compiled;
    begin(&listing);
    int code = directory != NULL ? compiled_load(&compiled, &cli_routes, directory)
                                 : add_running(&listing, &ask, &choice);
    if (directory != NULL && code == CLI_OK)
        add(&listing, &compiled);
    end(&listing, code == CLI_OK);
    return code;
}

const struct cli_verb cli_routes = {
    .name = "routes",
    .summary = "list every rule in the order in which the proxy tries them",
    .usage = "[-f PATH] [FLAGS]\n\n"
             "  --file PATH      a directory or file instead of the running gateway "
             "(-f)\n" COMPILED_USAGE ASK_USAGE,
    .run = run,
};
