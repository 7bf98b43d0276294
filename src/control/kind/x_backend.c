/* XBackend. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/x_backend.h"

#include "control/kind/format.h"
#include "control/kind/shapes.h"

static const struct decode_name types[] = {
    {"ExternalHostname", KIND_X_BACKEND_EXTERNAL_HOSTNAME},
    {"EndpointSelector", KIND_X_BACKEND_ENDPOINT_SELECTOR},
    {NULL, 0},
};

static const struct decode_name protocols[] = {
    {"HTTP", KIND_X_BACKEND_AS_ROUTED},
    {"TCP", KIND_X_BACKEND_TCP},
    {"HTTP2", KIND_X_BACKEND_HTTP2},
    {"HTTP11", KIND_X_BACKEND_HTTP11},
    {"H2C", KIND_X_BACKEND_H2C},
    {"MCP", KIND_X_BACKEND_MCP},
    {"GRPC", KIND_X_BACKEND_GRPC},
    {"WSS", KIND_X_BACKEND_WSS},
    {NULL, 0},
};

static const struct decode_name modes[] = {
    {"None", KIND_X_BACKEND_PLAIN},
    {"ServerOnly", KIND_X_BACKEND_SERVER_ONLY},
    {"ClientAndServer", KIND_X_BACKEND_CLIENT_AND_SERVER},
    {NULL, 0},
};

static const struct decode_field port_fields[] = {
    {"number", DECODE_INT32, .is_required = true, .offset = offsetof(struct kind_x_backend, port),
     .min = 1, .max = 65535},
};

static const struct decode_shape port_shape = {
    .size = sizeof(struct kind_x_backend),
    .fields = port_fields,
    .count = ARRAY_LEN(port_fields),
};

static const struct decode_field host_fields[] = {
    {"hostname", DECODE_TEXT, .is_required = true,
     .offset = offsetof(struct kind_x_backend_host, hostname), .format = &format_precise_hostname},
};

static void check_host(struct decode *decode, void *out, const struct value *map)
{
    struct text hostname = ((struct kind_x_backend_host *)out)->hostname;
    if (!format_is_ip(hostname) && !text_ends_with(hostname, TEXT(".cluster.local")))
        return;
    decode_add(decode,
               &(struct decode_fault){.code = "BadValue",
                                      .at = value_get(map, "hostname"),
                                      .child = "hostname",
                                      .hint = "for what is in the cluster name its Service"},
               "must not be an IP address or end with .cluster.local");
}

static const struct decode_shape host_shape = {
    .size = sizeof(struct kind_x_backend_host),
    .fields = host_fields,
    .count = ARRAY_LEN(host_fields),
    .check = check_host,
};

static const struct decode_field selector_fields[] = {
    {"matchLabels", DECODE_PAIRS, .is_required = true,
     .offset = offsetof(struct kind_x_backend_selector, match_labels), .min = 1, .max = 64,
     .format = &format_label_key},
};

static const struct decode_shape selector_shape = {
    .size = sizeof(struct kind_x_backend_selector),
    .fields = selector_fields,
    .count = ARRAY_LEN(selector_fields),
};

static const struct decode_field tls_fields[] = {
    {"mode", DECODE_ENUM, .is_required = true, .offset = offsetof(struct kind_x_backend, mode),
     .second = offsetof(struct kind_x_backend, mode_text), .names = modes},
    {"clientCertificateRef", DECODE_POINTER,
     .offset = offsetof(struct kind_x_backend, client_certificate),
     .shape = &kind_shape_secret_ref},
    {"validation", DECODE_POINTER, .offset = offsetof(struct kind_x_backend, validation),
     .shape = &kind_shape_backend_validation},
};

static const struct decode_shape tls_shape = {
    .size = sizeof(struct kind_x_backend),
    .fields = tls_fields,
    .count = ARRAY_LEN(tls_fields),
};

static const struct decode_field backend_fields[] = {
    {"type", DECODE_ENUM, .is_required = true, .offset = offsetof(struct kind_x_backend, type),
     .second = offsetof(struct kind_x_backend, type_text), .names = types},
    {"port", DECODE_SAME, .is_required = true, .shape = &port_shape},
    {"externalHostname", DECODE_POINTER, .offset = offsetof(struct kind_x_backend, host),
     .shape = &host_shape},
    {"endpointSelector", DECODE_POINTER, .offset = offsetof(struct kind_x_backend, selector),
     .shape = &selector_shape},
    {"sessionPersistence", DECODE_POINTER, .offset = offsetof(struct kind_x_backend, session),
     .shape = &kind_shape_session},
    {"protocol", DECODE_ENUM, .offset = offsetof(struct kind_x_backend, protocol),
     .second = offsetof(struct kind_x_backend, protocol_text), .names = protocols},
    {"tls", DECODE_SAME, .second = offsetof(struct kind_x_backend, tls_place), .shape = &tls_shape},
};

static bool has(const struct value *map, const char *name)
{
    const struct value *value = map == NULL ? NULL : value_get(map, name);
    return value != NULL && value->kind != VALUE_NULL;
}

/* `name` is there if and only if it is wanted. */
static void check_member(struct decode *decode, const struct value *map, const char *name,
                         bool is_wanted, const char *child)
{
    if (has(map, name) == is_wanted)
        return;
    decode_add(decode,
               &(struct decode_fault){.code = is_wanted ? "MissingField" : "FieldConflict",
                                      .at = is_wanted ? map : value_get(map, name),
                                      .child = child},
               is_wanted ? "%s is required here" : "%s does not go with the rest", child);
}

