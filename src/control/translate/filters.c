/* From the filters of the API to those of the wire. To add one: a case here, and its capability. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/filters.h"

#include "control/translate/backends.h"

struct job {
    struct route_build *build;
    struct arena *arena;
    const struct kind_filter *filter;
    struct route_spot spot;
    bool is_of_backend;
    Nantian__Config__V1__Filter *out;
};

static char **strings(struct arena *arena, const struct kind_texts *texts, size_t *ret_count)
{
    char **out = arena_array(arena, char *, texts->count);
    for (size_t i = 0; i < texts->count; i++)
        out[i] = arena_string(arena, texts->items[i]);
    *ret_count = texts->count;
    return out;
}

static Nantian__Config__V1__Header **headers(struct arena *arena, const struct kind_header *items,
                                             size_t count)
{
    Nantian__Config__V1__Header **out = arena_array(arena, Nantian__Config__V1__Header *, count);
    for (size_t i = 0; i < count; i++) {
        out[i] = arena_new(arena, Nantian__Config__V1__Header);
        nantian__config__v1__header__init(out[i]);
        out[i]->name = arena_string(arena, items[i].name);
        out[i]->value = arena_string(arena, text_trim(items[i].value)); /* RFC 9113 8.2.1 */
    }
    return out;
}

static Nantian__Config__V1__HeaderModifier *modifier(struct arena *arena,
                                                     const struct kind_header_modifier *from)
{
    Nantian__Config__V1__HeaderModifier *out =
        arena_new(arena, Nantian__Config__V1__HeaderModifier);
    nantian__config__v1__header_modifier__init(out);
    out->set = headers(arena, from->set, from->set_count);
    out->n_set = from->set_count;
    out->add = headers(arena, from->add, from->add_count);
    out->n_add = from->add_count;
    out->remove = strings(arena, &from->remove, &out->n_remove);
    return out;
}

static enum filters_verdict drop(struct job *job, struct text message)
{
    route_dropped(job->build, &job->spot, message);
    return FILTERS_DROP;
}

static enum filters_verdict path_modifier(struct job *job, const struct kind_path_modifier *from,
                                          Nantian__Config__V1__PathModifier **ret_out)
{
    *ret_out = NULL;
    if (from == NULL)
        return FILTERS_GOOD;
    Nantian__Config__V1__PathModifier *out =
        arena_new(job->arena, Nantian__Config__V1__PathModifier);
    nantian__config__v1__path_modifier__init(out);
    if (from->type == KIND_PATH_REPLACE_FULL) {
        out->kind_case = NANTIAN__CONFIG__V1__PATH_MODIFIER__KIND_REPLACE_FULL;
        out->replace_full = arena_string(job->arena, from->full);
    } else if (from->type == KIND_PATH_REPLACE_PREFIX) {
        out->kind_case = NANTIAN__CONFIG__V1__PATH_MODIFIER__KIND_REPLACE_PREFIX;
        out->replace_prefix = arena_string(job->arena, from->prefix);
    } else {
        return drop(job, arena_printf(job->arena, "the path type \"" TEXT_FMT "\" is not known.",
                                      TEXT_ARG(from->type_text)));
    }
    *ret_out = out;
    return FILTERS_GOOD;
}

static enum filters_verdict redirect(struct job *job, const struct kind_redirect *from)
{
    if (job->is_of_backend && !route_needs(job->build, CAPABILITY_BACKEND_REDIRECT, &job->spot))
        return FILTERS_GOOD;
    Nantian__Config__V1__Redirect *out = arena_new(job->arena, Nantian__Config__V1__Redirect);
    nantian__config__v1__redirect__init(out);
    out->scheme = arena_string(job->arena, from->scheme);
    out->hostname = arena_string(job->arena, from->hostname);
    out->port = (uint32_t)from->port;
    out->status = (uint32_t)from->status_code;
    job->out->kind_case = NANTIAN__CONFIG__V1__FILTER__KIND_REDIRECT;
    job->out->redirect = out;
    return path_modifier(job, from->path, &out->path);
}

static enum filters_verdict rewrite(struct job *job, const struct kind_url_rewrite *from)
{
    Nantian__Config__V1__UrlRewrite *out = arena_new(job->arena, Nantian__Config__V1__UrlRewrite);
    nantian__config__v1__url_rewrite__init(out);
    out->hostname = arena_string(job->arena, from->hostname);
    job->out->kind_case = NANTIAN__CONFIG__V1__FILTER__KIND_URL_REWRITE;
    job->out->url_rewrite = out;
    return path_modifier(job, from->path, &out->path);
}

