/* References, selectors and matches: the parts that many kinds have. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/common.h"

#include "control/kind/format.h"
#include "control/kind/shapes.h"

struct text kind_pairs_get(const struct kind_pairs *pairs, const char *key)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (text_is(pairs->items[i].key, key))
            return pairs->items[i].value;
    return TEXT_NONE;
}

static const struct kind_pair *find_pair(const struct kind_pairs *pairs, struct text key)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (text_equal(pairs->items[i].key, key))
            return &pairs->items[i];
    return NULL;
}

bool kind_pairs_has(const struct kind_pairs *pairs, struct text key)
{
    return find_pair(pairs, key) != NULL;
}

static bool is_among(const struct kind_texts *texts, struct text wanted)
{
    for (size_t i = 0; i < texts->count; i++)
        if (text_equal(texts->items[i], wanted))
            return true;
    return false;
}

static bool meets(const struct kind_requirement *requirement, const struct kind_pairs *labels)
{
    const struct kind_pair *label = find_pair(labels, requirement->key);
    switch (requirement->operator) {
    case KIND_OPERATOR_IN:
        return label != NULL && is_among(&requirement->values, label->value);
    case KIND_OPERATOR_NOT_IN:
        return label == NULL || !is_among(&requirement->values, label->value);
    case KIND_OPERATOR_EXISTS:
        return label != NULL;
    case KIND_OPERATOR_DOES_NOT_EXIST:
        return label == NULL;
    case KIND_OPERATOR_UNKNOWN:
        break;
    }
    return false;
}

bool kind_selector_matches(const struct kind_selector *selector, const struct kind_pairs *labels)
{
    if (selector == NULL)
        return true;
    for (size_t i = 0; i < selector->match_labels.count; i++) {
        const struct kind_pair *wanted = &selector->match_labels.items[i];
        const struct kind_pair *label = find_pair(labels, wanted->key);
        if (label == NULL || !text_equal(label->value, wanted->value))
            return false;
    }
    for (size_t i = 0; i < selector->expression_count; i++)
        if (!meets(&selector->expressions[i], labels))
            return false;
    return true;
}

const struct decode_name kind_names_from[] = {
    {"All", KIND_FROM_ALL},
    {"Same", KIND_FROM_SAME},
    {"Selector", KIND_FROM_SELECTOR},
    {"None", KIND_FROM_NONE},
    {NULL, 0},
};

const struct decode_name kind_names_scope[] = {
    {"All", KIND_DEFAULT_SCOPE_ALL},
    {"None", KIND_DEFAULT_SCOPE_NONE},
    {NULL, 0},
};

static const struct decode_field parent_ref_fields[] = {
    {"group", DECODE_TEXT, .offset = offsetof(struct kind_parent_ref, group),
     .otherwise = KIND_GROUP_GATEWAY, .format = &format_group},
    {"kind", DECODE_TEXT, .offset = offsetof(struct kind_parent_ref, kind), .otherwise = "Gateway",
     .format = &format_kind},
    {"namespace", DECODE_TEXT, .offset = offsetof(struct kind_parent_ref, namespace),
     .format = &format_label},
    {"name", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_parent_ref, name),
     .format = &format_object_name},
    {"sectionName", DECODE_TEXT, .offset = offsetof(struct kind_parent_ref, section_name),
     .format = &format_section},
    {"port", DECODE_INT32, .offset = offsetof(struct kind_parent_ref, port), .min = 1,
     .max = 65535},
};

const struct decode_shape kind_shape_parent_ref = {
    .size = sizeof(struct kind_parent_ref),
    .fields = parent_ref_fields,
    .count = ARRAY_LEN(parent_ref_fields),
};

/* A ListenerSet's parent: the first four of these. */
const struct decode_shape kind_shape_gateway_ref = {
    .size = sizeof(struct kind_parent_ref),
    .fields = parent_ref_fields,
    .count = 4,
};

