/* Paths, methods, headers and query parameters. A service and method of gRPC is a path. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/matches.h"

#include "base/limits.h"
#include "control/translate/terms/hostname.h"

struct job {
    struct route_build *build;
    struct arena *arena;
    struct text field; /* "spec.rules[0].matches[1]" */
};

static bool drop(struct job *job, struct kind_place place, const char *member, struct text message)
{
    struct route_spot spot = {
        place, arena_printf(job->arena, TEXT_FMT ".%s", TEXT_ARG(job->field), member)};
    route_dropped(job->build, &spot, message);
    return false;
}

static bool check_regex(struct job *job, struct kind_place place, const char *member,
                        struct text regex)
{
    struct text why = TEXT_NONE;
    const struct translate_options *options = job->build->t->options;
    if (regex.len > LIMIT_REGEX_BYTES)
        return drop(
            job, place, member,
            arena_printf(job->arena, "the expression is longer than %d bytes.", LIMIT_REGEX_BYTES));
    if (options->check_regex == NULL || options->check_regex(regex, job->arena, &why))
        return true;
    return drop(job, place, member,
                arena_printf(job->arena, "the expression is not valid: " TEXT_FMT, TEXT_ARG(why)));
}

static Nantian__Config__V1__Route__Match *new_match(struct arena *arena)
{
    Nantian__Config__V1__Route__Match *match = arena_new(arena, Nantian__Config__V1__Route__Match);
    nantian__config__v1__route__match__init(match);
    match->path = arena_new(arena, Nantian__Config__V1__Route__Path);
    nantian__config__v1__route__path__init(match->path);
    return match;
}

/* Of several with one name the first counts (Gateway API); `lower` for header names. */
static bool add_fields(struct job *job, const struct kind_name_match *items, size_t count,
                       bool is_header, Nantian__Config__V1__Route__Field ***ret_fields,
                       size_t *ret_count)
{
    const char *member = is_header ? "headers" : "queryParams";
    Nantian__Config__V1__Route__Field **fields =
        arena_array(job->arena, Nantian__Config__V1__Route__Field *, count);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (items[i].type == KIND_MATCH_UNKNOWN)
            return drop(job, items[i].place, member,
                        arena_printf(job->arena, "the match type \"" TEXT_FMT "\" is not known.",
                                     TEXT_ARG(items[i].type_text)));
        bool is_regex = items[i].type == KIND_MATCH_REGEX;
        if (is_regex && !check_regex(job, items[i].place, member, items[i].value))
            return false;
        char *name = is_header ? arena_string(job->arena, hostname_lower(job->arena, items[i].name))
                               : arena_string(job->arena, items[i].name);
        bool is_again = false;
        for (size_t k = 0; k < used && !is_again; k++)
            is_again = strcmp(fields[k]->name, name) == 0;
        if (is_again)
            continue;
        Nantian__Config__V1__Route__Field *field =
            arena_new(job->arena, Nantian__Config__V1__Route__Field);
        nantian__config__v1__route__field__init(field);
        field->name = name;
        field->value = arena_string(job->arena, items[i].value);
        field->regex = is_regex;
        fields[used++] = field;
    }
    *ret_fields = fields;
    *ret_count = used;
    return true;
}

static bool http_match(struct job *job, const struct kind_http_match *from,
                       Nantian__Config__V1__Route__Match *match)
{
    if (from->path_type == KIND_MATCH_UNKNOWN)
        return drop(job, from->path_place, "path",
                    arena_printf(job->arena, "the match type \"" TEXT_FMT "\" is not known.",
                                 TEXT_ARG(from->path_type_text)));
    if (from->path_type == KIND_MATCH_REGEX) {
        if (!check_regex(job, from->path_place, "path", from->path))
            return false;
        match->path->type = NANTIAN__CONFIG__V1__ROUTE__PATH__TYPE__REGEX;
    } else if (from->path_type == KIND_MATCH_EXACT) {
        match->path->type = NANTIAN__CONFIG__V1__ROUTE__PATH__TYPE__EXACT;
    }
    match->path->value = arena_string(job->arena, from->path);
    match->method = arena_string(job->arena, from->method);
    return add_fields(job, from->headers, from->header_count, true, &match->headers,
                      &match->n_headers) &&
           add_fields(job, from->query_params, from->query_param_count, false, &match->query,
                      &match->n_query);
}

