/* nantian routes: every rule in the order in which the proxy tries them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/builder.h"
#include "base/json.h"
#include "cli/ask.h"
#include "cli/compiled.h"
#include "cli/describe.h"
#include "cli/table.h"

struct listing {
    struct table table;
    struct json json;
    bool as_json;
    struct arena *arena;
    const struct listener_config *listener;
    size_t count;
};

static void on_entry(void *owner, const struct route *route, const struct route_match *match,
                     struct text hostname)
{
    struct listing *listing = owner;
    listing->count++;
    struct text what = describe_match(match, listing->arena);
    struct text backends = describe_backends(route, listing->arena);
    if (listing->as_json) {
        json_object_begin(&listing->json, NULL);
        json_text(&listing->json, "listener", listing->listener->resource);
        json_text(&listing->json, "hostname", hostname);
        json_text(&listing->json, "match", what);
        json_text(&listing->json, "route", route->label);
        json_text(&listing->json, "rule", route->rule_name);
        json_text(&listing->json, "filters", describe_filters(route->filters, listing->arena));
        json_text(&listing->json, "backends", backends);
        json_object_end(&listing->json);
        return;
    }
    const struct text cells[] = {
        listing->listener->resource,
        hostname.len > 0 ? hostname : TEXT("*"),
        what,
        route->label,
        describe_filters(route->filters, listing->arena),
        backends,
    };
    table_add(&listing->table, cells, ARRAY_LEN(cells));
}

static void list(const struct compiled *compiled, bool as_json, struct arena *arena)
{
    struct builder out = {0};
    struct listing listing = {.as_json = as_json, .arena = arena};
    table_init(
        &listing.table, arena,
        (const char *const[]){"LISTENER", "HOST", "MATCH", "ROUTE", "FILTERS", "BACKENDS", NULL});
    json_init(&listing.json, &out, 2);
    json_object_begin(&listing.json, NULL);
    json_string(&listing.json, "apiVersion", "cli.nantian.dev/v1");
    json_array_begin(&listing.json, "routes");
    const struct snapshot *snapshot = compiled->snapshot;
    for (uint32_t b = 0; b < snapshot->binding_count; b++) {
        const struct binding *binding = snapshot->bindings[b];
        for (uint32_t i = 0; i < binding->listener_count; i++) {
            listing.listener = binding->listeners[i];
            route_table_walk(listing.listener->routes, &listing, on_entry);
        }
    }
    json_array_end(&listing.json);
    json_object_end(&listing.json);
    if (as_json)
        puts(out.data);
    else
        table_print(&listing.table);
    builder_fini(&out);
    table_fini(&listing.table);
}

static int run(int argc, char **argv)
{
    struct ask_options ask = {0};
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
        else if (!ask_flag(&args, &ask))
            cli_args_unknown(&args);
    }
    if (args.failed)
        return CLI_USAGE;
    struct arena arena;
    arena_init(&arena, 0);
    int code = CLI_OK;
    directory = compiled_directory(directory, &cli_routes, &ask, &arena, &code);
    struct compiled compiled;
    if (directory != NULL && (code = compiled_load(&compiled, &cli_routes, directory)) == CLI_OK) {
        list(&compiled, ask.as_json, &arena);
        compiled_fini(&compiled);
    }
    arena_fini(&arena);
    return code;
}

const struct cli_verb cli_routes = {
    .name = "routes",
    .summary = "list every rule in the order in which the proxy tries them",
    .usage =
        "[-f PATH] [FLAGS]\n\n"
        "  --file PATH      a directory or file instead of the running gateway (-f)\n" ASK_USAGE,
    .run = run,
};
