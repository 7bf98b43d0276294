/* Filters of HTTPRoute, GRPCRoute and listeners: one table each over the same struct. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/filter.h"

#include "control/kind/format.h"
#include "control/kind/shapes.h"

static const struct decode_field header_fields[] = {
    {"name", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_header, name),
     .format = &format_header_name},
    {"value", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_header, value),
     .format = &format_header_value},
};

static const struct decode_shape header_shape = {
    .size = sizeof(struct kind_header),
    .fields = header_fields,
    .count = ARRAY_LEN(header_fields),
};

static const struct decode_field modifier_fields[] = {
    {"set", DECODE_LIST, .offset = offsetof(struct kind_header_modifier, set),
     .second = offsetof(struct kind_header_modifier, set_count), .shape = &header_shape, .max = 16,
     .list_key = "name"},
    {"add", DECODE_LIST, .offset = offsetof(struct kind_header_modifier, add),
     .second = offsetof(struct kind_header_modifier, add_count), .shape = &header_shape, .max = 16,
     .list_key = "name"},
    {"remove", DECODE_TEXTS, .is_set = true,
     .offset = offsetof(struct kind_header_modifier, remove), .max = 16},
};

static const struct decode_shape modifier_shape = {
    .size = sizeof(struct kind_header_modifier),
    .fields = modifier_fields,
    .count = ARRAY_LEN(modifier_fields),
};

static const struct decode_field fraction_fields[] = {
    {"numerator", DECODE_INT32, .is_required = true,
     .offset = offsetof(struct kind_fraction, numerator), .min = 0, .max = INT32_MAX},
    {"denominator", DECODE_INT32, .offset = offsetof(struct kind_fraction, denominator),
     .number = 100, .min = 1},
};

static void check_fraction(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_fraction *fraction = out;
    if (fraction->numerator > fraction->denominator)
        decode_add(decode,
                   &(struct decode_fault){.code = "OutOfRange",
                                          .at = value_get(map, "numerator"),
                                          .child = "numerator"},
                   "%d of %d is more than all", fraction->numerator, fraction->denominator);
}

static const struct decode_shape fraction_shape = {
    .size = sizeof(struct kind_fraction),
    .fields = fraction_fields,
    .count = ARRAY_LEN(fraction_fields),
    .check = check_fraction,
};

static const struct decode_field mirror_fields[] = {
    {"backendRef", DECODE_STRUCT, .is_required = true,
     .offset = offsetof(struct kind_mirror, backend), .shape = &kind_shape_backend},
    {"percent", DECODE_INT32, .offset = offsetof(struct kind_mirror, percent),
     .has = offsetof(struct kind_mirror, has_percent), .min = 0, .max = 100},
    {"fraction", DECODE_POINTER, .offset = offsetof(struct kind_mirror, fraction),
     .shape = &fraction_shape},
};

static void check_mirror(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_mirror *mirror = out;
    if (mirror->has_percent && mirror->fraction != NULL)
        decode_add(decode,
                   &(struct decode_fault){.code = "FieldConflict",
                                          .at = value_get(map, "fraction"),
                                          .child = "fraction"},
                   "only one of percent and fraction may be set");
}

static const struct decode_shape mirror_shape = {
    .size = sizeof(struct kind_mirror),
    .fields = mirror_fields,
    .count = ARRAY_LEN(mirror_fields),
    .check = check_mirror,
};

static const struct decode_name path_types[] = {
    {"ReplaceFullPath", KIND_PATH_REPLACE_FULL},
    {"ReplacePrefixMatch", KIND_PATH_REPLACE_PREFIX},
    {NULL, 0},
};

static const struct decode_field path_fields[] = {
    {"type", DECODE_ENUM, .is_required = true, .offset = offsetof(struct kind_path_modifier, type),
     .second = offsetof(struct kind_path_modifier, type_text), .names = path_types},
    {"replaceFullPath", DECODE_TEXT, .offset = offsetof(struct kind_path_modifier, full),
     .has = offsetof(struct kind_path_modifier, has_full), .format = &format_path},
    {"replacePrefixMatch", DECODE_TEXT, .offset = offsetof(struct kind_path_modifier, prefix),
     .has = offsetof(struct kind_path_modifier, has_prefix), .format = &format_path},
};

/* Members of a union: `name` is set exactly when the discriminator says so. */
static void check_member(struct decode *decode, const struct value *map, const char *name,
                         bool is_chosen, struct text type)
{
    const struct value *member = value_get(map, name);
    bool is_set = member != NULL && member->kind != VALUE_NULL;
    if (is_set == is_chosen || type.len == 0)
        return;
    if (is_set)
        decode_add(decode,
                   &(struct decode_fault){.code = "FieldConflict", .at = member, .child = name},
                   "%s does not go with type " TEXT_FMT, name, TEXT_ARG(type));
    else
        decode_add(decode, &(struct decode_fault){.code = "MissingField", .at = map, .child = name},
                   "%s is required when type is " TEXT_FMT, name, TEXT_ARG(type));
}

