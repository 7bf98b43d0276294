/* GRPCRoute. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/grpc_route.h"

#include "control/kind/format.h"
#include "control/kind/shapes.h"

#define MATCHES_MAX 128 /* of all rules together, as the CRD has it */

static const struct decode_name method_types[] = {
    {"Exact", KIND_MATCH_EXACT},
    {"RegularExpression", KIND_MATCH_REGEX},
    {NULL, 0},
};

static const struct decode_field method_fields[] = {
    {"type", DECODE_ENUM, .offset = offsetof(struct kind_grpc_match, method_type),
     .second = offsetof(struct kind_grpc_match, method_type_text), .names = method_types,
     .otherwise = "Exact"},
    {"service", DECODE_TEXT, .offset = offsetof(struct kind_grpc_match, service),
     .format = &format_grpc_name},
    {"method", DECODE_TEXT, .offset = offsetof(struct kind_grpc_match, method),
     .format = &format_grpc_name},
};

static void check_name(struct decode *decode, const struct value *map, const char *name,
                       bool (*matches)(struct text))
{
    const struct value *value = value_get(map, name);
    if (value == NULL || value->kind != VALUE_STRING || matches(value->string))
        return;
    decode_add(decode, &(struct decode_fault){.code = "BadFormat", .at = value, .child = name},
               "\"" TEXT_FMT "\" is no gRPC %s name", TEXT_ARG(value->string), name);
}

static void check_method(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_grpc_match *match = out;
    if (value_get(map, "service") == NULL && value_get(map, "method") == NULL)
        decode_add(decode, &(struct decode_fault){.code = "MissingField", .at = map},
                   "one or both of service and method are required");
    if (match->method_type != KIND_MATCH_EXACT)
        return;
    check_name(decode, map, "service", format_is_grpc_service);
    check_name(decode, map, "method", format_is_grpc_method);
}

static const struct decode_shape method_shape = {
    .size = sizeof(struct kind_grpc_match),
    .fields = method_fields,
    .count = ARRAY_LEN(method_fields),
    .check = check_method,
};

static const struct decode_field match_fields[] = {
    {"method", DECODE_SAME, .has = offsetof(struct kind_grpc_match, has_method),
     .shape = &method_shape},
    {"headers", DECODE_LIST, .offset = offsetof(struct kind_grpc_match, headers),
     .second = offsetof(struct kind_grpc_match, header_count),
     .shape = &kind_shape_grpc_header_match, .max = 16, .list_key = "name"},
};

static const struct decode_shape match_shape = {
    .size = sizeof(struct kind_grpc_match),
    .fields = match_fields,
    .count = ARRAY_LEN(match_fields),
};

static const struct decode_field rule_fields[] = {
    {"name", DECODE_TEXT, .offset = offsetof(struct kind_grpc_rule, name),
     .format = &format_section},
    {"matches", DECODE_LIST, .offset = offsetof(struct kind_grpc_rule, matches),
     .second = offsetof(struct kind_grpc_rule, match_count), .shape = &match_shape, .max = 64},
    {"filters", DECODE_LIST, .offset = offsetof(struct kind_grpc_rule, filters),
     .second = offsetof(struct kind_grpc_rule, filter_count), .shape = &kind_shape_grpc_filter,
     .max = 16},
    {"backendRefs", DECODE_LIST, .offset = offsetof(struct kind_grpc_rule, backends),
     .second = offsetof(struct kind_grpc_rule, backend_count), .shape = &kind_shape_grpc_backend,
     .max = 16},
    {"sessionPersistence", DECODE_POINTER, .offset = offsetof(struct kind_grpc_rule, session),
     .shape = &kind_shape_session},
};

static void check_rule(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_grpc_rule *rule = out;
    kind_check_filters(decode, map, rule->filters, rule->filter_count);
}

static const struct decode_shape rule_shape = {
    .size = sizeof(struct kind_grpc_rule),
    .fields = rule_fields,
    .count = ARRAY_LEN(rule_fields),
    .check = check_rule,
};

static const struct decode_field route_fields[] = {
    {"parentRefs", DECODE_LIST, .offset = offsetof(struct kind_grpc_route, parents.items),
     .second = offsetof(struct kind_grpc_route, parents.count), .shape = &kind_shape_parent_ref,
     .max = 32},
    {"useDefaultGateways", DECODE_ENUM,
     .offset = offsetof(struct kind_grpc_route, parents.use_default_gateways),
     .names = kind_names_scope},
    {"hostnames", DECODE_TEXTS, .offset = offsetof(struct kind_grpc_route, hostnames), .max = 16,
     .format = &format_hostname},
    {"rules", DECODE_LIST, .offset = offsetof(struct kind_grpc_route, rules),
     .second = offsetof(struct kind_grpc_route, rule_count), .shape = &rule_shape, .max = 16},
};

static void check_route(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_grpc_route *route = out;
    size_t matches = 0;
    for (size_t i = 0; i < route->rule_count; i++)
        matches += route->rules[i].match_count;
    if (matches > MATCHES_MAX)
        decode_add(decode,
                   &(struct decode_fault){
                       .code = "TooMany", .at = value_get(map, "rules"), .child = "rules"},
                   "the rules have %zu matches together, at most %d are allowed", matches,
                   MATCHES_MAX);
    kind_check_parents(decode, map, &route->parents);
    kind_check_rule_names(decode, map);
}

const struct decode_shape kind_shape_grpc_route = {
    .size = sizeof(struct kind_grpc_route),
    .fields = route_fields,
    .count = ARRAY_LEN(route_fields),
    .check = check_route,
};
