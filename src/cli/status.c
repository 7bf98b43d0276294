/* nantian status: every object of the running gateway with its verdict, worst first. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cli/ask.h"
#include "cli/table.h"

struct row {
    int rank; /* 0: worst */
    struct text cells[5];
};

struct overview {
    struct arena *arena;
    struct row *rows;
    size_t count, cap;
};

static size_t list_count(const struct value *list)
{
    return list != NULL && list->kind == VALUE_LIST ? list->list.count : 0;
}

/* Conditions where False is bad news; Conflicted and the like are the other way round. */
static bool is_bad(const struct value *condition)
{
    struct text type = value_string(value_get(condition, "type"));
    struct text status = value_string(value_get(condition, "status"));
    bool inverse = text_is(type, "Conflicted") || text_is(type, "PartiallyInvalid") ||
                   text_is(type, "OverlappingTLSConfig");
    return inverse ? text_is(status, "True") : !text_is(status, "True");
}

/* The first bad condition, or NULL. */
static const struct value *worst(const struct value *conditions)
{
    for (size_t i = 0; i < list_count(conditions); i++)
        if (is_bad(conditions->list.items[i]))
            return conditions->list.items[i];
    return NULL;
}

static void add_row(struct overview *overview, const struct value *object, struct text part,
                    const struct value *conditions)
{
    const struct value *bad = worst(conditions);
    struct text namespace = value_string(value_get(object, "namespace"));
    struct text name = value_string(value_get(object, "name"));
    struct arena *arena = overview->arena;
    struct row row = {.rank = bad == NULL};
    row.cells[0] = value_string(value_get(object, "kind"));
    row.cells[1] = arena_printf(arena, TEXT_FMT "%s" TEXT_FMT, TEXT_ARG(namespace),
                                namespace.len > 0 ? "/" : "", TEXT_ARG(name));
    row.cells[2] = part;
    row.cells[3] = bad == NULL ? TEXT("ok")
                               : arena_printf(arena, TEXT_FMT "=" TEXT_FMT " " TEXT_FMT,
                                              TEXT_ARG(value_string(value_get(bad, "type"))),
                                              TEXT_ARG(value_string(value_get(bad, "status"))),
                                              TEXT_ARG(value_string(value_get(bad, "reason"))));
    row.cells[4] = value_string(value_get(bad, "message"));
    overview->rows = memory_grow(overview->rows, overview->count, &overview->cap, sizeof(row));
    overview->rows[overview->count++] = row;
}

static void add_object(struct overview *overview, const struct value *object)
{
    const struct value *status = value_get(object, "status");
    const struct value *conditions = value_get(status, "conditions");
    if (list_count(conditions) > 0)
        add_row(overview, object, TEXT_NONE, conditions);
    const struct value *listeners = value_get(status, "listeners");
    for (size_t i = 0; i < list_count(listeners); i++) {
        const struct value *listener = listeners->list.items[i];
        struct text part =
            arena_printf(overview->arena, "listener " TEXT_FMT ", %lld routes",
                         TEXT_ARG(value_string(value_get(listener, "name"))),
                         (long long)value_int(value_get(listener, "attachedRoutes"), 0));
        add_row(overview, object, part, value_get(listener, "conditions"));
    }
    const char *const lists[] = {"parents", "ancestors"};
    const char *const refs[] = {"parentRef", "ancestorRef"};
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        const struct value *parents = value_get(status, lists[l]);
        for (size_t i = 0; i < list_count(parents); i++) {
            const struct value *parent = parents->list.items[i];
            struct text on =
                arena_printf(overview->arena, "on " TEXT_FMT,
                             TEXT_ARG(value_string(value_get(value_get(parent, refs[l]), "name"))));
            add_row(overview, object, on, value_get(parent, "conditions"));
        }
    }
}

static int by_rank(const void *a, const void *b)
{
    const struct row *left = a, *right = b;
    if (left->rank != right->rank)
        return left->rank - right->rank;
    for (int i = 0; i < 3; i++) {
        int order = text_compare(left->cells[i], right->cells[i]);
        if (order != 0)
            return order;
    }
    return 0;
}

