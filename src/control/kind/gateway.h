/* Gateway and its listeners; ListenerSet shares the listeners. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/common.h"
#include "control/kind/filter.h"

/* "true" on a Gateway: clients come through a load balancer that sends the PROXY protocol. */
#define KIND_ANNOTATION_PROXY "gateway.nantian.dev/proxy-protocol"

enum kind_protocol {
    KIND_PROTOCOL_UNKNOWN, /* a domain-prefixed or future one: see protocol_text */
    KIND_PROTOCOL_HTTP,
    KIND_PROTOCOL_HTTPS,
    KIND_PROTOCOL_TLS,
    KIND_PROTOCOL_TCP,
    KIND_PROTOCOL_UDP,
};

enum kind_tls_mode {
    KIND_TLS_UNKNOWN,
    KIND_TLS_TERMINATE,
    KIND_TLS_PASSTHROUGH,
};

struct kind_listener_tls {
    struct kind_place place;
    enum kind_tls_mode mode;
    struct text mode_text;
    struct kind_ref *certificates;
    size_t certificate_count;
    struct kind_pairs options;
};

struct kind_route_kind {
    struct kind_place place;
    struct text group, kind;
};

struct kind_allowed_routes {
    struct kind_place place;
    struct kind_namespaces namespaces; /* from Same when absent */
    struct kind_route_kind *kinds;     /* none: those that fit the protocol */
    size_t kind_count;
};

struct kind_listener {
    struct kind_place place;
    struct text name;
    struct text hostname; /* empty: any */
    int32_t port;         /* 0: was wrong or missing */
    enum kind_protocol protocol;
    struct text protocol_text;
    struct kind_listener_tls *tls; /* NULL: absent */
    struct kind_allowed_routes allowed_routes;
    struct kind_filter *filters; /* ExternalAuth and ExtensionRef only */
    size_t filter_count;
};

enum kind_address_type {
    KIND_ADDRESS_UNKNOWN, /* a domain-prefixed one: see type_text */
    KIND_ADDRESS_IP,
    KIND_ADDRESS_HOSTNAME,
    KIND_ADDRESS_NAMED,
};

struct kind_address {
    struct kind_place place;
    enum kind_address_type type;
    struct text type_text;
    struct text value; /* empty: the implementation chooses */
    struct text routability;
};

struct kind_infrastructure {
    struct kind_place place;
    struct kind_pairs labels, annotations;
    struct kind_ref *parameters; /* NULL: absent */
};

enum kind_validation_mode {
    KIND_VALIDATION_UNKNOWN,
    KIND_VALIDATION_VALID_ONLY,
    KIND_VALIDATION_INSECURE_FALLBACK,
};

/* Which client certificates are accepted. */
struct kind_frontend_validation {
    struct kind_place place;
    struct kind_ref *ca_certificates;
    size_t ca_certificate_count;
    enum kind_validation_mode mode;
    struct text mode_text;
};

struct kind_port_tls {
    struct kind_place place;
    int32_t port;
    struct kind_frontend_validation *validation; /* NULL: none on this port */
};

struct kind_gateway_tls {
    struct kind_place place;
    struct kind_ref *client_certificate; /* backend.clientCertificateRef, or NULL */
    bool has_frontend;
    struct kind_frontend_validation *default_validation; /* NULL: absent */
    struct kind_port_tls *per_port;
    size_t per_port_count;
};

struct kind_gateway {
    struct kind_place place; /* of spec */
    struct text class_name;
    struct kind_listener *listeners;
    size_t listener_count;
    struct kind_address *addresses;
    size_t address_count;
    struct kind_infrastructure *infrastructure; /* NULL: absent */
    struct kind_namespaces allowed_listeners;   /* from None when absent */
    struct kind_gateway_tls *tls;               /* NULL: absent */
    enum kind_default_scope default_scope;
};