bool matches_http(struct route_build *build, const struct kind_http_rule *from, struct text field,
                  Nantian__Config__V1__Route *rule)
{
    struct arena *arena = &build->t->scratch;
    rule->matches = arena_array(arena, Nantian__Config__V1__Route__Match *, from->match_count);
    for (size_t i = 0; i < from->match_count; i++) {
        struct job job = {build, arena,
                          arena_printf(arena, TEXT_FMT ".matches[%zu]", TEXT_ARG(field), i)};
        Nantian__Config__V1__Route__Match *match = new_match(arena);
        if (!http_match(&job, &from->matches[i], match))
            return false;
        rule->matches[rule->n_matches++] = match;
    }
    return true;
}

/* A literal as an expression that matches only it. */
static struct text quote(struct arena *arena, struct text literal)
{
    char *out = arena_alloc(arena, literal.len * 2 + 1);
    size_t len = 0;
    for (size_t i = 0; i < literal.len; i++) {
        if (strchr("\\.+*?()|[]{}^$#&-~", literal.data[i]) != NULL && literal.data[i] != '\0')
            out[len++] = '\\';
        out[len++] = literal.data[i];
    }
    return text_from(out, len);
}

static bool grpc_regex(struct job *job, const struct kind_grpc_match *from,
                       Nantian__Config__V1__Route__Path *path)
{
    bool is_regex = from->method_type == KIND_MATCH_REGEX;
    struct text any = TEXT("[^/]+");
    struct text service = from->service.len == 0 ? any : from->service;
    struct text method = from->method.len == 0 ? any : from->method;
    if (!is_regex && from->service.len > 0)
        service = quote(job->arena, service);
    if (!is_regex && from->method.len > 0)
        method = quote(job->arena, method);
    struct text value = arena_printf(job->arena, "/(?:" TEXT_FMT ")/(?:" TEXT_FMT ")",
                                     TEXT_ARG(service), TEXT_ARG(method));
    path->type = NANTIAN__CONFIG__V1__ROUTE__PATH__TYPE__REGEX;
    path->value = arena_string(job->arena, value);
    return check_regex(job, from->place, "method", value);
}

static bool grpc_match(struct job *job, const struct kind_grpc_match *from,
                       Nantian__Config__V1__Route__Match *match)
{
    struct arena *arena = job->arena;
    match->path->value = arena_string(arena, TEXT("/"));
    if (from->has_method && from->method_type == KIND_MATCH_UNKNOWN)
        return drop(job, from->place, "method",
                    arena_printf(arena, "the match type \"" TEXT_FMT "\" is not known.",
                                 TEXT_ARG(from->method_type_text)));
    bool is_named = from->service.len > 0 || from->method.len > 0;
    if (from->has_method && is_named) {
        if (from->method_type == KIND_MATCH_REGEX || from->service.len == 0) {
            if (!grpc_regex(job, from, match->path))
                return false;
        } else if (from->method.len == 0) {
            struct text value = arena_printf(arena, "/" TEXT_FMT, TEXT_ARG(from->service));
            match->path->value = arena_string(arena, value);
        } else {
            match->path->type = NANTIAN__CONFIG__V1__ROUTE__PATH__TYPE__EXACT;
            match->path->value =
                arena_string(arena, arena_printf(arena, "/" TEXT_FMT "/" TEXT_FMT,
                                                 TEXT_ARG(from->service), TEXT_ARG(from->method)));
        }
    }
    return add_fields(job, from->headers, from->header_count, true, &match->headers,
                      &match->n_headers);
}

bool matches_grpc(struct route_build *build, const struct kind_grpc_rule *from, struct text field,
                  Nantian__Config__V1__Route *rule)
{
    struct arena *arena = &build->t->scratch;
    rule->matches = arena_array(arena, Nantian__Config__V1__Route__Match *, from->match_count);
    for (size_t i = 0; i < from->match_count; i++) {
        struct job job = {build, arena,
                          arena_printf(arena, TEXT_FMT ".matches[%zu]", TEXT_ARG(field), i)};
        Nantian__Config__V1__Route__Match *match = new_match(arena);
        if (!grpc_match(&job, &from->matches[i], match))
            return false;
        rule->matches[rule->n_matches++] = match;
    }
    return true;
}