static size_t print_faults(const struct value *faults)
{
    struct builder out = {0};
    size_t errors = 0;
    for (size_t i = 0; i < list_count(faults); i++) {
        const struct value *fault = faults->list.items[i];
        struct text level = value_string(value_get(fault, "level"));
        errors += text_is(level, "error");
        struct text object = value_string(value_get(fault, "object"));
        struct text field = value_string(value_get(fault, "field"));
        struct text file = value_string(value_get(fault, "file"));
        int64_t line = value_int(value_get(fault, "line"), 0);
        builder_add(&out, file);
        if (line > 0)
            builder_printf(&out, ":%lld:%lld", (long long)line,
                           (long long)value_int(value_get(fault, "column"), 0));
        builder_printf(&out, "%s" TEXT_FMT ": " TEXT_FMT "%s" TEXT_FMT "%s" TEXT_FMT "\n",
                       file.len > 0 ? ": " : "", TEXT_ARG(level), TEXT_ARG(object),
                       object.len > 0 && field.len > 0 ? " " : "", TEXT_ARG(field),
                       object.len + field.len > 0 ? ": " : "",
                       TEXT_ARG(value_string(value_get(fault, "what"))));
    }
    cli_print_quoting(&out);
    return errors;
}

/* `is_wanted`: something is there that takes a data plane. */
static bool print_nodes(const struct value *nodes, bool is_wanted)
{
    size_t synced = 0, alive = 0;
    for (size_t i = 0; i < list_count(nodes); i++) {
        struct text state = value_string(value_get(nodes->list.items[i], "state"));
        alive += !text_is(state, "gone");
        synced += text_is(state, "synced");
    }
    printf("%zu of %zu data planes in sync\n", synced, alive);
    return synced == alive && (alive > 0 || !is_wanted);
}

/* In a cluster data planes come with Gateways; beside a directory there is always one. */
static bool takes_nodes(const struct value *answer)
{
    const struct value *objects = value_get(answer, "objects");
    for (size_t i = 0; i < list_count(objects); i++)
        if (text_is(value_string(value_get(objects->list.items[i], "kind")), "Gateway"))
            return true;
    return value_string(value_get(answer, "directory")).len > 0;
}

static int show(const struct value *answer, struct arena *arena)
{
    struct overview overview = {.arena = arena};
    const struct value *objects = value_get(answer, "objects");
    for (size_t i = 0; i < list_count(objects); i++)
        add_object(&overview, objects->list.items[i]);
    if (overview.count > 0)
        qsort(overview.rows, overview.count, sizeof(struct row), by_rank);
    struct text directory = value_string(value_get(answer, "directory"));
    printf("%s" TEXT_FMT "   snapshot " TEXT_FMT "\n", directory.len > 0 ? "directory " : "cluster",
           TEXT_ARG(directory), TEXT_ARG(value_string(value_get(answer, "snapshot"))));
    struct table table;
    table_init(&table, arena,
               (const char *const[]){"KIND", "NAME", "PART", "VERDICT", "MESSAGE", NULL});
    size_t bad = 0;
    for (size_t i = 0; i < overview.count; i++) {
        bad += overview.rows[i].rank == 0;
        table_add(&table, overview.rows[i].cells, 5);
    }
    table_print(&table);
    table_fini(&table);
    free(overview.rows);
    size_t errors = print_faults(value_get(answer, "faults"));
    bool synced = print_nodes(value_get(answer, "nodes"), takes_nodes(answer));
    return bad + errors > 0 ? CLI_FINDINGS : synced ? CLI_OK : CLI_NOT_READY;
}

/* "Kind namespace/name" or "Kind name". */
static bool is_of(struct text object, struct text namespace)
{
    struct text name = text_slice(object, text_find(object, ' ', 0) + 1, object.len);
    size_t slash = text_find(name, '/', 0);
    return slash < name.len && text_equal(text_slice(name, 0, slash), namespace);
}

static void narrow(struct value *answer, struct text namespace)
{
    struct value *objects = value_get(answer, "objects"), *faults = value_get(answer, "faults");
    size_t kept = 0;
    for (size_t i = 0; i < list_count(objects); i++)
        if (text_equal(value_string(value_get(objects->list.items[i], "namespace")), namespace))
            objects->list.items[kept++] = objects->list.items[i];
    if (list_count(objects) > 0)
        objects->list.count = kept;
    kept = 0;
    for (size_t i = 0; i < list_count(faults); i++)
        if (is_of(value_string(value_get(faults->list.items[i], "object")), namespace))
            faults->list.items[kept++] = faults->list.items[i];
    if (list_count(faults) > 0)
        faults->list.count = kept;
}

static int run(int argc, char **argv)
{
    static const struct ask_view VIEW = {"/v1/status", show, narrow};
    return ask_run(&cli_status, argc, argv, &VIEW);
}

const struct cli_verb cli_status = {
    .name = "status",
    .summary = "show the verdict on every object of the running gateway, worst first",
    .usage = "[FLAGS]\n\n"
             "  --namespace NAME only what is of this namespace (-n)\n" ASK_USAGE "\n\n"
             "exit codes: 0 all is well, 1 an object or a file has an error, 3 nobody answers,\n"
             "4 no data plane is in sync, and a Gateway wants one",
    .run = run,
};