static enum filters_verdict mirror(struct job *job, const struct kind_mirror *from)
{
    route_needs(job->build, CAPABILITY_REQUEST_MIRROR, &job->spot);
    struct text name;
    enum backends_protocol protocol =
        job->build->object->id == KIND_GRPC_ROUTE ? BACKENDS_H2C : BACKENDS_AS_HINTED;
    if (backends_resolve(job->build, &from->backend, protocol, &job->spot, &name) != NULL)
        return FILTERS_GOOD; /* reported; the request itself goes on without its copy */
    Nantian__Config__V1__Mirror *out = arena_new(job->arena, Nantian__Config__V1__Mirror);
    nantian__config__v1__mirror__init(out);
    out->backend = arena_string(job->arena, name);
    if (from->has_percent) {
        out->numerator = (uint32_t)MAX(from->percent, 0);
        out->denominator = 100;
    } else if (from->fraction != NULL) {
        out->numerator = (uint32_t)MAX(from->fraction->numerator, 0);
        out->denominator = (uint32_t)MAX(from->fraction->denominator, 1);
    }
    job->out->kind_case = NANTIAN__CONFIG__V1__FILTER__KIND_MIRROR;
    job->out->mirror = out;
    return FILTERS_GOOD;
}

static enum filters_verdict cors(struct job *job, const struct kind_cors *from)
{
    if (!route_needs(job->build, CAPABILITY_CORS, &job->spot))
        return FILTERS_GOOD;
    *job->out = *policies_cors(job->arena, from);
    return FILTERS_GOOD;
}

static enum filters_verdict external_auth(struct job *job, const struct kind_external_auth *from)
{
    route_needs(job->build, CAPABILITY_EXTERNAL_AUTH, &job->spot);
    if (from->protocol == KIND_AUTH_UNKNOWN)
        return drop(job, arena_printf(job->arena, "the protocol \"" TEXT_FMT "\" is not known.",
                                      TEXT_ARG(from->protocol_text)));
    struct text name;
    bool is_grpc = from->protocol == KIND_AUTH_GRPC;
    if (backends_resolve(job->build, &from->backend, is_grpc ? BACKENDS_H2C : BACKENDS_AS_HINTED,
                         &job->spot, &name) != NULL)
        return FILTERS_FAIL;
    Nantian__Config__V1__ExternalAuth *out =
        arena_new(job->arena, Nantian__Config__V1__ExternalAuth);
    nantian__config__v1__external_auth__init(out);
    out->backend = arena_string(job->arena, name);
    out->grpc = is_grpc;
    if (from->http != NULL) {
        out->path_prefix = arena_string(job->arena, from->http->path);
        out->allowed_request_headers =
            strings(job->arena, &from->http->allowed_headers, &out->n_allowed_request_headers);
        out->allowed_response_headers = strings(job->arena, &from->http->allowed_response_headers,
                                                &out->n_allowed_response_headers);
    } else if (from->grpc != NULL) {
        out->allowed_request_headers =
            strings(job->arena, &from->grpc->allowed_headers, &out->n_allowed_request_headers);
    }
    if (from->has_forward_body)
        out->body_bytes_max = (uint32_t)MAX(from->forward_body_bytes_max, 0);
    job->out->kind_case = NANTIAN__CONFIG__V1__FILTER__KIND_EXTERNAL_AUTH;
    job->out->external_auth = out;
    return FILTERS_GOOD;
}

/* Sets job->out; its kind_case stays NOT_SET where nothing is to be added. */
static enum filters_verdict build_one(struct job *job)
{
    const struct kind_filter *from = job->filter;
    struct arena *arena = job->arena;
    if (from->request_headers != NULL) {
        job->out->kind_case = NANTIAN__CONFIG__V1__FILTER__KIND_REQUEST_HEADERS;
        job->out->request_headers = modifier(arena, from->request_headers);
    } else if (from->response_headers != NULL) {
        job->out->kind_case = NANTIAN__CONFIG__V1__FILTER__KIND_RESPONSE_HEADERS;
        job->out->response_headers = modifier(arena, from->response_headers);
    } else if (from->redirect != NULL) {
        return redirect(job, from->redirect);
    } else if (from->rewrite != NULL) {
        return rewrite(job, from->rewrite);
    } else if (from->mirror != NULL) {
        return mirror(job, from->mirror);
    } else if (from->cors != NULL) {
        return cors(job, from->cors);
    } else if (from->external_auth != NULL) {
        return external_auth(job, from->external_auth);
    } else {
        return drop(job, arena_printf(arena,
                                      "the filter \"" TEXT_FMT
                                      "\" is not known, or its settings are missing.",
                                      TEXT_ARG(from->type_text)));
    }
    return FILTERS_GOOD;
}

