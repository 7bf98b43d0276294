/* An object of the cluster, decoded: its metadata and one struct of its kind.
 * kind_decode makes them from a parsed document; the registry says which kinds there are. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/value.h"
#include "control/kind/common.h"

enum kind_id {
    KIND_NONE,
    KIND_GATEWAY_CLASS,
    KIND_GATEWAY,
    KIND_LISTENER_SET,
    KIND_HTTP_ROUTE,
    KIND_GRPC_ROUTE,
    KIND_TLS_ROUTE,
    KIND_TCP_ROUTE,
    KIND_UDP_ROUTE,
    KIND_REFERENCE_GRANT,
    KIND_BACKEND_TLS_POLICY,
    KIND_BACKEND_LB_POLICY,
    KIND_BACKEND_TRAFFIC_POLICY,
    KIND_X_BACKEND,
    KIND_SERVICE,
    KIND_ENDPOINT_SLICE,
    KIND_SECRET,
    KIND_CONFIG_MAP,
    KIND_CLUSTER_TRUST_BUNDLE,
    KIND_NAMESPACE,
    KIND_ROUTE_POLICY,
    KIND_SECURITY_POLICY,
    KIND_GATEWAY_PARAMETERS,
    KIND_COUNT,
};

/* Immutable once decoded (the store sets generation and created before it shows it to anybody).
 * Counted, one thread. */
struct kind_object {
    enum kind_id id;
    uint32_t refs;
    struct kind_meta meta;
    struct digest spec_digest; /* of all but metadata and status: same = same generation */
    struct digest digest;      /* with labels and annotations too: same = nothing to do */
    size_t error_count;        /* faults of level error found in it; the object may be partial */
    union {
        const void *any; /* NULL for KIND_NAMESPACE */
        const struct kind_gateway_class *gateway_class;
        const struct kind_gateway *gateway;
        const struct kind_listener_set *listener_set;
        const struct kind_http_route *http_route;
        const struct kind_grpc_route *grpc_route;
        const struct kind_l4_route *l4_route; /* TLSRoute, TCPRoute, UDPRoute */
        const struct kind_reference_grant *reference_grant;
        const struct kind_backend_tls_policy *backend_tls_policy;
        const struct kind_backend_lb_policy *backend_lb_policy;
        const struct kind_backend_traffic_policy *backend_traffic_policy;
        const struct kind_x_backend *x_backend;
        const struct kind_service *service;
        const struct kind_endpoint_slice *endpoint_slice;
        const struct kind_secret *secret;
        const struct kind_config_map *config_map;
        const struct kind_cluster_trust_bundle *cluster_trust_bundle;
        const struct kind_route_policy *route_policy;
        const struct kind_security_policy *security_policy;
        const struct kind_gateway_parameters *gateway_parameters;
    };
    struct arena arena; /* owns all of the above */
};

/* Unknown fields are errors for `nantian check`, warnings when serving. */
enum kind_mode { KIND_LENIENT, KIND_STRICT };

struct kind_objects {
    struct kind_object **items; /* owns one count of each */
    size_t count, cap;
};

void kind_objects_fini(struct kind_objects *objects);

/* Decodes the object of one document, or those of a List, and appends them. An object without a
 * usable kind, name or namespace is not appended; unknown kinds are a note and not appended. Other
 * faults leave the object, with error_count saying how many. Faults' text is copied. A document
 * that is empty (null) is nothing. `file` may be empty. */
void kind_decode(const struct value *document, struct text file, enum kind_mode mode,
                 struct kind_objects *objects, struct faults *faults);

struct kind_object *kind_object_ref(struct kind_object *object);
void kind_object_unref(struct kind_object *object);

/* "HTTPRoute", "gateway.networking.k8s.io" ("" for the core group); static. */
const char *kind_name(enum kind_id id);
const char *kind_group(enum kind_id id);
bool kind_is_namespaced(enum kind_id id);
/* KIND_NONE: not one of ours. */
enum kind_id kind_find(struct text group, struct text kind);
/* "HTTPRoute shop/cart", in `arena`. */
struct text kind_describe(const struct kind_object *object, struct arena *arena);
