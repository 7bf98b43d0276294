/* BackendTLSPolicy. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/backend_tls_policy.h"

#include "control/kind/format.h"
#include "control/kind/shapes.h"

static const struct decode_name san_types[] = {
    {"Hostname", KIND_SAN_HOSTNAME},
    {"URI", KIND_SAN_URI},
    {NULL, 0},
};

static const struct decode_field san_fields[] = {
    {"type", DECODE_ENUM, .is_required = true, .offset = offsetof(struct kind_san, type),
     .second = offsetof(struct kind_san, type_text), .names = san_types},
    {"hostname", DECODE_TEXT, .offset = offsetof(struct kind_san, hostname),
     .format = &format_hostname},
    {"uri", DECODE_TEXT, .offset = offsetof(struct kind_san, uri), .format = &format_uri},
};

static void check_pair(struct decode *decode, const struct value *map, const char *name,
                       bool is_wanted, struct text text)
{
    const struct value *value = value_get(map, name);
    if (is_wanted && text.len == 0)
        decode_add(decode, &(struct decode_fault){.code = "MissingField", .at = map, .child = name},
                   "%s is required for this type", name);
    if (!is_wanted && text.len > 0)
        decode_add(decode,
                   &(struct decode_fault){.code = "FieldConflict", .at = value, .child = name},
                   "%s does not go with this type", name);
}

static void check_san(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_san *san = out;
    if (san->type == KIND_SAN_UNKNOWN)
        return;
    check_pair(decode, map, "hostname", san->type == KIND_SAN_HOSTNAME, san->hostname);
    check_pair(decode, map, "uri", san->type == KIND_SAN_URI, san->uri);
}

static const struct decode_shape san_shape = {
    .size = sizeof(struct kind_san),
    .fields = san_fields,
    .count = ARRAY_LEN(san_fields),
    .check = check_san,
};

static const struct decode_field validation_fields[] = {
    {"caCertificateRefs", DECODE_LIST,
     .offset = offsetof(struct kind_backend_tls_policy, ca_certificates),
     .second = offsetof(struct kind_backend_tls_policy, ca_certificate_count),
     .shape = &kind_shape_local_ref, .max = 8},
    {"wellKnownCACertificates", DECODE_TEXT,
     .offset = offsetof(struct kind_backend_tls_policy, well_known_ca),
     .format = &format_well_known_ca},
    {"hostname", DECODE_TEXT, .is_required = true,
     .offset = offsetof(struct kind_backend_tls_policy, hostname),
     .format = &format_precise_hostname},
    {"subjectAltNames", DECODE_LIST, .offset = offsetof(struct kind_backend_tls_policy, sans),
     .second = offsetof(struct kind_backend_tls_policy, san_count), .shape = &san_shape, .max = 5},
};

static void check_validation(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_backend_tls_policy *policy = out;
    bool has_refs = policy->ca_certificate_count > 0;
    bool has_well_known = policy->well_known_ca.len > 0;
    if (has_refs != has_well_known)
        return;
    decode_add(decode,
               &(struct decode_fault){.code = has_refs ? "FieldConflict" : "MissingField",
                                      .at = map,
                                      .hint = has_refs ? NULL : "System trusts the public CAs"},
               has_refs ? "only one of caCertificateRefs and wellKnownCACertificates may be set"
                        : "one of caCertificateRefs and wellKnownCACertificates is required");
}

const struct decode_shape kind_shape_backend_validation = {
    .size = sizeof(struct kind_backend_tls_policy),
    .fields = validation_fields,
    .count = ARRAY_LEN(validation_fields),
    .check = check_validation,
};

static const struct decode_field policy_fields[] = {
    {"targetRefs", DECODE_LIST, .is_required = true,
     .offset = offsetof(struct kind_backend_tls_policy, targets),
     .second = offsetof(struct kind_backend_tls_policy, target_count), .shape = &kind_shape_target,
     .min = 1, .max = 16},
    {"validation", DECODE_SAME, .is_required = true,
     .second = offsetof(struct kind_backend_tls_policy, validation_place),
     .shape = &kind_shape_backend_validation},
    {"options", DECODE_PAIRS, .offset = offsetof(struct kind_backend_tls_policy, options),
     .max = 16, .format = &format_option_key},
};

/* Two references to one target must say which part of it, and different parts. */
static void check_policy(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_backend_tls_policy *policy = out;
    for (size_t i = 1; i < policy->target_count; i++) {
        const struct kind_target_ref *one = &policy->targets[i];
        for (size_t k = 0; k < i; k++) {
            const struct kind_target_ref *other = &policy->targets[k];
            bool same = text_equal(one->group, other->group) &&
                        text_equal(one->kind, other->kind) && text_equal(one->name, other->name);
            bool apart = one->section_name.len > 0 && other->section_name.len > 0 &&
                         !text_equal(one->section_name, other->section_name);
            if (!same || apart)
                continue;
            decode_add(decode,
                       &(struct decode_fault){.code = "Duplicate",
                                              .at = value_get(map, "targetRefs")->list.items[i],
                                              .child = decode_child(decode, "targetRefs[%zu]", i),
                                              .hint = "give each a different sectionName"},
                       "targetRefs[%zu] names the same target", k);
            break;
        }
    }
}

const struct decode_shape kind_shape_backend_tls_policy = {
    .size = sizeof(struct kind_backend_tls_policy),
    .fields = policy_fields,
    .count = ARRAY_LEN(policy_fields),
    .check = check_policy,
};
