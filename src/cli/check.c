/* nantian check: every mistake of a directory or file, with its place, or of a running gateway. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/builder.h"
#include "base/json.h"
#include "cli/ask.h"
#include "cli/source.h"

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_SARIF };

struct check {
    enum format format;
    bool quiet;
};

static const char *const LEVELS[] = {"error", "warning", "note"};

static int by_place(const void *a, const void *b)
{
    const struct fault *left = *(const struct fault *const *)a;
    const struct fault *right = *(const struct fault *const *)b;
    int order = text_compare(left->file, right->file);
    if (order != 0)
        return order;
    if (left->line != right->line)
        return left->line < right->line ? -1 : 1;
    if (left->column != right->column)
        return left->column < right->column ? -1 : 1;
    return text_compare(left->what, right->what);
}

static void print_text(struct builder *out, const struct fault *const *faults, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct fault *fault = faults[i];
        builder_printf(out, TEXT_FMT, TEXT_ARG(fault->file));
        if (fault->line > 0)
            builder_printf(out, ":%u:%u", fault->line, fault->column);
        builder_printf(out, "%s%s: ", fault->file.len > 0 ? ": " : "", LEVELS[fault->level]);
        builder_add(out, fault->where);
        if (fault->field.len > 0)
            builder_printf(out, "%s" TEXT_FMT, fault->where.len > 0 ? " " : "",
                           TEXT_ARG(fault->field));
        builder_printf(out, "%s" TEXT_FMT " [%s]\n",
                       fault->where.len + fault->field.len > 0 ? ": " : "", TEXT_ARG(fault->what),
                       fault->code);
        if (fault->hint.len > 0)
            builder_printf(out, "    hint: " TEXT_FMT "\n", TEXT_ARG(fault->hint));
    }
}

static void print_json(struct builder *out, const struct fault *const *faults, size_t count)
{
    struct json json;
    json_init(&json, out, 2);
    json_object_begin(&json, NULL);
    json_string(&json, "apiVersion", "cli.nantian.dev/v1");
    json_array_begin(&json, "findings");
    for (size_t i = 0; i < count; i++) {
        json_object_begin(&json, NULL);
        json_string(&json, "level", LEVELS[faults[i]->level]);
        json_string(&json, "code", faults[i]->code);
        json_text(&json, "file", faults[i]->file);
        json_int(&json, "line", faults[i]->line);
        json_int(&json, "column", faults[i]->column);
        json_text(&json, "object", faults[i]->where);
        json_text(&json, "field", faults[i]->field);
        json_text(&json, "message", faults[i]->what);
        json_text(&json, "hint", faults[i]->hint);
        json_object_end(&json);
    }
    json_array_end(&json);
    json_object_end(&json);
    builder_add_char(out, '\n');
}

static void sarif_result(struct json *json, const struct fault *fault)
{
    struct builder message = {0};
    builder_printf(&message, TEXT_FMT " " TEXT_FMT ": " TEXT_FMT, TEXT_ARG(fault->where),
                   TEXT_ARG(fault->field), TEXT_ARG(fault->what));
    json_object_begin(json, NULL);
    json_string(json, "ruleId", fault->code);
    json_string(json, "level", LEVELS[fault->level]);
    json_object_begin(json, "message");
    json_text(json, "text", builder_text(&message));
    json_object_end(json);
    json_array_begin(json, "locations");
    json_object_begin(json, NULL);
    json_object_begin(json, "physicalLocation");
    json_object_begin(json, "artifactLocation");
    json_text(json, "uri", fault->file);
    json_object_end(json);
    json_object_begin(json, "region");
    json_int(json, "startLine", MAX(fault->line, 1u));
    json_int(json, "startColumn", MAX(fault->column, 1u));
    json_object_end(json);
    json_object_end(json);
    json_object_end(json);
    json_array_end(json);
    json_object_end(json);
    builder_fini(&message);
}

/* SARIF 2.1.0, as code review systems read it. */
static void print_sarif(struct builder *out, const struct fault *const *faults, size_t count)
{
    struct json json;
    json_init(&json, out, 2);
    json_object_begin(&json, NULL);
    json_string(&json, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
    json_string(&json, "version", "2.1.0");
    json_array_begin(&json, "runs");
    json_object_begin(&json, NULL);
    json_object_begin(&json, "tool");
    json_object_begin(&json, "driver");
    json_string(&json, "name", "nantian check");
    json_string(&json, "version", NANTIAN_VERSION);
    json_object_end(&json);
    json_object_end(&json);
    json_array_begin(&json, "results");
    for (size_t i = 0; i < count; i++)
        sarif_result(&json, faults[i]);
    json_array_end(&json);
    json_object_end(&json);
    json_array_end(&json);
    json_object_end(&json);
    builder_add_char(out, '\n');
}

/* Those of the files and those of the translation. */
static const struct fault **collect(const struct source *source, struct faults *files,
                                    struct arena *arena, size_t *ret_count)
{
    size_t translated = 0, count = 0;
    files_faults(source->files, files);
    const struct fault **more = outcome_faults(source->outcome, arena, &translated);
    const struct fault **all =
        arena_array(arena, const struct fault *, files->count + translated + 1);
    for (size_t i = 0; i < files->count; i++)
        all[count++] = &files->items[i];
    for (size_t i = 0; i < translated; i++)
        all[count++] = more[i];
    *ret_count = count;
    return all;
}

static size_t object_count(const struct source *source)
{
    size_t count = 0;
    for (int kind = KIND_NONE + 1; kind < KIND_COUNT; kind++)
        count += store_count(source->store, (enum kind_id)kind);
    return count;
}

/* In order of place. */
static int print(const struct fault **faults, size_t count, size_t objects,
                 const struct check *check)
{
    struct builder out = {0};
    size_t errors = 0, warnings = 0;
    qsort(faults, count, sizeof(*faults), by_place);
    for (size_t i = 0; i < count; i++) {
        errors += faults[i]->level == FAULT_ERROR;
        warnings += faults[i]->level == FAULT_WARNING;
    }
    if (check->format == FORMAT_TEXT)
        print_text(&out, faults, count);
    else if (check->format == FORMAT_JSON)
        print_json(&out, faults, count);
    else
        print_sarif(&out, faults, count);
    if (!check->quiet && check->format == FORMAT_TEXT)
        cli_print_quoting(&out);
    else if (!check->quiet)
        fwrite(out.data, 1, out.len, stdout);
    if (!check->quiet && check->format == FORMAT_TEXT)
        printf("%zu objects, %zu errors, %zu warnings\n", objects, errors, warnings);
    builder_fini(&out);
    return errors > 0 ? CLI_FINDINGS : CLI_OK;
}

static int check_path(const char *path, const struct check *check)
{
    struct source source;
    struct arena arena;
    struct faults files;
    size_t count = 0;
    if (!source_load(&source, &cli_check, path, KIND_STRICT))
        return CLI_USAGE;
    arena_init(&arena, 0);
    faults_init(&files, &arena);
    const struct fault **faults = collect(&source, &files, &arena, &count);
    int code = print(faults, count, object_count(&source), check);
    faults_fini(&files);
    arena_fini(&arena);
    source_fini(&source);
    return code;
}

static struct fault *read_fault(const struct value *from, struct arena *arena)
{
    struct fault *fault = arena_new(arena, struct fault);
    struct text level = value_string(value_get(from, "level"));
    *fault = (struct fault){
        .level = text_is(level, "error")     ? FAULT_ERROR
                 : text_is(level, "warning") ? FAULT_WARNING
                                             : FAULT_NOTE,
        .code = arena_string(arena, value_string(value_get(from, "code"))),
        .where = value_string(value_get(from, "object")),
        .field = value_string(value_get(from, "field")),
        .what = value_string(value_get(from, "what")),
        .hint = value_string(value_get(from, "hint")),
        .file = value_string(value_get(from, "file")),
        .line = (uint32_t)value_int(value_get(from, "line"), 0),
        .column = (uint32_t)value_int(value_get(from, "column"), 0),
    };
    return fault;
}

static size_t list_count(const struct value *list)
{
    return list != NULL && list->kind == VALUE_LIST ? list->list.count : 0;
}

/* What the control plane found in what it serves. */
static int check_running(const struct ask_options *options, const struct check *check)
{
    struct ask ask;
    struct text body = TEXT_NONE;
    struct value *answer = NULL;
    int code = ask_open(&ask, &cli_check, options);
    if (code == CLI_OK)
        code = ask_get(&ask, "/v1/status", &body, &answer);
    if (code == CLI_OK) {
        const struct value *list = value_get(answer, "faults");
        size_t count = list_count(list);
        const struct fault **faults = arena_array(&ask.arena, const struct fault *, count + 1);
        for (size_t i = 0; i < count; i++)
            faults[i] = read_fault(list->list.items[i], &ask.arena);
        code = print(faults, count, list_count(value_get(answer, "objects")), check);
    }
    ask_close(&ask);
    return code;
}

static int run(int argc, char **argv)
{
    static const char *const formats[] = {"text", "json", "sarif", NULL};
    const char *path = NULL;
    struct check check = {0};
    struct ask_options options = {0};
    bool is_running = cli_is_plugin();
    struct cli_args args;
    cli_args_init(&args, &cli_check, argc, argv);
    while (cli_args_next(&args)) {
        if (cli_args_is(&args, "help", 'h')) {
            cli_print_usage(&cli_check);
            return CLI_OK;
        }
        if (cli_args_is(&args, "file", 'f'))
            path = cli_args_value(&args);
        else if (cli_args_is(&args, "output", 'o'))
            check.format = (enum format)cli_args_choice(&args, formats);
        else if (cli_args_is(&args, "quiet", 'q'))
            check.quiet = true;
        else if (args.flag == NULL && path == NULL)
            path = args.value;
        else if (ask_flag_place(&args, &options))
            is_running = true;
        else
            cli_args_unknown(&args);
    }
    if (args.failed)
        return CLI_USAGE;
    if (path != NULL)
        return check_path(path, &check);
    if (is_running)
        return check_running(&options, &check);
    cli_complain(&cli_check, "say which directory or file with -f PATH, or which cluster with "
                             "--kubeconfig FILE or --context NAME");
    return CLI_USAGE;
}

const struct cli_verb cli_check = {
    .name = "check",
    .summary = "find every mistake in a directory or file of YAML, or in a cluster",
    .usage = "-f PATH|FLAGS [-o text|json|sarif] [-q]\n\n"
             "  --file PATH      the directory or file (-f); or what runs:\n" ASK_USAGE_PLACE
             "  --output FORMAT  text, json or sarif (-o)\n"
             "  --quiet          the exit code alone (-q)\n\n"
             "exit codes: 0 clean, 1 errors found, 2 usage or missing path",
    .run = run,
};
