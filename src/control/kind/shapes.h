/* The shapes that several kinds use, and the one of each kind for the registry. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/decode.h"
#include "control/kind/filter.h"
#include "control/kind/gateway.h"

/* common.c */
extern const struct decode_shape kind_shape_parent_ref, kind_shape_gateway_ref;
extern const struct decode_shape kind_shape_backend;      /* group, kind, name, port */
extern const struct decode_shape kind_shape_backend_ref;  /* and weight */
extern const struct decode_shape kind_shape_secret_ref;   /* core Secret unless said otherwise */
extern const struct decode_shape kind_shape_object_ref;   /* group, kind, name; namespace */
extern const struct decode_shape kind_shape_local_ref;    /* group, kind, name */
extern const struct decode_shape kind_shape_target;       /* group, kind, name, section */
extern const struct decode_shape kind_shape_whole_target; /* group, kind, name */
extern const struct decode_shape
    kind_shape_policy_target; /* of our policies: group optional, namespace */
extern const struct decode_shape kind_shape_selector;
extern const struct decode_shape kind_shape_session, kind_shape_lb_session;
extern const struct decode_shape kind_shape_header_match; /* visible ASCII values */
extern const struct decode_shape kind_shape_grpc_header_match, kind_shape_query_match;
extern const struct decode_name kind_names_from[], kind_names_scope[];
/* Rules over one backendRef, its filters apart. */
void kind_check_backend(struct decode *decode, void *out, const struct value *map);

/* filter.c */
extern const struct decode_shape kind_shape_http_filter, kind_shape_grpc_filter;
extern const struct decode_shape kind_shape_listener_filter;
/* Rules over `filters` of one rule or backend: which may not be repeated or combined. */
void kind_check_filters(struct decode *decode, const struct value *map,
                        const struct kind_filter *filters, size_t count);

/* backend.c */
extern const struct decode_shape kind_shape_http_backend; /* backendRef and HTTPRoute filters */
extern const struct decode_shape kind_shape_grpc_backend; /* backendRef and GRPCRoute filters */

/* backend_tls_policy.c: into a struct kind_backend_tls_policy */
extern const struct decode_shape kind_shape_backend_validation;

/* gateway.c */
extern const struct decode_shape kind_shape_listener;
void kind_check_listeners(struct decode *decode, const struct value *map,
                          const struct kind_listener *listeners, size_t count);

/* Rules over a route's parentRefs; and names of rules, unique where set. */
void kind_check_parents(struct decode *decode, const struct value *spec,
                        const struct kind_parents *parents);
void kind_check_rule_names(struct decode *decode, const struct value *spec);

/* One a kind: of its spec, or of the whole object where there is none. */
extern const struct decode_shape kind_shape_gateway_class, kind_shape_gateway;
extern const struct decode_shape kind_shape_listener_set, kind_shape_http_route;
extern const struct decode_shape kind_shape_grpc_route, kind_shape_tls_route;
extern const struct decode_shape kind_shape_tcp_route, kind_shape_reference_grant;
extern const struct decode_shape kind_shape_backend_tls_policy, kind_shape_backend_lb_policy;
extern const struct decode_shape kind_shape_service, kind_shape_backend_traffic_policy;
extern const struct decode_shape kind_shape_x_backend, kind_shape_cluster_trust_bundle;
extern const struct decode_shape kind_shape_endpoint_slice, kind_shape_secret;
extern const struct decode_shape kind_shape_config_map, kind_shape_route_policy;
extern const struct decode_shape kind_shape_security_policy, kind_shape_gateway_parameters;
/* As v1alpha2 had them. */
extern const struct decode_shape kind_shape_tls_route_alpha, kind_shape_tcp_route_alpha;