/* The first five are a BackendObjectReference, all a BackendRef. */
static const struct decode_field backend_fields[] = {
    {"group", DECODE_TEXT, .offset = offsetof(struct kind_backend_ref, group), .otherwise = "",
     .format = &format_group},
    {"kind", DECODE_TEXT, .offset = offsetof(struct kind_backend_ref, kind), .otherwise = "Service",
     .format = &format_kind},
    {"namespace", DECODE_TEXT, .offset = offsetof(struct kind_backend_ref, namespace),
     .format = &format_label},
    {"name", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_backend_ref, name),
     .format = &format_object_name},
    {"port", DECODE_INT32, .offset = offsetof(struct kind_backend_ref, port), .min = 1,
     .max = 65535},
    {"weight", DECODE_INT32, .offset = offsetof(struct kind_backend_ref, weight), .number = 1,
     .min = 0, .max = 1000000},
};

static void init_backend(void *out)
{
    ((struct kind_backend_ref *)out)->weight = 1;
}

void kind_check_backend(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_backend_ref *backend = out;
    const struct value *port = value_get(map, "port");
    bool has_port = port != NULL && port->kind != VALUE_NULL;
    if (backend->group.len == 0 && text_is(backend->kind, "Service") && !has_port)
        decode_add(decode,
                   &(struct decode_fault){.code = "MissingField", .at = map, .child = "port"},
                   "port is required when a Service is named");
    if (text_is(backend->group, KIND_GROUP_EXPERIMENTAL) && text_is(backend->kind, "XBackend") &&
        has_port)
        decode_add(decode,
                   &(struct decode_fault){.code = "FieldConflict", .at = port, .child = "port"},
                   "an XBackend has its port itself");
}

const struct decode_shape kind_shape_backend = {
    .size = sizeof(struct kind_backend_ref),
    .fields = backend_fields,
    .count = 5,
    .init = init_backend,
    .check = kind_check_backend,
};

const struct decode_shape kind_shape_backend_ref = {
    .size = sizeof(struct kind_backend_ref),
    .fields = backend_fields,
    .count = ARRAY_LEN(backend_fields),
    .check = kind_check_backend,
};

static const struct decode_field secret_ref_fields[] = {
    {"group", DECODE_TEXT, .offset = offsetof(struct kind_ref, group), .otherwise = "",
     .format = &format_group},
    {"kind", DECODE_TEXT, .offset = offsetof(struct kind_ref, kind), .otherwise = "Secret",
     .format = &format_kind},
    {"name", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_ref, name),
     .format = &format_object_name},
    {"namespace", DECODE_TEXT, .offset = offsetof(struct kind_ref, namespace),
     .format = &format_label},
};

const struct decode_shape kind_shape_secret_ref = {
    .size = sizeof(struct kind_ref),
    .fields = secret_ref_fields,
    .count = ARRAY_LEN(secret_ref_fields),
};

static const struct decode_field object_ref_fields[] = {
    {"group", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_ref, group),
     .format = &format_group},
    {"kind", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_ref, kind),
     .format = &format_kind},
    {"name", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_ref, name),
     .format = &format_object_name},
    {"namespace", DECODE_TEXT, .offset = offsetof(struct kind_ref, namespace),
     .format = &format_label},
};

const struct decode_shape kind_shape_object_ref = {
    .size = sizeof(struct kind_ref),
    .fields = object_ref_fields,
    .count = ARRAY_LEN(object_ref_fields),
};

const struct decode_shape kind_shape_local_ref = {
    .size = sizeof(struct kind_ref),
    .fields = object_ref_fields,
    .count = ARRAY_LEN(object_ref_fields) - 1,
};

static const struct decode_field target_fields[] = {
    {"group", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_target_ref, group),
     .format = &format_group},
    {"kind", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_target_ref, kind),
     .format = &format_kind},
    {"name", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_target_ref, name),
     .format = &format_object_name},
    {"sectionName", DECODE_TEXT, .offset = offsetof(struct kind_target_ref, section_name),
     .format = &format_section},
};

const struct decode_shape kind_shape_target = {
    .size = sizeof(struct kind_target_ref),
    .fields = target_fields,
    .count = ARRAY_LEN(target_fields),
};

/* Without the section. */
const struct decode_shape kind_shape_whole_target = {
    .size = sizeof(struct kind_target_ref),
    .fields = target_fields,
    .count = ARRAY_LEN(target_fields) - 1,
};