static void check_tls(struct decode *decode, const struct kind_x_backend *backend,
                      const struct value *map)
{
    const struct value *tls = value_get(map, "tls");
    bool is_tls = backend->mode != KIND_X_BACKEND_PLAIN;
    bool is_mode_known = !has(map, "tls") || backend->mode_text.len > 0;
    if (has(map, "tls") && is_mode_known && tls->kind == VALUE_MAP) {
        check_member(decode, tls, "validation", is_tls, "tls.validation");
        check_member(decode, tls, "clientCertificateRef",
                     backend->mode == KIND_X_BACKEND_CLIENT_AND_SERVER, "tls.clientCertificateRef");
    }
    bool wants_tls =
        backend->protocol == KIND_X_BACKEND_HTTP2 || backend->protocol == KIND_X_BACKEND_WSS;
    if (!is_mode_known ||
        !(wants_tls ? !is_tls : backend->protocol == KIND_X_BACKEND_H2C && is_tls))
        return;
    decode_add(decode,
               &(struct decode_fault){.code = "FieldConflict",
                                      .at = value_get(map, "protocol"),
                                      .child = "protocol",
                                      .hint = "H2C is HTTP/2 without TLS, HTTP2 is with TLS"},
               wants_tls ? TEXT_FMT " needs tls with another mode than None"
                         : TEXT_FMT " does not go with tls",
               TEXT_ARG(backend->protocol_text));
}

static void check_backend(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_x_backend *backend = out;
    check_tls(decode, backend, map);
    if (backend->type == KIND_X_BACKEND_UNKNOWN)
        return;
    bool is_host = backend->type == KIND_X_BACKEND_EXTERNAL_HOSTNAME;
    check_member(decode, map, "externalHostname", is_host, "externalHostname");
    check_member(decode, map, "endpointSelector", !is_host, "endpointSelector");
    if (is_host)
        check_member(decode, map, "sessionPersistence", false, "sessionPersistence");
}

const struct decode_shape kind_shape_x_backend = {
    .size = sizeof(struct kind_x_backend),
    .fields = backend_fields,
    .count = ARRAY_LEN(backend_fields),
    .check = check_backend,
};
