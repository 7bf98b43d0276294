/* Listeners, of Gateway and ListenerSet. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/format.h"
#include "control/kind/shapes.h"

static const struct decode_name tls_modes[] = {
    {"Terminate", KIND_TLS_TERMINATE},
    {"Passthrough", KIND_TLS_PASSTHROUGH},
    {NULL, 0},
};

static const struct decode_field tls_fields[] = {
    {"mode", DECODE_ENUM, .offset = offsetof(struct kind_listener_tls, mode),
     .second = offsetof(struct kind_listener_tls, mode_text), .names = tls_modes,
     .otherwise = "Terminate"},
    {"certificateRefs", DECODE_LIST, .offset = offsetof(struct kind_listener_tls, certificates),
     .second = offsetof(struct kind_listener_tls, certificate_count),
     .shape = &kind_shape_secret_ref, .max = 64},
    {"options", DECODE_PAIRS, .offset = offsetof(struct kind_listener_tls, options), .max = 16,
     .format = &format_option_key},
};

static void check_tls(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_listener_tls *tls = out;
    if (tls->mode == KIND_TLS_TERMINATE && tls->certificate_count == 0 && tls->options.count == 0)
        decode_add(decode,
                   &(struct decode_fault){.code = "MissingField",
                                          .at = map,
                                          .child = "certificateRefs",
                                          .hint = "name the Secret with the certificate"},
                   "certificateRefs is required when mode is Terminate");
}

static const struct decode_shape tls_shape = {
    .size = sizeof(struct kind_listener_tls),
    .fields = tls_fields,
    .count = ARRAY_LEN(tls_fields),
    .check = check_tls,
};

/* The first three of the four. */
static const struct decode_name route_from[] = {
    {"All", KIND_FROM_ALL},
    {"Selector", KIND_FROM_SELECTOR},
    {"Same", KIND_FROM_SAME},
    {NULL, 0},
};

static const struct decode_field namespaces_fields[] = {
    {"from", DECODE_ENUM, .offset = offsetof(struct kind_namespaces, from),
     .second = offsetof(struct kind_namespaces, from_text), .names = route_from,
     .otherwise = "Same"},
    {"selector", DECODE_POINTER, .offset = offsetof(struct kind_namespaces, selector),
     .shape = &kind_shape_selector},
};

static const struct decode_shape namespaces_shape = {
    .size = sizeof(struct kind_namespaces),
    .fields = namespaces_fields,
    .count = ARRAY_LEN(namespaces_fields),
};

static const struct decode_field route_kind_fields[] = {
    {"group", DECODE_TEXT, .offset = offsetof(struct kind_route_kind, group),
     .otherwise = KIND_GROUP_GATEWAY, .format = &format_group},
    {"kind", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_route_kind, kind),
     .format = &format_kind},
};

static const struct decode_shape route_kind_shape = {
    .size = sizeof(struct kind_route_kind),
    .fields = route_kind_fields,
    .count = ARRAY_LEN(route_kind_fields),
};

static const struct decode_field allowed_fields[] = {
    {"namespaces", DECODE_STRUCT, .offset = offsetof(struct kind_allowed_routes, namespaces),
     .shape = &namespaces_shape},
    {"kinds", DECODE_LIST, .offset = offsetof(struct kind_allowed_routes, kinds),
     .second = offsetof(struct kind_allowed_routes, kind_count), .shape = &route_kind_shape,
     .max = 8},
};

static const struct decode_shape allowed_shape = {
    .size = sizeof(struct kind_allowed_routes),
    .fields = allowed_fields,
    .count = ARRAY_LEN(allowed_fields),
};

static const struct decode_field filters_fields[] = {
    {"requests", DECODE_LIST, .offset = offsetof(struct kind_listener, filters),
     .second = offsetof(struct kind_listener, filter_count), .shape = &kind_shape_listener_filter,
     .max = 16},
};

static const struct decode_shape filters_shape = {
    .size = sizeof(struct kind_listener),
    .fields = filters_fields,
    .count = ARRAY_LEN(filters_fields),
};

