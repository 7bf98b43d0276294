/* Filters from the wire: which member of the message goes to which filter. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/compile/part.h"

struct row {
    Nantian__Config__V1__Filter__KindCase kind;
    const char *name;
    const struct filter_type *type; /* NULL: this proxy cannot do it */
};

#define KIND(name) NANTIAN__CONFIG__V1__FILTER__KIND_##name
static const struct row ROWS[] = {
    {KIND(REQUEST_HEADERS), "request_headers", &filter_request_headers},
    {KIND(RESPONSE_HEADERS), "response_headers", &filter_response_headers},
    {KIND(REDIRECT), "redirect", &filter_redirect},
    {KIND(URL_REWRITE), "url_rewrite", &filter_url_rewrite},
    {KIND(RATE_LIMIT), "rate_limit", &filter_rate_limit},
    {KIND(MIRROR), "mirror", &filter_mirror},
    {KIND(CORS), "cors", &filter_cors},
    {KIND(EXTERNAL_AUTH), "external_auth", &filter_external_auth},
    {KIND(ADDRESS_LIST), "address_list", &filter_address_list},
};

static const struct row *find_row(const Nantian__Config__V1__Filter *filter)
{
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        if (ROWS[i].kind == filter->kind_case)
            return &ROWS[i];
    }
    return NULL;
}

/* False: a fault was added. */
static bool find_backend(struct change *change, const struct part *part,
                         const struct filter_type *type, void *config, struct text field)
{
    struct backend_name *to = type->backend(config);
    const struct part *backend = part_find(change->compile, RESOURCE_BACKEND, to->resource);
    if (part_will_be(backend)) {
        to->slot = backend->slot;
        return true;
    }
    struct fault fault = part_fault(change, part, "UnknownBackend", TEXT_NONE);
    fault.field =
        arena_printf(&change->scratch, TEXT_FMT ".%s.backend", TEXT_ARG(field), type->name);
    faults_add(change->faults, &fault, "there is no Backend \"" TEXT_FMT "\"",
               TEXT_ARG(to->resource));
    return false;
}

/* False: a fault was added. */
static bool compile_one(struct change *change, const struct part *part, struct arena *arena,
                        const struct compile_filter_list *list, struct filter_step *ret_step,
                        size_t at)
{
    const Nantian__Config__V1__Filter *filter = list->items[at];
    const struct row *row = find_row(filter);
    struct text field = arena_printf(&change->scratch, "%s[%zu]", list->field, at);
    if (row == NULL) {
        struct fault fault = part_fault(change, part, "UnknownFilter", field);
        fault.hint = TEXT("the control plane may be newer than this proxy");
        faults_add(change->faults, &fault, "is no filter that this proxy knows");
        return false;
    }
    if (row->type == NULL) {
        struct fault fault = part_fault(change, part, "UnsupportedFilter", field);
        faults_add(change->faults, &fault, "%s is not supported by this proxy", row->name);
        return false;
    }
    struct fault told = {0};
    const void *config = NULL;
    /* All members of the oneof are pointers and share their place. */
    if (row->type->compile(filter->request_headers, arena, &config, &told) != ERR_NONE) {
        struct fault fault = part_fault(change, part, "InvalidFilter", TEXT_NONE);
        fault.field = arena_printf(&change->scratch, TEXT_FMT ".%s%s" TEXT_FMT, TEXT_ARG(field),
                                   row->name, told.field.len > 0 ? "." : "", TEXT_ARG(told.field));
        fault.hint = told.hint;
        faults_add(change->faults, &fault, TEXT_FMT, TEXT_ARG(told.what));
        return false;
    }
    *ret_step = (struct filter_step){.type = row->type, .config = (void *)(uintptr_t)config};
    return row->type->backend == NULL ||
           find_backend(change, part, row->type, ret_step->config, field);
}

void compile_filters_uses(struct change *change, const struct filter_chain *chain, int32_t delta)
{
    for (uint32_t i = 0; chain != NULL && i < chain->count; i++) {
        const struct filter_step *step = &chain->steps[i];
        if (step->type->backend == NULL)
            continue;
        struct text name = step->type->backend(step->config)->resource;
        struct part *backend = part_find(change->compile, RESOURCE_BACKEND, name);
        if (backend != NULL)
            part_use(change, backend, delta);
    }
}

struct filter_chain *compile_filters(struct change *change, const struct part *part,
                                     struct arena *arena, const struct compile_filter_list *list)
{
    if (list->count == 0)
        return NULL;
    struct filter_step *steps = arena_array(&change->scratch, struct filter_step, list->count);
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += compile_one(change, part, arena, list, &steps[count], i);
    return chain_new(arena, steps, count);
}
