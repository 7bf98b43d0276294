/* HTTPRoute. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/http_route.h"

#include "control/kind/format.h"
#include "control/kind/shapes.h"

#define MATCHES_MAX 128 /* of all rules together, as the CRD has it */

static const struct decode_name path_types[] = {
    {"Exact", KIND_MATCH_EXACT},
    {"PathPrefix", KIND_MATCH_PREFIX},
    {"RegularExpression", KIND_MATCH_REGEX},
    {NULL, 0},
};

static const struct decode_field path_fields[] = {
    {"type", DECODE_ENUM, .offset = offsetof(struct kind_http_match, path_type),
     .second = offsetof(struct kind_http_match, path_type_text), .names = path_types,
     .otherwise = "PathPrefix"},
    {"value", DECODE_TEXT, .offset = offsetof(struct kind_http_match, path), .otherwise = "/",
     .format = &format_path},
};

static bool contains(struct text text, const char *part)
{
    return text.len > 0 && memmem(text.data, text.len, part, strlen(part)) != NULL;
}

/* What makes a literal path unfit to be matched, or NULL. */
static const char *path_problem(struct text path)
{
    static const char *const never[] = {"//", "/./", "/../", "%2f", "%2F", "#"};
    static const char *const problems[] = {
        "must not contain \"//\"",  "must not contain \"/./\"", "must not contain \"/../\"",
        "must not contain \"%2f\"", "must not contain \"%2F\"", "must not contain \"#\"",
    };
    if (!text_starts_with(path, TEXT("/")))
        return "must start with \"/\"";
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        if (contains(path, never[i]))
            return problems[i];
    if (text_ends_with(path, TEXT("/..")) || text_ends_with(path, TEXT("/.")))
        return "must not end with \"/.\" or \"/..\"";
    if (!format_clean_path.matches(path))
        return "has a character that stands in no path; write it as %XX";
    return NULL;
}

static void check_path(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_http_match *match = out;
    if (match->path_type != KIND_MATCH_EXACT && match->path_type != KIND_MATCH_PREFIX)
        return;
    const char *problem = path_problem(match->path);
    if (problem != NULL)
        decode_add(decode,
                   &(struct decode_fault){
                       .code = "BadFormat", .at = value_get(map, "value"), .child = "value"},
                   "\"" TEXT_FMT "\" %s", TEXT_ARG(text_slice(match->path, 0, 100)), problem);
}

static const struct decode_shape path_shape = {
    .size = sizeof(struct kind_http_match),
    .fields = path_fields,
    .count = ARRAY_LEN(path_fields),
    .check = check_path,
};

static const struct decode_field match_fields[] = {
    {"path", DECODE_SAME, .second = offsetof(struct kind_http_match, path_place),
     .shape = &path_shape},
    {"headers", DECODE_LIST, .offset = offsetof(struct kind_http_match, headers),
     .second = offsetof(struct kind_http_match, header_count), .shape = &kind_shape_header_match,
     .max = 16, .list_key = "name"},
    {"queryParams", DECODE_LIST, .offset = offsetof(struct kind_http_match, query_params),
     .second = offsetof(struct kind_http_match, query_param_count),
     .shape = &kind_shape_query_match, .max = 16, .list_key = "name"},
    {"method", DECODE_TEXT, .offset = offsetof(struct kind_http_match, method),
     .format = &format_method},
};

static const struct decode_shape match_shape = {
    .size = sizeof(struct kind_http_match),
    .fields = match_fields,
    .count = ARRAY_LEN(match_fields),
};

static const struct decode_field timeouts_fields[] = {
    {"request", DECODE_DURATION, .offset = offsetof(struct kind_http_rule, request_timeout)},
    {"backendRequest", DECODE_DURATION,
     .offset = offsetof(struct kind_http_rule, backend_request_timeout)},
};

static void check_timeouts(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_http_rule *rule = out;
    int64_t request = rule->request_timeout.ms, backend = rule->backend_request_timeout.ms;
    if (rule->request_timeout.is_set && request > 0 && backend > request)
        decode_add(decode,
                   &(struct decode_fault){.code = "FieldConflict",
                                          .at = value_get(map, "backendRequest"),
                                          .child = "backendRequest"},
                   "backendRequest is longer than request");
}

static const struct decode_shape timeouts_shape = {
    .size = sizeof(struct kind_http_rule),
    .fields = timeouts_fields,
    .count = ARRAY_LEN(timeouts_fields),
    .check = check_timeouts,
};

static const struct decode_field retry_fields[] = {
    {"codes", DECODE_INTS, .is_set = true, .offset = offsetof(struct kind_retry, codes),
     .second = offsetof(struct kind_retry, code_count), .min = 400, .max = 599},
    {"attempts", DECODE_INT32, .offset = offsetof(struct kind_retry, attempts),
     .has = offsetof(struct kind_retry, has_attempts), .number = 1, .min = 0, .max = INT32_MAX},
    {"backoff", DECODE_DURATION, .offset = offsetof(struct kind_retry, backoff)},
};

static const struct decode_shape retry_shape = {
    .size = sizeof(struct kind_retry),
    .fields = retry_fields,
    .count = ARRAY_LEN(retry_fields),
};

