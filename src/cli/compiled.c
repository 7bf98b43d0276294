/* The same calls that the two planes make, one after the other. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/compiled.h"

#include "cli/ask.h"

/* Nobody shakes hands here. */
static struct tls_certificate *pick_none(void *owner, const struct tls_hello *hello,
                                         struct tls_context **ret_rules)
{
    (void)owner, (void)hello, (void)ret_rules;
    return NULL;
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

void compiled_fini(struct compiled *compiled)
{
    snapshot_unref(compiled->snapshot);
    compile_free(compiled->compile);
    arena_fini(&compiled->arena);
    source_fini(&compiled->source);
}

const char *compiled_directory(const char *given, const struct cli_verb *verb,
                               const struct ask_options *ask, struct arena *arena, int *ret_code)
{
    struct text body = TEXT_NONE;
    struct value *answer = NULL;
    *ret_code = CLI_OK;
    if (given != NULL)
        return given;
    *ret_code = ask_get(verb, ask, "/v1/status", arena, &body, &answer);
    if (*ret_code != CLI_OK)
        return NULL;
    return arena_string(arena, value_string(value_get(answer, "directory")));
}