static const struct decode_name protocols[] = {
    {"HTTP", KIND_PROTOCOL_HTTP}, {"HTTPS", KIND_PROTOCOL_HTTPS}, {"TLS", KIND_PROTOCOL_TLS},
    {"TCP", KIND_PROTOCOL_TCP},   {"UDP", KIND_PROTOCOL_UDP},     {NULL, 0},
};

static const struct decode_field listener_fields[] = {
    {"name", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_listener, name),
     .format = &format_section},
    {"hostname", DECODE_TEXT, .offset = offsetof(struct kind_listener, hostname),
     .format = &format_hostname},
    {"port", DECODE_INT32, .is_required = true, .offset = offsetof(struct kind_listener, port),
     .min = 1, .max = 65535},
    {"protocol", DECODE_ENUM, .is_required = true, .is_open = true,
     .offset = offsetof(struct kind_listener, protocol),
     .second = offsetof(struct kind_listener, protocol_text), .names = protocols,
     .format = &format_protocol},
    {"tls", DECODE_POINTER, .offset = offsetof(struct kind_listener, tls), .shape = &tls_shape},
    {"allowedRoutes", DECODE_STRUCT, .offset = offsetof(struct kind_listener, allowed_routes),
     .shape = &allowed_shape},
    {"filters", DECODE_SAME, .shape = &filters_shape},
};

static void conflict(struct decode *decode, const struct value *map, const char *child,
                     const char *what, struct text protocol)
{
    const struct value *at = value_get(map, child);
    decode_add(decode,
               &(struct decode_fault){
                   .code = "FieldConflict", .at = at == NULL ? map : at, .child = child},
               "%s " TEXT_FMT, what, TEXT_ARG(protocol));
}

static void check_listener(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_listener *listener = out;
    enum kind_protocol protocol = listener->protocol;
    struct text name = listener->protocol_text;
    bool is_http = protocol == KIND_PROTOCOL_HTTP || protocol == KIND_PROTOCOL_HTTPS;
    bool is_l4 = protocol == KIND_PROTOCOL_TCP || protocol == KIND_PROTOCOL_UDP;
    if (listener->tls != NULL && (is_l4 || protocol == KIND_PROTOCOL_HTTP))
        conflict(decode, map, "tls", "tls does not go with protocol", name);
    if (listener->tls != NULL && protocol == KIND_PROTOCOL_HTTPS &&
        listener->tls->mode == KIND_TLS_PASSTHROUGH)
        conflict(decode, map, "tls", "mode Passthrough does not go with protocol", name);
    if (listener->tls == NULL && protocol == KIND_PROTOCOL_TLS)
        conflict(decode, map, "tls", "tls.mode is required for protocol", name);
    if (listener->hostname.len > 0 && is_l4)
        conflict(decode, map, "hostname", "hostname does not go with protocol", name);
    if (listener->filter_count > 0 && !is_http && protocol != KIND_PROTOCOL_UNKNOWN)
        conflict(decode, map, "filters", "filters do not go with protocol", name);
}

const struct decode_shape kind_shape_listener = {
    .size = sizeof(struct kind_listener),
    .fields = listener_fields,
    .count = ARRAY_LEN(listener_fields),
    .check = check_listener,
};

/* Port, protocol and hostname together are unique; names are, by the list's key. */
void kind_check_listeners(struct decode *decode, const struct value *map,
                          const struct kind_listener *listeners, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct kind_listener *one = &listeners[i];
        for (size_t k = 0; k < i; k++) {
            const struct kind_listener *other = &listeners[k];
            if (one->port == 0 || one->port != other->port ||
                !text_equal(one->protocol_text, other->protocol_text) ||
                !text_equal(one->hostname, other->hostname))
                continue;
            decode_add(decode,
                       &(struct decode_fault){.code = "Duplicate",
                                              .at = value_get(map, "listeners")->list.items[i],
                                              .child = decode_child(decode, "listeners[%zu]", i)},
                       "listeners[%zu] has the same port, protocol and hostname", k);
            break;
        }
    }
}
