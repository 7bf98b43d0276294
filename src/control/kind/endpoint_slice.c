/* EndpointSlice (discovery.k8s.io). It has no spec: the fields stand beside metadata. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/format.h"
#include "control/kind/service.h"
#include "control/kind/shapes.h"

static const struct decode_field port_fields[] = {
    {"name", DECODE_TEXT, .offset = offsetof(struct kind_endpoint_port, name),
     .format = &format_port_name},
    {"protocol", DECODE_TEXT, .offset = offsetof(struct kind_endpoint_port, protocol),
     .format = &format_transport, .otherwise = "TCP"},
    {"appProtocol", DECODE_TEXT, .offset = offsetof(struct kind_endpoint_port, app_protocol)},
    {"port", DECODE_INT32, .offset = offsetof(struct kind_endpoint_port, port), .min = 1,
     .max = 65535},
};

static const struct decode_shape port_shape = {
    .size = sizeof(struct kind_endpoint_port),
    .fields = port_fields,
    .count = ARRAY_LEN(port_fields),
};

static const struct decode_field conditions_fields[] = {
    {"ready", DECODE_BOOL, .offset = offsetof(struct kind_endpoint, ready),
     .has = offsetof(struct kind_endpoint, has_ready)},
    {"serving", DECODE_BOOL, .offset = offsetof(struct kind_endpoint, serving),
     .has = offsetof(struct kind_endpoint, has_serving)},
    {"terminating", DECODE_BOOL, .offset = offsetof(struct kind_endpoint, terminating)},
};

static const struct decode_shape conditions_shape = {
    .size = sizeof(struct kind_endpoint),
    .fields = conditions_fields,
    .count = ARRAY_LEN(conditions_fields),
};

static const struct decode_field hints_fields[] = {
    {"forZones", DECODE_NAMES, .offset = offsetof(struct kind_endpoint, hint_zones), .max = 8},
    {"forNodes", DECODE_NAMES, .offset = offsetof(struct kind_endpoint, hint_nodes), .max = 8},
};

static const struct decode_shape hints_shape = {
    .size = sizeof(struct kind_endpoint),
    .fields = hints_fields,
    .count = ARRAY_LEN(hints_fields),
};

static const struct decode_field target_fields[] = {
    {"kind", DECODE_TEXT, .offset = offsetof(struct kind_ref, kind)},
    {"namespace", DECODE_TEXT, .offset = offsetof(struct kind_ref, namespace)},
    {"name", DECODE_TEXT, .offset = offsetof(struct kind_ref, name)},
    {.name = "uid"},
    {.name = "apiVersion"},
    {.name = "resourceVersion"},
    {.name = "fieldPath"},
};

static const struct decode_shape target_shape = {
    .size = sizeof(struct kind_ref),
    .fields = target_fields,
    .count = ARRAY_LEN(target_fields),
};

static const struct decode_field endpoint_fields[] = {
    {"addresses", DECODE_TEXTS, .is_required = true,
     .offset = offsetof(struct kind_endpoint, addresses), .min = 1, .max = 100},
    {"conditions", DECODE_SAME, .shape = &conditions_shape},
    {"hostname", DECODE_TEXT, .offset = offsetof(struct kind_endpoint, hostname),
     .format = &format_label},
    {"nodeName", DECODE_TEXT, .offset = offsetof(struct kind_endpoint, node_name)},
    {"zone", DECODE_TEXT, .offset = offsetof(struct kind_endpoint, zone)},
    {"hints", DECODE_SAME, .shape = &hints_shape},
    {"targetRef", DECODE_POINTER, .offset = offsetof(struct kind_endpoint, target),
     .shape = &target_shape},
    {.name = "deprecatedTopology"},
};

/* Absent conditions mean true, but for terminating (discovery.k8s.io/v1). */
static void check_endpoint(struct decode *decode, void *out, const struct value *map)
{
    (void)decode;
    (void)map;
    struct kind_endpoint *endpoint = out;
    endpoint->ready = endpoint->has_ready ? endpoint->ready : true;
    endpoint->serving = endpoint->has_serving ? endpoint->serving : endpoint->ready;
}

static const struct decode_shape endpoint_shape = {
    .size = sizeof(struct kind_endpoint),
    .fields = endpoint_fields,
    .count = ARRAY_LEN(endpoint_fields),
    .check = check_endpoint,
};

static const struct decode_name families[] = {
    {"IPv4", KIND_FAMILY_IPV4},
    {"IPv6", KIND_FAMILY_IPV6},
    {"FQDN", KIND_FAMILY_FQDN},
    {NULL, 0},
};

static const struct decode_field slice_fields[] = {
    {"addressType", DECODE_ENUM, .is_required = true,
     .offset = offsetof(struct kind_endpoint_slice, family),
     .second = offsetof(struct kind_endpoint_slice, family_text), .names = families},
    {"endpoints", DECODE_LIST, .offset = offsetof(struct kind_endpoint_slice, endpoints),
     .second = offsetof(struct kind_endpoint_slice, endpoint_count), .shape = &endpoint_shape,
     .max = 1000},
    {"ports", DECODE_LIST, .offset = offsetof(struct kind_endpoint_slice, ports),
     .second = offsetof(struct kind_endpoint_slice, port_count), .shape = &port_shape,
     .max = 20000},
    {.name = "apiVersion"},
    {.name = "kind"},
    {.name = "metadata"},
};

static bool fits(enum kind_address_family family, struct text address)
{
    bool has_colon = text_find(address, ':', 0) < address.len;
    if (family == KIND_FAMILY_IPV4 || family == KIND_FAMILY_IPV6)
        return format_is_ip(address) && has_colon == (family == KIND_FAMILY_IPV6);
    return family != KIND_FAMILY_FQDN || format_precise_hostname.matches(address);
}

static void check_slice(struct decode *decode, void *out, const struct value *map)
{
    (void)map;
    const struct kind_endpoint_slice *slice = out;
    for (size_t i = 0; i < slice->endpoint_count; i++) {
        const struct kind_endpoint *endpoint = &slice->endpoints[i];
        const struct value place = {.line = endpoint->place.line, .column = endpoint->place.column};
        for (size_t k = 0; k < endpoint->addresses.count; k++)
            if (!fits(slice->family, endpoint->addresses.items[k]))
                decode_add(
                    decode,
                    &(struct decode_fault){
                        .code = "BadFormat",
                        .at = &place,
                        .child = decode_child(decode, "endpoints[%zu].addresses[%zu]", i, k)},
                    "\"" TEXT_FMT "\" is no " TEXT_FMT " address",
                    TEXT_ARG(endpoint->addresses.items[k]), TEXT_ARG(slice->family_text));
    }
}

const struct decode_shape kind_shape_endpoint_slice = {
    .size = sizeof(struct kind_endpoint_slice),
    .fields = slice_fields,
    .count = ARRAY_LEN(slice_fields),
    .check = check_slice,
};