static void check_path(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_path_modifier *path = out;
    check_member(decode, map, "replaceFullPath", path->type == KIND_PATH_REPLACE_FULL,
                 path->type_text);
    check_member(decode, map, "replacePrefixMatch", path->type == KIND_PATH_REPLACE_PREFIX,
                 path->type_text);
}

static const struct decode_shape path_shape = {
    .size = sizeof(struct kind_path_modifier),
    .fields = path_fields,
    .count = ARRAY_LEN(path_fields),
    .check = check_path,
};

static const struct decode_field redirect_fields[] = {
    {"scheme", DECODE_TEXT, .offset = offsetof(struct kind_redirect, scheme)},
    {"hostname", DECODE_TEXT, .offset = offsetof(struct kind_redirect, hostname),
     .format = &format_precise_hostname},
    {"path", DECODE_POINTER, .offset = offsetof(struct kind_redirect, path), .shape = &path_shape},
    {"port", DECODE_INT32, .offset = offsetof(struct kind_redirect, port), .min = 1, .max = 65535},
    {"statusCode", DECODE_INT32, .offset = offsetof(struct kind_redirect, status_code),
     .number = 302},
};

static void check_redirect(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_redirect *redirect = out;
    int32_t code = redirect->status_code;
    if (redirect->scheme.len > 0 && !text_is(redirect->scheme, "http") &&
        !text_is(redirect->scheme, "https"))
        decode_add(decode,
                   &(struct decode_fault){.code = "UnknownValue",
                                          .at = value_get(map, "scheme"),
                                          .child = "scheme",
                                          .hint = "one of http, https"},
                   "\"" TEXT_FMT "\" is not a possible value", TEXT_ARG(redirect->scheme));
    if (code != 301 && code != 302 && code != 303 && code != 307 && code != 308)
        decode_add(decode,
                   &(struct decode_fault){.code = "UnknownValue",
                                          .at = value_get(map, "statusCode"),
                                          .child = "statusCode",
                                          .hint = "one of 301, 302, 303, 307, 308"},
                   "%d is not a possible value", code);
}

static const struct decode_shape redirect_shape = {
    .size = sizeof(struct kind_redirect),
    .fields = redirect_fields,
    .count = ARRAY_LEN(redirect_fields),
    .check = check_redirect,
};

static const struct decode_field rewrite_fields[] = {
    {"hostname", DECODE_TEXT, .offset = offsetof(struct kind_url_rewrite, hostname),
     .format = &format_precise_hostname},
    {"path", DECODE_POINTER, .offset = offsetof(struct kind_url_rewrite, path),
     .shape = &path_shape},
};

static const struct decode_shape rewrite_shape = {
    .size = sizeof(struct kind_url_rewrite),
    .fields = rewrite_fields,
    .count = ARRAY_LEN(rewrite_fields),
};