static const struct decode_field rule_fields[] = {
    {"name", DECODE_TEXT, .offset = offsetof(struct kind_http_rule, name),
     .format = &format_section},
    {"matches", DECODE_LIST, .offset = offsetof(struct kind_http_rule, matches),
     .second = offsetof(struct kind_http_rule, match_count), .shape = &match_shape, .max = 64},
    {"filters", DECODE_LIST, .offset = offsetof(struct kind_http_rule, filters),
     .second = offsetof(struct kind_http_rule, filter_count), .shape = &kind_shape_http_filter,
     .max = 16},
    {"backendRefs", DECODE_LIST, .offset = offsetof(struct kind_http_rule, backends),
     .second = offsetof(struct kind_http_rule, backend_count), .shape = &kind_shape_http_backend,
     .max = 16},
    {"timeouts", DECODE_SAME, .shape = &timeouts_shape},
    {"retry", DECODE_POINTER, .offset = offsetof(struct kind_http_rule, retry),
     .shape = &retry_shape},
    {"sessionPersistence", DECODE_POINTER, .offset = offsetof(struct kind_http_rule, session),
     .shape = &kind_shape_session},
};

static void add_default_match(struct decode *decode, struct kind_http_rule *rule)
{
    rule->matches = arena_new(decode->arena, struct kind_http_match);
    rule->match_count = 1;
    decode_defaults(&match_shape, rule->matches);
}

static const struct kind_path_modifier *path_of(const struct kind_filter *filter)
{
    if (filter->redirect != NULL)
        return filter->redirect->path;
    return filter->rewrite != NULL ? filter->rewrite->path : NULL;
}

static void check_prefix(struct decode *decode, const struct kind_http_rule *rule,
                         const struct kind_filter *filters, size_t count, const char *owner)
{
    bool one_prefix = rule->match_count == 1 && rule->matches[0].path_type == KIND_MATCH_PREFIX;
    for (size_t i = 0; i < count; i++) {
        const struct kind_path_modifier *path = path_of(&filters[i]);
        if (path == NULL || path->type != KIND_PATH_REPLACE_PREFIX || one_prefix)
            continue;
        const struct value place = {.line = path->place.line, .column = path->place.column};
        decode_add(decode,
                   &(struct decode_fault){.code = "FieldConflict",
                                          .at = &place,
                                          .child = decode_child(decode, "%sfilters[%zu]", owner, i),
                                          .hint = "split the rule, or replace the full path"},
                   "ReplacePrefixMatch needs a rule with exactly one match, of type PathPrefix");
    }
}

static void check_rule(struct decode *decode, void *out, const struct value *map)
{
    struct kind_http_rule *rule = out;
    if (rule->match_count == 0)
        add_default_match(decode, rule);
    kind_check_filters(decode, map, rule->filters, rule->filter_count);
    check_prefix(decode, rule, rule->filters, rule->filter_count, "");
    for (size_t i = 0; i < rule->backend_count; i++)
        check_prefix(decode, rule, rule->backends[i].filters, rule->backends[i].filter_count,
                     decode_child(decode, "backendRefs[%zu].", i));
    for (size_t i = 0; i < rule->filter_count && rule->backend_count > 0; i++)
        if (rule->filters[i].type == KIND_FILTER_REQUEST_REDIRECT)
            decode_add(decode,
                       &(struct decode_fault){.code = "FieldConflict",
                                              .at = value_get(map, "filters")->list.items[i],
                                              .child = decode_child(decode, "filters[%zu]", i),
                                              .hint = "remove the backendRefs or the redirect"},
                       "a rule that redirects has no backendRefs");
}

static const struct decode_shape rule_shape = {
    .size = sizeof(struct kind_http_rule),
    .fields = rule_fields,
    .count = ARRAY_LEN(rule_fields),
    .check = check_rule,
};

static const struct decode_field route_fields[] = {
    {"parentRefs", DECODE_LIST, .offset = offsetof(struct kind_http_route, parents.items),
     .second = offsetof(struct kind_http_route, parents.count), .shape = &kind_shape_parent_ref,
     .max = 32},
    {"useDefaultGateways", DECODE_ENUM,
     .offset = offsetof(struct kind_http_route, parents.use_default_gateways),
     .names = kind_names_scope},
    {"hostnames", DECODE_TEXTS, .offset = offsetof(struct kind_http_route, hostnames), .max = 16,
     .format = &format_hostname},
    {"rules", DECODE_LIST, .offset = offsetof(struct kind_http_route, rules),
     .second = offsetof(struct kind_http_route, rule_count), .shape = &rule_shape, .min = 1,
     .max = 16},
};

static void check_route(struct decode *decode, void *out, const struct value *map)
{
    struct kind_http_route *route = out;
    size_t matches = 0;
    for (size_t i = 0; i < route->rule_count; i++)
        matches += route->rules[i].match_count;
    if (matches > MATCHES_MAX)
        decode_add(decode,
                   &(struct decode_fault){
                       .code = "TooMany", .at = value_get(map, "rules"), .child = "rules"},
                   "the rules have %zu matches together, at most %d are allowed", matches,
                   MATCHES_MAX);
    if (route->rule_count == 0) {
        route->rules = arena_new(decode->arena, struct kind_http_rule);
        route->rule_count = 1;
        add_default_match(decode, route->rules);
    }
    kind_check_parents(decode, map, &route->parents);
    kind_check_rule_names(decode, map);
}

const struct decode_shape kind_shape_http_route = {
    .size = sizeof(struct kind_http_route),
    .fields = route_fields,
    .count = ARRAY_LEN(route_fields),
    .check = check_route,
};
