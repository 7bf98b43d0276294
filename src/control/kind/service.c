/* Service: the fields that routing needs; the others are known and taken as they are. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/service.h"

#include "control/kind/format.h"
#include "control/kind/shapes.h"

static const struct decode_field port_fields[] = {
    {"name", DECODE_TEXT, .offset = offsetof(struct kind_service_port, name),
     .format = &format_port_name},
    {"protocol", DECODE_TEXT, .offset = offsetof(struct kind_service_port, protocol),
     .format = &format_transport, .otherwise = "TCP"},
    {"appProtocol", DECODE_TEXT, .offset = offsetof(struct kind_service_port, app_protocol)},
    {"port", DECODE_INT32, .is_required = true, .offset = offsetof(struct kind_service_port, port),
     .min = 1, .max = 65535},
    {"targetPort", DECODE_INT_OR_TEXT, .offset = offsetof(struct kind_service_port, target_port),
     .min = 0, .max = 65535, .format = &format_port_name},
    {"nodePort", DECODE_INT32, .offset = offsetof(struct kind_service_port, node_port), .min = 0,
     .max = 65535},
};

static void check_port(struct decode *decode, void *out, const struct value *map)
{
    (void)decode;
    (void)map;
    struct kind_service_port *port = out;
    if (!port->target_port.is_text && port->target_port.number == 0)
        port->target_port.number = port->port;
}

static const struct decode_shape port_shape = {
    .size = sizeof(struct kind_service_port),
    .fields = port_fields,
    .count = ARRAY_LEN(port_fields),
    .check = check_port,
};

static const struct decode_field service_fields[] = {
    {"type", DECODE_TEXT, .offset = offsetof(struct kind_service, type),
     .format = &format_service_type, .otherwise = "ClusterIP"},
    {"clusterIP", DECODE_TEXT, .offset = offsetof(struct kind_service, cluster_ip)},
    {"clusterIPs", DECODE_TEXTS, .offset = offsetof(struct kind_service, cluster_ips)},
    {"externalName", DECODE_TEXT, .offset = offsetof(struct kind_service, external_name)},
    {"externalIPs", DECODE_TEXTS, .offset = offsetof(struct kind_service, external_ips),
     .format = &format_ip},
    {"ports", DECODE_LIST, .offset = offsetof(struct kind_service, ports),
     .second = offsetof(struct kind_service, port_count), .shape = &port_shape},
    {"selector", DECODE_PAIRS, .offset = offsetof(struct kind_service, selector),
     .format = &format_label_key},
    {"sessionAffinity", DECODE_TEXT, .offset = offsetof(struct kind_service, session_affinity)},
    {"trafficDistribution", DECODE_TEXT,
     .offset = offsetof(struct kind_service, traffic_distribution)},
    {"publishNotReadyAddresses", DECODE_BOOL,
     .offset = offsetof(struct kind_service, publish_not_ready)},
    {.name = "sessionAffinityConfig"},
    {.name = "loadBalancerIP"},
    {.name = "loadBalancerSourceRanges"},
    {.name = "loadBalancerClass"},
    {.name = "externalTrafficPolicy"},
    {.name = "internalTrafficPolicy"},
    {.name = "healthCheckNodePort"},
    {.name = "ipFamilies"},
    {.name = "ipFamilyPolicy"},
    {.name = "allocateLoadBalancerNodePorts"},
};

static void check_port_names(struct decode *decode, const struct kind_service *service)
{
    for (size_t i = 0; i < service->port_count && service->port_count > 1; i++) {
        const struct kind_service_port *one = &service->ports[i];
        const struct value place = {.line = one->place.line, .column = one->place.column};
        struct decode_fault fault = {.at = &place,
                                     .child = decode_child(decode, "ports[%zu].name", i)};
        if (one->name.len == 0) {
            fault.code = "MissingField";
            decode_add(decode, &fault, "name is required when there are several ports");
            continue;
        }
        for (size_t k = 0; k < i; k++) {
            if (!text_equal(one->name, service->ports[k].name))
                continue;
            fault.code = "Duplicate";
            decode_add(decode, &fault, "\"" TEXT_FMT "\" is the name of ports[%zu] already",
                       TEXT_ARG(one->name), k);
            break;
        }
    }
}

static void check_service(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_service *service = out;
    bool is_external = text_is(service->type, "ExternalName");
    if (is_external && !format_hostname.matches(service->external_name))
        decode_add(decode,
                   &(struct decode_fault){.code = service->external_name.len == 0 ? "MissingField"
                                                                                  : "BadFormat",
                                          .at = map,
                                          .child = "externalName"},
                   "externalName must be %s", format_precise_hostname.what);
    if (!is_external && service->port_count == 0 && !text_is(service->cluster_ip, "None"))
        decode_add(decode,
                   &(struct decode_fault){.code = "MissingField", .at = map, .child = "ports"},
                   "ports is required");
    check_port_names(decode, service);
}

const struct decode_shape kind_shape_service = {
    .size = sizeof(struct kind_service),
    .fields = service_fields,
    .count = ARRAY_LEN(service_fields),
    .check = check_service,
};

void service_read_status(struct kind_service *service, const struct value *status,
                         struct arena *arena)
{
    const struct value *balancer = value_get(status, "loadBalancer");
    const struct value *ingress = value_get(balancer, "ingress");
    if (ingress == NULL || ingress->kind != VALUE_LIST)
        return;
    service->ingress.items = arena_array(arena, struct text, ingress->list.count);
    for (size_t i = 0; i < ingress->list.count; i++) {
        struct text ip = value_string(value_get(ingress->list.items[i], "ip"));
        struct text name = value_string(value_get(ingress->list.items[i], "hostname"));
        if (ip.len > 0 || name.len > 0)
            service->ingress.items[service->ingress.count++] =
                arena_text(arena, ip.len > 0 ? ip : name);
    }
}