static const struct decode_name operator_names[] = {
    {"In", KIND_OPERATOR_IN},
    {"NotIn", KIND_OPERATOR_NOT_IN},
    {"Exists", KIND_OPERATOR_EXISTS},
    {"DoesNotExist", KIND_OPERATOR_DOES_NOT_EXIST},
    {NULL, 0},
};

static const struct decode_field requirement_fields[] = {
    {"key", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_requirement, key),
     .format = &format_label_key},
    {"operator", DECODE_ENUM, .is_required = true,
     .offset = offsetof(struct kind_requirement, operator),
     .second = offsetof(struct kind_requirement, operator_text), .names = operator_names},
    {"values", DECODE_TEXTS, .offset = offsetof(struct kind_requirement, values)},
};

static void check_requirement(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_requirement *requirement = out;
    bool wants_values =
        requirement->operator== KIND_OPERATOR_IN || requirement->operator== KIND_OPERATOR_NOT_IN;
    if (requirement->operator== KIND_OPERATOR_UNKNOWN ||
        wants_values ==(requirement->values.count > 0))
        return;
    decode_add(
        decode, &(struct decode_fault){.code = "FieldConflict", .at = map, .child = "values"},
        wants_values ? "In and NotIn need values" : "Exists and DoesNotExist take no values");
}

static const struct decode_shape requirement_shape = {
    .size = sizeof(struct kind_requirement),
    .fields = requirement_fields,
    .count = ARRAY_LEN(requirement_fields),
    .check = check_requirement,
};

static const struct decode_field selector_fields[] = {
    {"matchLabels", DECODE_PAIRS, .offset = offsetof(struct kind_selector, match_labels),
     .format = &format_label_key},
    {"matchExpressions", DECODE_LIST, .offset = offsetof(struct kind_selector, expressions),
     .second = offsetof(struct kind_selector, expression_count), .shape = &requirement_shape},
};

const struct decode_shape kind_shape_selector = {
    .size = sizeof(struct kind_selector),
    .fields = selector_fields,
    .count = ARRAY_LEN(selector_fields),
};

static const struct decode_name match_names[] = {
    {"Exact", KIND_MATCH_EXACT},
    {"RegularExpression", KIND_MATCH_REGEX},
    {NULL, 0},
};

/* Headers of HTTPRoute, headers of GRPCRoute, query parameters: they differ in the value. */
static const struct decode_field header_fields[] = {
    {"type", DECODE_ENUM, .offset = offsetof(struct kind_name_match, type),
     .second = offsetof(struct kind_name_match, type_text), .names = match_names,
     .otherwise = "Exact"},
    {"name", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_name_match, name),
     .format = &format_header_name},
    {"value", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_name_match, value),
     .format = &format_header_value},
};

const struct decode_shape kind_shape_header_match = {
    .size = sizeof(struct kind_name_match),
    .fields = header_fields,
    .count = ARRAY_LEN(header_fields),
};

static const struct decode_field grpc_header_fields[] = {
    {"type", DECODE_ENUM, .offset = offsetof(struct kind_name_match, type),
     .second = offsetof(struct kind_name_match, type_text), .names = match_names,
     .otherwise = "Exact"},
    {"name", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_name_match, name),
     .format = &format_header_name},
    {"value", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_name_match, value),
     .format = &format_match_value},
};

const struct decode_shape kind_shape_grpc_header_match = {
    .size = sizeof(struct kind_name_match),
    .fields = grpc_header_fields,
    .count = ARRAY_LEN(grpc_header_fields),
};

static const struct decode_field query_fields[] = {
    {"type", DECODE_ENUM, .offset = offsetof(struct kind_name_match, type),
     .second = offsetof(struct kind_name_match, type_text), .names = match_names,
     .otherwise = "Exact"},
    {"name", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_name_match, name),
     .format = &format_header_name},
    {"value", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_name_match, value),
     .format = &format_query_value},
};

const struct decode_shape kind_shape_query_match = {
    .size = sizeof(struct kind_name_match),
    .fields = query_fields,
    .count = ARRAY_LEN(query_fields),
};
