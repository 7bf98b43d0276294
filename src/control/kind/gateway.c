/* Gateway and ListenerSet. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/gateway.h"

#include "control/kind/format.h"
#include "control/kind/listener_set.h"
#include "control/kind/shapes.h"

static const struct decode_name address_types[] = {
    {"IPAddress", KIND_ADDRESS_IP},
    {"Hostname", KIND_ADDRESS_HOSTNAME},
    {"NamedAddress", KIND_ADDRESS_NAMED},
    {NULL, 0},
};

static const struct decode_field address_fields[] = {
    {"type", DECODE_ENUM, .is_open = true, .offset = offsetof(struct kind_address, type),
     .second = offsetof(struct kind_address, type_text), .names = address_types,
     .format = &format_address_type, .otherwise = "IPAddress"},
    {"value", DECODE_TEXT, .offset = offsetof(struct kind_address, value),
     .format = &format_address},
    {"routability", DECODE_TEXT, .offset = offsetof(struct kind_address, routability),
     .format = &format_address},
};

static void check_address(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_address *address = out;
    const struct value *value = value_get(map, "value");
    struct decode_fault fault = {.code = "BadFormat", .at = value, .child = "value"};
    if (address->value.len == 0)
        return;
    if (address->type == KIND_ADDRESS_IP && !format_is_ip(address->value))
        decode_add(decode, &fault, "\"" TEXT_FMT "\" must be %s", TEXT_ARG(address->value),
                   format_ip.what);
    if (address->type == KIND_ADDRESS_HOSTNAME && !format_hostname.matches(address->value))
        decode_add(decode, &fault, "\"" TEXT_FMT "\" must be %s", TEXT_ARG(address->value),
                   format_hostname.what);
}

static const struct decode_shape address_shape = {
    .size = sizeof(struct kind_address),
    .fields = address_fields,
    .count = ARRAY_LEN(address_fields),
    .check = check_address,
};

static const struct decode_field infrastructure_fields[] = {
    {"labels", DECODE_PAIRS, .offset = offsetof(struct kind_infrastructure, labels), .max = 8,
     .format = &format_label_key},
    {"annotations", DECODE_PAIRS, .offset = offsetof(struct kind_infrastructure, annotations),
     .max = 8, .format = &format_label_key},
    {"parametersRef", DECODE_POINTER, .offset = offsetof(struct kind_infrastructure, parameters),
     .shape = &kind_shape_local_ref},
};

static const struct decode_shape infrastructure_shape = {
    .size = sizeof(struct kind_infrastructure),
    .fields = infrastructure_fields,
    .count = ARRAY_LEN(infrastructure_fields),
};

static const struct decode_field namespaces_fields[] = {
    {"from", DECODE_ENUM, .offset = offsetof(struct kind_namespaces, from),
     .second = offsetof(struct kind_namespaces, from_text), .names = kind_names_from,
     .otherwise = "None"},
    {"selector", DECODE_POINTER, .offset = offsetof(struct kind_namespaces, selector),
     .shape = &kind_shape_selector},
};

static const struct decode_shape namespaces_shape = {
    .size = sizeof(struct kind_namespaces),
    .fields = namespaces_fields,
    .count = ARRAY_LEN(namespaces_fields),
};

static const struct decode_field allowed_listeners_fields[] = {
    {"namespaces", DECODE_STRUCT, .offset = offsetof(struct kind_gateway, allowed_listeners),
     .shape = &namespaces_shape},
};

static const struct decode_shape allowed_listeners_shape = {
    .size = sizeof(struct kind_gateway),
    .fields = allowed_listeners_fields,
    .count = ARRAY_LEN(allowed_listeners_fields),
};

static const struct decode_name validation_modes[] = {
    {"AllowValidOnly", KIND_VALIDATION_VALID_ONLY},
    {"AllowInsecureFallback", KIND_VALIDATION_INSECURE_FALLBACK},
    {NULL, 0},
};

static const struct decode_field validation_fields[] = {
    {"caCertificateRefs", DECODE_LIST, .is_required = true,
     .offset = offsetof(struct kind_frontend_validation, ca_certificates),
     .second = offsetof(struct kind_frontend_validation, ca_certificate_count),
     .shape = &kind_shape_object_ref, .min = 1, .max = 16},
    {"mode", DECODE_ENUM, .offset = offsetof(struct kind_frontend_validation, mode),
     .second = offsetof(struct kind_frontend_validation, mode_text), .names = validation_modes,
     .otherwise = "AllowValidOnly"},
};

static void check_validation(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_frontend_validation *validation = out;
    for (size_t i = 0; i < validation->ca_certificate_count; i++) {
        const struct kind_ref *ref = &validation->ca_certificates[i];
        if (text_is(ref->kind, "ClusterTrustBundle") && ref->namespace.len > 0)
            decode_add(decode,
                       &(struct decode_fault){
                           .code = "FieldConflict",
                           .at = value_get(map, "caCertificateRefs")->list.items[i],
                           .child = decode_child(decode, "caCertificateRefs[%zu].namespace", i)},
                       "a ClusterTrustBundle has no namespace");
    }
}

static const struct decode_shape validation_shape = {
    .size = sizeof(struct kind_frontend_validation),
    .fields = validation_fields,
    .count = ARRAY_LEN(validation_fields),
    .check = check_validation,
};

static const struct decode_field port_config_fields[] = {
    {"validation", DECODE_POINTER, .offset = offsetof(struct kind_port_tls, validation),
     .shape = &validation_shape},
};

static const struct decode_shape port_config_shape = {
    .size = sizeof(struct kind_port_tls),
    .fields = port_config_fields,
    .count = ARRAY_LEN(port_config_fields),
};

static const struct decode_field port_fields[] = {
    {"port", DECODE_INT32, .is_required = true, .offset = offsetof(struct kind_port_tls, port),
     .min = 1, .max = 65535},
    {"tls", DECODE_SAME, .is_required = true, .shape = &port_config_shape},
};

static const struct decode_shape port_shape = {
    .size = sizeof(struct kind_port_tls),
    .fields = port_fields,
    .count = ARRAY_LEN(port_fields),
};

static const struct decode_field default_config_fields[] = {
    {"validation", DECODE_POINTER, .offset = offsetof(struct kind_gateway_tls, default_validation),
     .shape = &validation_shape},
};

static const struct decode_shape default_config_shape = {
    .size = sizeof(struct kind_gateway_tls),
    .fields = default_config_fields,
    .count = ARRAY_LEN(default_config_fields),
};

static const struct decode_field frontend_fields[] = {
    {"default", DECODE_SAME, .is_required = true, .shape = &default_config_shape},
    {"perPort", DECODE_LIST, .offset = offsetof(struct kind_gateway_tls, per_port),
     .second = offsetof(struct kind_gateway_tls, per_port_count), .shape = &port_shape, .max = 64,
     .list_key = "port"},
};

static const struct decode_shape frontend_shape = {
    .size = sizeof(struct kind_gateway_tls),
    .fields = frontend_fields,
    .count = ARRAY_LEN(frontend_fields),
};

static const struct decode_field backend_fields[] = {
    {"clientCertificateRef", DECODE_POINTER,
     .offset = offsetof(struct kind_gateway_tls, client_certificate),
     .shape = &kind_shape_secret_ref},
};

static const struct decode_shape backend_shape = {
    .size = sizeof(struct kind_gateway_tls),
    .fields = backend_fields,
    .count = ARRAY_LEN(backend_fields),
};

static const struct decode_field tls_fields[] = {
    {"backend", DECODE_SAME, .shape = &backend_shape},
    {"frontend", DECODE_SAME, .has = offsetof(struct kind_gateway_tls, has_frontend),
     .shape = &frontend_shape},
};

static const struct decode_shape tls_shape = {
    .size = sizeof(struct kind_gateway_tls),
    .fields = tls_fields,
    .count = ARRAY_LEN(tls_fields),
};

static const struct decode_field gateway_fields[] = {
    {"gatewayClassName", DECODE_TEXT, .is_required = true,
     .offset = offsetof(struct kind_gateway, class_name), .format = &format_object_name},
    {"listeners", DECODE_LIST, .is_required = true,
     .offset = offsetof(struct kind_gateway, listeners),
     .second = offsetof(struct kind_gateway, listener_count), .shape = &kind_shape_listener,
     .min = 1, .max = 64, .list_key = "name"},
    {"addresses", DECODE_LIST, .offset = offsetof(struct kind_gateway, addresses),
     .second = offsetof(struct kind_gateway, address_count), .shape = &address_shape, .max = 16},
    {"infrastructure", DECODE_POINTER, .offset = offsetof(struct kind_gateway, infrastructure),
     .shape = &infrastructure_shape},
    {"allowedListeners", DECODE_SAME, .shape = &allowed_listeners_shape},
    {"tls", DECODE_POINTER, .offset = offsetof(struct kind_gateway, tls), .shape = &tls_shape},
    {"defaultScope", DECODE_ENUM, .offset = offsetof(struct kind_gateway, default_scope),
     .names = kind_names_scope},
};

static void check_gateway(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_gateway *gateway = out;
    kind_check_listeners(decode, map, gateway->listeners, gateway->listener_count);
    for (size_t i = 1; i < gateway->address_count; i++) {
        const struct kind_address *one = &gateway->addresses[i];
        for (size_t k = 0; k < i && one->value.len > 0; k++) {
            const struct kind_address *other = &gateway->addresses[k];
            if (!text_equal(one->type_text, other->type_text) ||
                !text_equal(one->value, other->value))
                continue;
            decode_add(decode,
                       &(struct decode_fault){.code = "Duplicate",
                                              .at = value_get(map, "addresses")->list.items[i],
                                              .child = decode_child(decode, "addresses[%zu]", i)},
                       "\"" TEXT_FMT "\" stands in addresses[%zu] already", TEXT_ARG(one->value),
                       k);
            break;
        }
    }
}

const struct decode_shape kind_shape_gateway = {
    .size = sizeof(struct kind_gateway),
    .fields = gateway_fields,
    .count = ARRAY_LEN(gateway_fields),
    .check = check_gateway,
};

static const struct decode_field listener_set_fields[] = {
    {"parentRef", DECODE_STRUCT, .is_required = true,
     .offset = offsetof(struct kind_listener_set, parent), .shape = &kind_shape_gateway_ref},
    {"listeners", DECODE_LIST, .is_required = true,
     .offset = offsetof(struct kind_listener_set, listeners),
     .second = offsetof(struct kind_listener_set, listener_count), .shape = &kind_shape_listener,
     .min = 1, .max = 64, .list_key = "name"},
};

static void check_listener_set(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_listener_set *set = out;
    kind_check_listeners(decode, map, set->listeners, set->listener_count);
}

const struct decode_shape kind_shape_listener_set = {
    .size = sizeof(struct kind_listener_set),
    .fields = listener_set_fields,
    .count = ARRAY_LEN(listener_set_fields),
    .check = check_listener_set,
};