static const struct decode_field cors_fields[] = {
    {"allowOrigins", DECODE_TEXTS, .is_set = true,
     .offset = offsetof(struct kind_cors, allow_origins), .max = 64, .format = &format_origin},
    {"allowCredentials", DECODE_BOOL, .offset = offsetof(struct kind_cors, allow_credentials)},
    {"allowMethods", DECODE_TEXTS, .is_set = true,
     .offset = offsetof(struct kind_cors, allow_methods), .max = 9, .format = &format_cors_method},
    {"allowHeaders", DECODE_TEXTS, .is_set = true,
     .offset = offsetof(struct kind_cors, allow_headers), .max = 64, .format = &format_header_name},
    {"exposeHeaders", DECODE_TEXTS, .is_set = true,
     .offset = offsetof(struct kind_cors, expose_headers), .max = 64,
     .format = &format_header_name},
    {"maxAge", DECODE_INT32, .offset = offsetof(struct kind_cors, max_age), .number = 5, .min = 1},
};

static void check_star(struct decode *decode, const struct value *map, const char *name,
                       const struct kind_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        if (text_is(texts->items[i], "*") && texts->count > 1)
            decode_add(decode,
                       &(struct decode_fault){.code = "FieldConflict",
                                              .at = value_get(map, name)->list.items[i],
                                              .child = decode_child(decode, "%s[%zu]", name, i)},
                       "\"*\" must stand alone");
}

static void check_cors(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_cors *cors = out;
    check_star(decode, map, "allowOrigins", &cors->allow_origins);
    check_star(decode, map, "allowMethods", &cors->allow_methods);
    check_star(decode, map, "allowHeaders", &cors->allow_headers);
}

static const struct decode_shape cors_shape = {
    .size = sizeof(struct kind_cors),
    .fields = cors_fields,
    .count = ARRAY_LEN(cors_fields),
    .check = check_cors,
};

static const struct decode_field auth_grpc_fields[] = {
    {"allowedHeaders", DECODE_TEXTS, .is_set = true,
     .offset = offsetof(struct kind_auth_grpc, allowed_headers), .max = 64},
};

static const struct decode_shape auth_grpc_shape = {
    .size = sizeof(struct kind_auth_grpc),
    .fields = auth_grpc_fields,
    .count = ARRAY_LEN(auth_grpc_fields),
};

static const struct decode_field auth_http_fields[] = {
    {"path", DECODE_TEXT, .offset = offsetof(struct kind_auth_http, path),
     .format = &format_clean_path},
    {"allowedHeaders", DECODE_TEXTS, .is_set = true,
     .offset = offsetof(struct kind_auth_http, allowed_headers), .max = 64},
    {"allowedResponseHeaders", DECODE_TEXTS, .is_set = true,
     .offset = offsetof(struct kind_auth_http, allowed_response_headers), .max = 64},
};

static const struct decode_shape auth_http_shape = {
    .size = sizeof(struct kind_auth_http),
    .fields = auth_http_fields,
    .count = ARRAY_LEN(auth_http_fields),
};

static const struct decode_field forward_body_fields[] = {
    {"maxSize", DECODE_INT32, .offset = offsetof(struct kind_external_auth, forward_body_bytes_max),
     .min = 0, .max = INT32_MAX},
};

static const struct decode_shape forward_body_shape = {
    .size = sizeof(struct kind_external_auth),
    .fields = forward_body_fields,
    .count = ARRAY_LEN(forward_body_fields),
};

static const struct decode_name auth_protocols[] = {
    {"HTTP", KIND_AUTH_HTTP},
    {"GRPC", KIND_AUTH_GRPC},
    {NULL, 0},
};

static const struct decode_field external_auth_fields[] = {
    {"protocol", DECODE_ENUM, .is_required = true,
     .offset = offsetof(struct kind_external_auth, protocol),
     .second = offsetof(struct kind_external_auth, protocol_text), .names = auth_protocols},
    {"backendRef", DECODE_STRUCT, .is_required = true,
     .offset = offsetof(struct kind_external_auth, backend), .shape = &kind_shape_backend},
    {"grpc", DECODE_POINTER, .offset = offsetof(struct kind_external_auth, grpc),
     .shape = &auth_grpc_shape},
    {"http", DECODE_POINTER, .offset = offsetof(struct kind_external_auth, http),
     .shape = &auth_http_shape},
    {"forwardBody", DECODE_SAME, .has = offsetof(struct kind_external_auth, has_forward_body),
     .shape = &forward_body_shape},
};

