/* What the rules of all routes have in common: parents, rule names; and the three simple kinds. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/format.h"
#include "control/kind/l4_route.h"
#include "control/kind/shapes.h"

/* Two references to one parent must say which part of it, and different parts. */
void kind_check_parents(struct decode *decode, const struct value *spec,
                        const struct kind_parents *parents)
{
    for (size_t i = 1; i < parents->count; i++) {
        const struct kind_parent_ref *one = &parents->items[i];
        for (size_t k = 0; k < i; k++) {
            const struct kind_parent_ref *other = &parents->items[k];
            if (!text_equal(one->group, other->group) || !text_equal(one->kind, other->kind) ||
                !text_equal(one->name, other->name) ||
                !text_equal(one->namespace, other->namespace))
                continue;
            bool same_part =
                text_equal(one->section_name, other->section_name) && one->port == other->port;
            bool said_alike = (one->section_name.len == 0) == (other->section_name.len == 0) &&
                              (one->port == 0) == (other->port == 0);
            if (!same_part && said_alike)
                continue;
            /* The standard channel's schema looks at no port. */
            bool is_served = decode->mode == KIND_LENIENT && one->section_name.len > 0 &&
                             other->section_name.len > 0 &&
                             !text_equal(one->section_name, other->section_name);
            decode_add(decode,
                       &(struct decode_fault){.code = "Duplicate",
                                              .at = value_get(spec, "parentRefs")->list.items[i],
                                              .child = decode_child(decode, "parentRefs[%zu]", i),
                                              .hint = "give each a different sectionName or port",
                                              .level = is_served ? FAULT_WARNING : FAULT_ERROR},
                       "parentRefs[%zu] names the same parent", k);
            break;
        }
    }
}

void kind_check_rule_names(struct decode *decode, const struct value *spec)
{
    const struct value *rules = value_get(spec, "rules");
    if (rules == NULL || rules->kind != VALUE_LIST)
        return;
    for (size_t i = 1; i < MIN(rules->list.count, (size_t)16); i++) {
        const struct value *name = value_get(rules->list.items[i], "name");
        struct text text = value_string(name);
        for (size_t k = 0; k < i && text.len > 0; k++) {
            if (!text_equal(text, value_string(value_get(rules->list.items[k], "name"))))
                continue;
            decode_add(decode,
                       &(struct decode_fault){.code = "Duplicate",
                                              .at = name,
                                              .child = decode_child(decode, "rules[%zu].name", i)},
                       "\"" TEXT_FMT "\" is the name of rules[%zu] already", TEXT_ARG(text), k);
            break;
        }
    }
}

static const struct decode_field rule_fields[] = {
    {"name", DECODE_TEXT, .offset = offsetof(struct kind_l4_rule, name), .format = &format_section},
    {"backendRefs", DECODE_LIST, .is_required = true,
     .offset = offsetof(struct kind_l4_rule, backends),
     .second = offsetof(struct kind_l4_rule, backend_count), .shape = &kind_shape_backend_ref,
     .min = 1, .max = 16},
};

static const struct decode_shape rule_shape = {
    .size = sizeof(struct kind_l4_rule),
    .fields = rule_fields,
    .count = ARRAY_LEN(rule_fields),
};

/* The hostnames are first, so that TCPRoute and UDPRoute use the rest. */
static const struct decode_field route_fields[] = {
    {"hostnames", DECODE_TEXTS, .is_required = true,
     .offset = offsetof(struct kind_l4_route, hostnames), .min = 1, .max = 1024,
     .format = &format_hostname},
    {"parentRefs", DECODE_LIST, .offset = offsetof(struct kind_l4_route, parents.items),
     .second = offsetof(struct kind_l4_route, parents.count), .shape = &kind_shape_parent_ref,
     .max = 32},
    {"useDefaultGateways", DECODE_ENUM,
     .offset = offsetof(struct kind_l4_route, parents.use_default_gateways),
     .names = kind_names_scope},
    {"rules", DECODE_LIST, .is_required = true, .offset = offsetof(struct kind_l4_route, rules),
     .second = offsetof(struct kind_l4_route, rule_count), .shape = &rule_shape, .min = 1,
     .max = 1},
};

/* v1alpha2 asks for no hostnames and takes more rules. */
static const struct decode_field alpha_fields[] = {
    {"hostnames", DECODE_TEXTS, .offset = offsetof(struct kind_l4_route, hostnames), .max = 16,
     .format = &format_hostname},
    {"parentRefs", DECODE_LIST, .offset = offsetof(struct kind_l4_route, parents.items),
     .second = offsetof(struct kind_l4_route, parents.count), .shape = &kind_shape_parent_ref,
     .max = 32},
    {"useDefaultGateways", DECODE_ENUM,
     .offset = offsetof(struct kind_l4_route, parents.use_default_gateways),
     .names = kind_names_scope},
    {"rules", DECODE_LIST, .is_required = true, .offset = offsetof(struct kind_l4_route, rules),
     .second = offsetof(struct kind_l4_route, rule_count), .shape = &rule_shape, .min = 1,
     .max = 16},
};

static void check_route(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_l4_route *route = out;
    kind_check_parents(decode, map, &route->parents);
    for (size_t i = 0; i < route->hostnames.count; i++)
        if (format_is_ip(route->hostnames.items[i]))
            decode_add(decode,
                       &(struct decode_fault){.code = "BadFormat",
                                              .at = value_get(map, "hostnames")->list.items[i],
                                              .child = decode_child(decode, "hostnames[%zu]", i)},
                       "an IP address is no hostname");
}

const struct decode_shape kind_shape_tls_route = {
    .size = sizeof(struct kind_l4_route),
    .fields = route_fields,
    .count = ARRAY_LEN(route_fields),
    .check = check_route,
};

const struct decode_shape kind_shape_tcp_route = {
    .size = sizeof(struct kind_l4_route),
    .fields = route_fields + 1,
    .count = ARRAY_LEN(route_fields) - 1,
    .check = check_route,
};

const struct decode_shape kind_shape_tls_route_alpha = {
    .size = sizeof(struct kind_l4_route),
    .fields = alpha_fields,
    .count = ARRAY_LEN(alpha_fields),
    .check = check_route,
};

const struct decode_shape kind_shape_tcp_route_alpha = {
    .size = sizeof(struct kind_l4_route),
    .fields = alpha_fields + 1,
    .count = ARRAY_LEN(alpha_fields) - 1,
    .check = check_route,
};
