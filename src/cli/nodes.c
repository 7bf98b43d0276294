/* nantian nodes: which data plane runs which snapshot, and why one refuses. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/ask.h"
#include "cli/table.h"

/* Other control planes of the cluster that have data planes of their own. */
static void show_replicas(const struct value *replicas)
{
    size_t count = replicas != NULL && replicas->kind == VALUE_LIST ? replicas->list.count : 0;
    for (size_t i = 0; i < count; i++) {
        const struct value *one = replicas->list.items[i];
        int64_t nodes = value_int(value_get(one, "nodes"), 0);
        if (!value_bool(value_get(one, "this"), false) && nodes > 0)
            printf("%lld more at the replica " TEXT_FMT "\n", (long long)nodes,
                   TEXT_ARG(value_string(value_get(one, "name"))));
    }
}

static bool has_part(struct text name, struct text wanted)
{
    struct text part;
    while (text_split(&name, ',', &part))
        if (text_equal(part, wanted))
            return true;
    return false;
}

/* A cluster's snapshot is called by the revisions of all kinds: "current", or what is not so in the
 * current one. */
static struct text short_name(struct text name, struct text current, struct arena *arena)
{
    struct builder out CLEANUP(builder_fini) = {0};
    struct text rest = name, part;
    if (text_equal(name, current))
        return TEXT("current");
    while (text_split(&rest, ',', &part))
        if (!has_part(current, part)) {
            builder_add_string(&out, out.len > 0 ? "," : "");
            builder_add(&out, part);
        }
    return out.len > 0 ? arena_text(arena, builder_text(&out)) : name;
}

static int show(const struct value *answer, struct arena *arena)
{
    const struct value *nodes = value_get(answer, "nodes");
    struct text current = value_string(value_get(answer, "snapshot"));
    bool all_synced = true, any_synced = false;
    size_t count = nodes != NULL && nodes->kind == VALUE_LIST ? nodes->list.count : 0;
    struct table table;
    table_init(&table, arena,
               (const char *const[]){"NODE", "STATE", "SNAPSHOT", "APPLIED AT", "APPLY", "PUSHES",
                                     "BYTES", NULL});
    for (size_t i = 0; i < count; i++) {
        const struct value *node = nodes->list.items[i];
        struct text state = value_string(value_get(node, "state"));
        any_synced |= text_is(state, "synced");
        all_synced &= text_is(state, "synced") || text_is(state, "gone");
        const struct text cells[] = {
            value_string(value_get(node, "node")),
            state,
            short_name(value_string(value_get(node, "applied")), current, arena),
            value_string(value_get(node, "appliedAt")),
            arena_printf(arena, "%.1f ms",
                         (double)value_int(value_get(node, "applyMicroseconds"), 0) / 1000),
            arena_printf(arena, "%lld", (long long)value_int(value_get(node, "pushes"), 0)),
            arena_printf(arena, "%lld", (long long)value_int(value_get(node, "bytes"), 0)),
        };
        table_add(&table, cells, ARRAY_LEN(cells));
    }
    printf("snapshot " TEXT_FMT "\n", TEXT_ARG(current));
    table_print(&table);
    table_fini(&table);
    show_replicas(value_get(answer, "replicas"));
    for (size_t i = 0; i < count; i++) {
        const struct value *node = nodes->list.items[i];
        struct text why = value_string(value_get(node, "refusal"));
        if (why.len > 0)
            printf(TEXT_FMT " refused " TEXT_FMT ": " TEXT_FMT "\n",
                   TEXT_ARG(value_string(value_get(node, "node"))),
                   TEXT_ARG(value_string(value_get(node, "refused"))), TEXT_ARG(why));
    }
    return any_synced && all_synced ? CLI_OK : CLI_NOT_READY;
}

static int run(int argc, char **argv)
{
    return ask_run(&cli_nodes, argc, argv, &(struct ask_view){.path = "/v1/nodes", .show = show});
}

const struct cli_verb cli_nodes = {
    .name = "nodes",
    .summary = "show which data plane runs which snapshot",
    .usage = "[FLAGS]\n\n" ASK_USAGE "\n\n"
             "exit codes: 0 all in sync, 3 nobody answers, 4 none is, or one is behind or\n"
             "refuses",
    .run = run,
};