static void check_external_auth(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_external_auth *auth = out;
    check_member(decode, map, "grpc", auth->protocol == KIND_AUTH_GRPC, auth->protocol_text);
    check_member(decode, map, "http", auth->protocol == KIND_AUTH_HTTP, auth->protocol_text);
}

static const struct decode_shape external_auth_shape = {
    .size = sizeof(struct kind_external_auth),
    .fields = external_auth_fields,
    .count = ARRAY_LEN(external_auth_fields),
    .check = check_external_auth,
};

/* In the order of enum kind_filter_type; GRPCRoute and listeners have some of them only. */
static const struct decode_name http_types[] = {
    {"RequestHeaderModifier", KIND_FILTER_REQUEST_HEADERS},
    {"ResponseHeaderModifier", KIND_FILTER_RESPONSE_HEADERS},
    {"RequestMirror", KIND_FILTER_REQUEST_MIRROR},
    {"RequestRedirect", KIND_FILTER_REQUEST_REDIRECT},
    {"URLRewrite", KIND_FILTER_URL_REWRITE},
    {"CORS", KIND_FILTER_CORS},
    {"ExternalAuth", KIND_FILTER_EXTERNAL_AUTH},
    {"ExtensionRef", KIND_FILTER_EXTENSION_REF},
    {NULL, 0},
};

static const struct decode_name grpc_types[] = {
    {"RequestHeaderModifier", KIND_FILTER_REQUEST_HEADERS},
    {"ResponseHeaderModifier", KIND_FILTER_RESPONSE_HEADERS},
    {"RequestMirror", KIND_FILTER_REQUEST_MIRROR},
    {"ExtensionRef", KIND_FILTER_EXTENSION_REF},
    {NULL, 0},
};

static const struct decode_name listener_types[] = {
    {"ExternalAuth", KIND_FILTER_EXTERNAL_AUTH},
    {"ExtensionRef", KIND_FILTER_EXTENSION_REF},
    {NULL, 0},
};

/* The member that goes with each type. */
static const struct decode_name members[] = {
    {"requestHeaderModifier", KIND_FILTER_REQUEST_HEADERS},
    {"responseHeaderModifier", KIND_FILTER_RESPONSE_HEADERS},
    {"requestMirror", KIND_FILTER_REQUEST_MIRROR},
    {"requestRedirect", KIND_FILTER_REQUEST_REDIRECT},
    {"urlRewrite", KIND_FILTER_URL_REWRITE},
    {"cors", KIND_FILTER_CORS},
    {"externalAuth", KIND_FILTER_EXTERNAL_AUTH},
    {"extensionRef", KIND_FILTER_EXTENSION_REF},
};

static void check_filter(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_filter *filter = out;
    if (filter->type == KIND_FILTER_UNKNOWN)
        return;
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        check_member(decode, map, members[i].name, members[i].value == (int)filter->type,
                     filter->type_text);
}

static const struct decode_field http_filter_fields[] = {
    {"type", DECODE_ENUM, .is_required = true, .offset = offsetof(struct kind_filter, type),
     .second = offsetof(struct kind_filter, type_text), .names = http_types},
    {"requestHeaderModifier", DECODE_POINTER,
     .offset = offsetof(struct kind_filter, request_headers), .shape = &modifier_shape},
    {"responseHeaderModifier", DECODE_POINTER,
     .offset = offsetof(struct kind_filter, response_headers), .shape = &modifier_shape},
    {"requestMirror", DECODE_POINTER, .offset = offsetof(struct kind_filter, mirror),
     .shape = &mirror_shape},
    {"requestRedirect", DECODE_POINTER, .offset = offsetof(struct kind_filter, redirect),
     .shape = &redirect_shape},
    {"urlRewrite", DECODE_POINTER, .offset = offsetof(struct kind_filter, rewrite),
     .shape = &rewrite_shape},
    {"cors", DECODE_POINTER, .offset = offsetof(struct kind_filter, cors), .shape = &cors_shape},
    {"externalAuth", DECODE_POINTER, .offset = offsetof(struct kind_filter, external_auth),
     .shape = &external_auth_shape},
    {"extensionRef", DECODE_POINTER, .offset = offsetof(struct kind_filter, extension_ref),
     .shape = &kind_shape_local_ref},
};