static bool may_repeat(enum kind_filter_type type)
{
    return type == KIND_FILTER_REQUEST_MIRROR || type == KIND_FILTER_EXTENSION_REF ||
           type == KIND_FILTER_UNKNOWN;
}

/* False: they do not go together, and the route was refused. */
static bool check_combination(struct route_build *build, const struct filters_list *list)
{
    const struct kind_filter *redirect_filter = NULL, *rewrite_filter = NULL;
    for (size_t i = 0; i < list->count; i++) {
        const struct kind_filter *filter = &list->items[i];
        redirect_filter = filter->redirect != NULL ? filter : redirect_filter;
        rewrite_filter = filter->rewrite != NULL ? filter : rewrite_filter;
        for (size_t k = 0; k < i && !may_repeat(filter->type); k++) {
            if (list->items[k].type != filter->type)
                continue;
            struct route_spot spot = {filter->place, list->field};
            route_unsupported(build, "IncompatibleFilters", &spot,
                              arena_printf(&build->t->scratch,
                                           "the filter " TEXT_FMT " stands there twice.",
                                           TEXT_ARG(filter->type_text)));
            return false;
        }
    }
    if (redirect_filter == NULL || rewrite_filter == NULL)
        return true;
    struct route_spot spot = {rewrite_filter->place, list->field};
    route_unsupported(build, "IncompatibleFilters", &spot,
                      TEXT("a RequestRedirect and a URLRewrite cannot be used together."));
    return false;
}

static enum filters_verdict build_all(struct route_build *build, const struct filters_list *list,
                                      struct policies_effect *effect,
                                      Nantian__Config__V1__Filter **out, size_t *ret_count)
{
    enum filters_verdict worst = FILTERS_GOOD;
    if (!check_combination(build, list))
        return FILTERS_GOOD;
    for (size_t i = 0; i < list->count && worst != FILTERS_DROP; i++) {
        const struct kind_filter *filter = &list->items[i];
        struct arena *arena = &build->t->scratch;
        struct route_spot spot = {
            filter->place, arena_printf(arena, TEXT_FMT ".filters[%zu]", TEXT_ARG(list->field), i)};
        if (filter->extension_ref != NULL) {
            if (!policies_extension(build, filter->extension_ref, &spot, effect))
                worst = FILTERS_FAIL;
            continue;
        }
        Nantian__Config__V1__Filter *message = arena_new(arena, Nantian__Config__V1__Filter);
        nantian__config__v1__filter__init(message);
        struct job job = {build, arena, filter, spot, list->is_of_backend, message};
        enum filters_verdict verdict = build_one(&job);
        worst = verdict == FILTERS_GOOD ? worst : verdict;
        if (message->kind_case != NANTIAN__CONFIG__V1__FILTER__KIND__NOT_SET)
            out[(*ret_count)++] = message;
    }
    return worst;
}

enum filters_verdict filters_of_rule(struct route_build *build, const struct filters_list *list,
                                     struct route_own *own, Nantian__Config__V1__Route *rule)
{
    struct arena *arena = &build->t->scratch;
    struct policies_effect effect = {0};
    rule->filters = arena_array(arena, Nantian__Config__V1__Filter *, list->count);
    enum filters_verdict verdict = build_all(build, list, &effect, rule->filters, &rule->n_filters);
    if (verdict == FILTERS_FAIL)
        rule->n_filters = 0; /* none may be skipped, so none runs: 500 */
    if (verdict != FILTERS_GOOD)
        return verdict;
    policies_apply(&effect, own, rule, arena);
    own->request_timeout = own->request_timeout || effect.request != NULL;
    own->backend_timeout = own->backend_timeout || effect.backend_request != NULL;
    return FILTERS_GOOD;
}

bool filters_of_backend(struct route_build *build, const struct filters_list *list,
                        Nantian__Config__V1__WeightedBackend *backend)
{
    struct arena *arena = &build->t->scratch;
    struct policies_effect effect = {0};
    backend->filters = arena_array(arena, Nantian__Config__V1__Filter *, list->count);
    enum filters_verdict verdict =
        build_all(build, list, &effect, backend->filters, &backend->n_filters);
    if (effect.cors != NULL)
        backend->filters[backend->n_filters++] = effect.cors;
    if (effect.filter_count == 0)
        return verdict == FILTERS_GOOD;
    size_t count = effect.filter_count + backend->n_filters;
    Nantian__Config__V1__Filter **all = arena_array(arena, Nantian__Config__V1__Filter *, count);
    memcpy(all, effect.filters, effect.filter_count * sizeof(*all));
    if (backend->n_filters > 0)
        memcpy(all + effect.filter_count, backend->filters, backend->n_filters * sizeof(*all));
    backend->filters = all;
    backend->n_filters = count;
    return verdict == FILTERS_GOOD;
}
