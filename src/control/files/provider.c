/* A file that is faulty gives what it can: its good objects, and the bad ones as they were when
 * they were good last. The forms that are still in use by some object are kept on disk, each under
 * its number: the clean one is 0. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/files/provider.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/value.h"

void provider_init(struct provider *provider, struct text name)
{
    *provider = (struct provider){.name = memory_string(name)};
    arena_init(&provider->fault_arena, 0);
    faults_init(&provider->faults, &provider->fault_arena);
}

void provider_fini(struct provider *provider, struct providers *providers)
{
    for (size_t i = 0; i < provider->holding_count; i++)
        holdings_withdraw(providers->holdings, provider->holdings[i]);
    free(provider->holdings);
    faults_fini(&provider->faults);
    arena_fini(&provider->fault_arena);
    free(provider->name);
}

static void clear_faults(struct provider *provider)
{
    faults_fini(&provider->faults);
    arena_reset(&provider->fault_arena);
    faults_init(&provider->faults, &provider->fault_arena);
}

/* The objects of a text; false: it has a syntax error. */
static bool parse(const struct provider *provider, enum kind_mode mode, struct text text,
                  struct text path, struct kind_objects *objects, struct faults *faults)
{
    struct arena arena;
    arena_init(&arena, 65536);
    struct value_documents documents = {0};
    struct value *only = NULL;
    bool parsed = false;
    if (text_ends_with(text_of(provider->name), TEXT(".json"))) {
        parsed = value_parse_json(text, path, &arena, &only, faults);
        documents = (struct value_documents){&only, 1};
    } else {
        parsed = value_parse_yaml(text, path, &arena, &documents, faults);
    }
    for (size_t i = 0; parsed && i < documents.count; i++)
        kind_decode(documents.items[i], path, mode, objects, faults);
    arena_fini(&arena);
    return parsed;
}

void provider_parse(struct provider *provider, enum kind_mode mode,
                    struct provider_content *content)
{
    clear_faults(provider);
    content->parsed =
        parse(provider, mode, content->text, content->path, &content->objects, &provider->faults);
}

static void tell_duplicate(struct provider *provider, const struct providers *providers,
                           const struct holding *holding)
{
    const struct kind_object *object = holding->object;
    faults_add(&provider->faults,
               &(struct fault){
                   .code = "Duplicate",
                   .where = kind_describe(object, &provider->fault_arena),
                   .file = object->meta.file,
                   .line = object->meta.place.line,
                   .column = object->meta.place.column,
                   .hint = TEXT("remove one of the two"),
               },
               "the same object stands in %s, which counts",
               holdings_winner_file(providers->holdings, holding));
}

/* Replaces what the file holds by what is in `objects`, which are of that form. */
static void take_objects(struct provider *provider, struct providers *providers,
                         const struct kind_objects *objects, uint32_t form)
{
    struct holding **old = provider->holdings;
    size_t old_count = provider->holding_count;
    struct holding **holdings = memory_alloc((objects->count + 1) * sizeof(*holdings));
    size_t count = 0;
    for (size_t i = 0; i < objects->count; i++) {
        struct kind_object *object = objects->items[i];
        const struct holding *good = NULL;
        bool is_bad = object->error_count > 0 && providers->mode == KIND_LENIENT;
        if (is_bad && (good = holdings_find(providers->holdings, provider->name, object)) == NULL)
            continue; /* a check takes it: it wants to see what else is wrong */
        struct holding *holding = holdings_make(providers->holdings, text_of(provider->name),
                                                is_bad ? good->object : object);
        holding->form = is_bad ? good->form : form;
        holdings[count++] = holding;
    }
    for (size_t i = 0; i < old_count; i++)
        holdings_withdraw(providers->holdings, old[i]);
    free(old);
    for (size_t i = 0; i < count; i++)
        if (!holdings_enter(providers->holdings, holdings[i]) &&
            holdings[i]->object->error_count == 0)
            tell_duplicate(provider, providers, holdings[i]);
    provider->holdings = holdings;
    provider->holding_count = count;
}

static void recall(struct provider *provider, struct providers *providers, uint32_t form,
                   struct text path)
{
    struct arena arena;
    struct faults faults;
    struct kind_objects objects = {0};
    struct text text = TEXT_NONE;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    if (copies_load(providers->copies, provider->name, form, &arena, &text) &&
        parse(provider, providers->mode, text, path, &objects, &faults))
        take_objects(provider, providers, &objects, form);
    kind_objects_fini(&objects);
    faults_fini(&faults);
    arena_fini(&arena);
}

/* A file that is faulty at its first sight: what it held when it was good last counts as before,
 * and the good objects of what came behind that, one after the other. */
static void remember(struct provider *provider, struct providers *providers, struct text path)
{
    uint32_t forms[LIMIT_FILE_FORMS];
    if (provider->holding_count > 0 || providers->copies == NULL)
        return;
    size_t count = copies_forms(providers->copies, provider->name, forms);
    recall(provider, providers, 0, path);
    for (size_t i = 0; i < count; i++)
        recall(provider, providers, forms[i], path);
    provider->newest = count > 0 ? forms[count - 1] : 0;
}

static bool is_in_use(const struct provider *provider, uint32_t form)
{
    for (size_t i = 0; i < provider->holding_count; i++)
        if (provider->holdings[i]->form == form)
            return true;
    return form == provider->newest; /* which also says what is gone */
}

static void drop_unused(const struct provider *provider, struct copies *copies)
{
    uint32_t forms[LIMIT_FILE_FORMS];
    size_t count = copies_forms(copies, provider->name, forms), left = count;
    for (size_t i = 0; i < count; i++) {
        if (is_in_use(provider, forms[i]) && left < LIMIT_FILE_FORMS)
            continue;
        copies_forget(copies, provider->name, forms[i]);
        left--;
    }
}

bool provider_keep(struct provider *provider, struct providers *providers, struct text content)
{
    provider->unkept = !copies_save(providers->copies, provider->name, provider->newest, content);
    if (!provider->unkept)
        drop_unused(provider, providers->copies);
    else if (!providers->is_short)
        log_warn("a file cannot be copied; after a restart its faults would count",
                 log_str("file", provider->name), log_str("why", strerrordesc_np(errno)));
    providers->is_short = provider->unkept;
    return !provider->unkept;
}

void provider_take(struct provider *provider, struct providers *providers,
                   const struct provider_content *content)
{
    provider->content = content->digest;
    provider->broken = !content->parsed;
    bool is_clean = content->parsed && provider_errors(provider) == 0;
    if (!is_clean)
        remember(provider, providers, content->path);
    if (provider->broken)
        return;
    provider->newest = is_clean ? 0 : provider->newest + 1;
    take_objects(provider, providers, &content->objects, provider->newest);
    if (providers->copies != NULL)
        (void)provider_keep(provider, providers, content->text);
}

void provider_lose(struct provider *provider, struct providers *providers, struct text path,
                   const char *why)
{
    clear_faults(provider);
    provider->broken = true;
    provider->content = (struct digest){0};
    faults_add(&provider->faults, &(struct fault){.code = "FileUnreadable", .file = path},
               "cannot be read: %s", why);
    remember(provider, providers, path);
}

size_t provider_errors(const struct provider *provider)
{
    size_t errors = provider->faults.dropped;
    for (size_t i = 0; i < provider->faults.count; i++)
        errors += provider->faults.items[i].level == FAULT_ERROR;
    return errors;
}