const struct decode_shape kind_shape_http_filter = {
    .size = sizeof(struct kind_filter),
    .fields = http_filter_fields,
    .count = ARRAY_LEN(http_filter_fields),
    .check = check_filter,
};

static const struct decode_field grpc_filter_fields[] = {
    {"type", DECODE_ENUM, .is_required = true, .offset = offsetof(struct kind_filter, type),
     .second = offsetof(struct kind_filter, type_text), .names = grpc_types},
    {"requestHeaderModifier", DECODE_POINTER,
     .offset = offsetof(struct kind_filter, request_headers), .shape = &modifier_shape},
    {"responseHeaderModifier", DECODE_POINTER,
     .offset = offsetof(struct kind_filter, response_headers), .shape = &modifier_shape},
    {"requestMirror", DECODE_POINTER, .offset = offsetof(struct kind_filter, mirror),
     .shape = &mirror_shape},
    {"extensionRef", DECODE_POINTER, .offset = offsetof(struct kind_filter, extension_ref),
     .shape = &kind_shape_local_ref},
};

const struct decode_shape kind_shape_grpc_filter = {
    .size = sizeof(struct kind_filter),
    .fields = grpc_filter_fields,
    .count = ARRAY_LEN(grpc_filter_fields),
    .check = check_filter,
};

static const struct decode_field listener_filter_fields[] = {
    {"type", DECODE_ENUM, .is_required = true, .offset = offsetof(struct kind_filter, type),
     .second = offsetof(struct kind_filter, type_text), .names = listener_types},
    {"externalAuth", DECODE_POINTER, .offset = offsetof(struct kind_filter, external_auth),
     .shape = &external_auth_shape},
    {"extensionRef", DECODE_POINTER, .offset = offsetof(struct kind_filter, extension_ref),
     .shape = &kind_shape_local_ref},
};

const struct decode_shape kind_shape_listener_filter = {
    .size = sizeof(struct kind_filter),
    .fields = listener_filter_fields,
    .count = ARRAY_LEN(listener_filter_fields),
    .check = check_filter,
};

void kind_check_filters(struct decode *decode, const struct value *map,
                        const struct kind_filter *filters, size_t count)
{
    const struct value *list = value_get(map, "filters");
    size_t seen[KIND_FILTER_EXTENSION_REF + 1] = {0}; /* index + 1 of the first of a type */
    for (size_t i = 0; i < count; i++) {
        enum kind_filter_type type = filters[i].type;
        struct decode_fault fault = {.at = list->list.items[i],
                                     .child = decode_child(decode, "filters[%zu]", i)};
        bool repeats = type != KIND_FILTER_UNKNOWN && type != KIND_FILTER_REQUEST_MIRROR &&
                       type != KIND_FILTER_EXTENSION_REF && type != KIND_FILTER_EXTERNAL_AUTH;
        if (repeats && seen[type] > 0) {
            fault.code = "Duplicate";
            decode_add(decode, &fault, TEXT_FMT " stands in filters[%zu] already",
                       TEXT_ARG(filters[i].type_text), seen[type] - 1);
        }
        seen[type] = seen[type] > 0 ? seen[type] : i + 1;
        size_t redirect = seen[KIND_FILTER_REQUEST_REDIRECT];
        size_t rewrite = seen[KIND_FILTER_URL_REWRITE];
        if (redirect > 0 && rewrite > 0 && MAX(redirect, rewrite) == i + 1) {
            fault.code = "FieldConflict";
            decode_add(decode, &fault, "RequestRedirect and URLRewrite exclude each other");
        }
    }
}
