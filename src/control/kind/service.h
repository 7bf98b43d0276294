/* Service and EndpointSlice: what backendRefs reach. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "base/value.h"
#include "control/kind/common.h"

/* Standalone: "10.0.0.1" or "10.0.0.1:8080, [::1]:8081" as endpoints of a Service without slices.
 */
#define KIND_ANNOTATION_ADDRESS "gateway.nantian.dev/address"
/* In a cluster, on the Service that fronts a Gateway of its namespace: the Gateway's name. */
#define KIND_ANNOTATION_GATEWAY "gateway.nantian.dev/gateway"
/* On the Service that fronts all Gateways of a class: the class's name. */
#define KIND_ANNOTATION_FLEET "gateway.nantian.dev/gateway-class"

/* A port number, or the name of a container port. */
struct kind_int_or_text {
    bool is_text;
    int32_t number;
    struct text text;
};

struct kind_service_port {
    struct kind_place place;
    struct text name;
    struct text protocol;     /* "TCP" when absent, "UDP", "SCTP" */
    struct text app_protocol; /* "kubernetes.io/h2c", "kubernetes.io/ws", ... */
    int32_t port;
    struct kind_int_or_text target_port; /* number = port when absent */
    int32_t node_port;
};

struct kind_service {
    struct kind_place place; /* of spec */
    struct text type; /* "ClusterIP" when absent, "ExternalName", "NodePort", "LoadBalancer" */
    struct text cluster_ip; /* "None": headless */
    struct kind_texts cluster_ips;
    struct text external_name;
    struct kind_texts external_ips;
    struct kind_service_port *ports;
    size_t port_count;
    struct kind_pairs selector;
    struct text session_affinity;
    struct text traffic_distribution;
    bool publish_not_ready;
    struct kind_texts ingress; /* status.loadBalancer: IP addresses and host names */
};

/* What the load balancer has given it. `status` may be NULL. */
void service_read_status(struct kind_service *service, const struct value *status,
                         struct arena *arena);

struct kind_endpoint_port {
    struct kind_place place;
    struct text name; /* that of the Service's port */
    struct text protocol, app_protocol;
    int32_t port; /* 0: absent */
};

struct kind_endpoint {
    struct kind_place place;
    struct kind_texts addresses;
    bool has_ready, has_serving; /* was written; absent counts as true */
    bool ready, serving, terminating;
    struct text hostname, node_name, zone;
    struct kind_texts hint_zones, hint_nodes;
    struct kind_ref *target; /* targetRef, or NULL */
};

enum kind_address_family {
    KIND_FAMILY_UNKNOWN,
    KIND_FAMILY_IPV4,
    KIND_FAMILY_IPV6,
    KIND_FAMILY_FQDN,
};

struct kind_endpoint_slice {
    struct kind_place place;
    struct text service_name; /* label kubernetes.io/service-name; empty: none */
    enum kind_address_family family;
    struct text family_text;
    struct kind_endpoint *endpoints;
    size_t endpoint_count;
    struct kind_endpoint_port *ports;
    size_t port_count;
};
