/* The same calls that the two planes make, one after the other. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/compiled.h"

#include "base/base64.h"
#include "schema/types.h"

/* Nobody shakes hands here. */
static struct tls_certificate *pick_none(void *owner, const struct tls_hello *hello,
                                         struct tls_context **ret_rules)
{
    (void)owner, (void)hello, (void)ret_rules;
    return NULL;
}

static int compile_all(struct compiled *compiled, const struct cli_verb *verb,
                       const struct compile_edit *edits, size_t count)
{
    compiled->compile = compile_new(&(struct compile_options){.pick = pick_none});
    struct faults faults;
    faults_init(&faults, &compiled->arena);
    enum err err = compile_apply(compiled->compile, edits, count, TEXT("0"), (struct digest){0},
                                 &compiled->snapshot, &faults);
    for (size_t i = 0; i < faults.count; i++)
        cli_complain(verb, "the data plane would refuse " TEXT_FMT ": " TEXT_FMT,
                     TEXT_ARG(faults.items[i].where), TEXT_ARG(faults.items[i].what));
    faults_fini(&faults);
    if (err == ERR_NONE)
        return CLI_OK;
    compiled_fini(compiled);
    return CLI_FINDINGS;
}

int compiled_load(struct compiled *compiled, const struct cli_verb *verb, const char *directory)
{
    *compiled = (struct compiled){0};
    if (!source_load(&compiled->source, verb, directory, KIND_LENIENT))
        return CLI_USAGE;
    arena_init(&compiled->arena, 0);
    size_t count = 0;
    struct outcome_resource *resources =
        outcome_resources(compiled->source.outcome, &compiled->arena, &count);
    struct compile_edit *edits = arena_array(&compiled->arena, struct compile_edit, count + 1);
    for (size_t i = 0; i < count; i++)
        edits[i] = (struct compile_edit){
            .type = resources[i].type, .name = resources[i].name, .bytes = resources[i].bytes};
    return compile_all(compiled, verb, edits, count);
}

static size_t list_count(const struct value *list)
{
    return list != NULL && list->kind == VALUE_LIST ? list->list.count : 0;
}

int compiled_ask(struct compiled *compiled, struct ask *ask, struct text gateway)
{
    struct text body = TEXT_NONE;
    struct value *answer = NULL;
    *compiled = (struct compiled){0};
    const char *path =
        arena_printf(&ask->arena, "/v1/resources?gateway=" TEXT_FMT, TEXT_ARG(gateway)).data;
    int code = ask_get(ask, path, &body, &answer);
    if (code != CLI_OK)
        return code;
    arena_init(&compiled->arena, 0);
    const struct value *list = value_get(answer, "resources");
    size_t count = list_count(list);
    struct compile_edit *edits = arena_array(&compiled->arena, struct compile_edit, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct value *one = list->list.items[i];
        edits[i].name = value_string(value_get(one, "name"));
        if (types_from_name(value_string(value_get(one, "type")), &edits[i].type) &&
            base64_decode(value_string(value_get(one, "bytes")), &compiled->arena, &edits[i].bytes))
            continue;
        cli_complain(ask->verb,
                     "the control plane sent a resource that is not understood: " TEXT_FMT
                     "; is it of another version (" TEXT_FMT ")?",
                     TEXT_ARG(edits[i].name),
                     TEXT_ARG(value_string(value_get(answer, "productVersion"))));
        compiled_fini(compiled);
        return CLI_INTERNAL;
    }
    return compile_all(compiled, ask->verb, edits, count);
}

void compiled_fini(struct compiled *compiled)
{
    snapshot_unref(compiled->snapshot);
    compile_free(compiled->compile);
    arena_fini(&compiled->arena);
    source_fini(&compiled->source);
}

bool compiled_flag(struct cli_args *args, struct compiled_choice *choice)
{
    if (cli_args_is(args, "gateway", '\0'))
        choice->gateway = cli_args_value(args);
    else if (cli_args_is(args, "namespace", 'n'))
        choice->namespace = cli_args_value(args);
    else
        return false;
    return true;
}

/* "namespace/name" fits: the name alone where no namespace is said. */
static bool fits(const struct compiled_choice *choice, struct text namespace, struct text name)
{
    struct text wanted = text_of(choice->gateway);
    size_t slash = text_find(wanted, '/', 0);
    if (choice->namespace != NULL && !text_is(namespace, choice->namespace))
        return false;
    if (slash == wanted.len)
        return wanted.len == 0 || text_equal(wanted, name);
    return text_equal(text_slice(wanted, 0, slash), namespace) &&
           text_equal(text_slice(wanted, slash + 1, wanted.len), name);
}

int compiled_gateways(struct ask *ask, const struct compiled_choice *choice,
                      struct text **ret_gateways, size_t *ret_count)
{
    struct text body = TEXT_NONE;
    struct value *answer = NULL;
    int code = ask_get(ask, "/v1/status", &body, &answer);
    if (code != CLI_OK)
        return code;
    const struct value *objects = value_get(answer, "objects");
    struct text *gateways = arena_array(&ask->arena, struct text, list_count(objects) + 1);
    bool is_cluster = value_string(value_get(answer, "directory")).len == 0;
    size_t count = is_cluster ? 0 : 1; /* an empty name: one data plane serves them all */
    for (size_t i = 0; is_cluster && i < list_count(objects); i++) {
        const struct value *object = objects->list.items[i];
        struct text namespace = value_string(value_get(object, "namespace"));
        struct text name = value_string(value_get(object, "name"));
        if (text_is(value_string(value_get(object, "kind")), "Gateway") &&
            fits(choice, namespace, name))
            gateways[count++] = arena_printf(&ask->arena, TEXT_FMT "/" TEXT_FMT,
                                             TEXT_ARG(namespace), TEXT_ARG(name));
    }
    *ret_gateways = gateways;
    *ret_count = count;
    if (count > 0)
        return CLI_OK;
    cli_complain(ask->verb, "there is no such Gateway of ours; `%s status` lists them",
                 cli_program());
    return CLI_FINDINGS;
}
