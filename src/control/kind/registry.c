/* The table of kinds. To add one: its header and file, its id in kind.h, and a row here. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/registry.h"

#include "control/kind/format.h"
#include "control/kind/shapes.h"

static const struct registry_kind kinds[] = {
    {KIND_GATEWAY_CLASS,
     KIND_GROUP_GATEWAY,
     "GatewayClass",
     {"v1", "v1beta1"},
     {NULL},
     false,
     true,
     &kind_shape_gateway_class,
     &format_subdomain,
     NULL},
    {KIND_GATEWAY,
     KIND_GROUP_GATEWAY,
     "Gateway",
     {"v1", "v1beta1"},
     {NULL},
     true,
     true,
     &kind_shape_gateway,
     &format_subdomain,
     NULL},
    {KIND_LISTENER_SET,
     KIND_GROUP_GATEWAY,
     "ListenerSet",
     {"v1"},
     {NULL},
     true,
     true,
     &kind_shape_listener_set,
     &format_subdomain,
     NULL},
    {KIND_HTTP_ROUTE,
     KIND_GROUP_GATEWAY,
     "HTTPRoute",
     {"v1", "v1beta1"},
     {NULL},
     true,
     true,
     &kind_shape_http_route,
     &format_subdomain,
     NULL},
    {KIND_GRPC_ROUTE,
     KIND_GROUP_GATEWAY,
     "GRPCRoute",
     {"v1"},
     {NULL},
     true,
     true,
     &kind_shape_grpc_route,
     &format_subdomain,
     NULL},
    {KIND_TLS_ROUTE,
     KIND_GROUP_GATEWAY,
     "TLSRoute",
     {"v1", "v1alpha3", "v1alpha2"},
     {"v1alpha3", "v1alpha2"},
     true,
     true,
     &kind_shape_tls_route,
     &format_subdomain,
     &kind_shape_tls_route_alpha},
    {KIND_TCP_ROUTE,
     KIND_GROUP_GATEWAY,
     "TCPRoute",
     {"v1", "v1alpha2"},
     {"v1alpha2"},
     true,
     true,
     &kind_shape_tcp_route,
     &format_subdomain,
     &kind_shape_tcp_route_alpha},
    {KIND_UDP_ROUTE,
     KIND_GROUP_GATEWAY,
     "UDPRoute",
     {"v1", "v1alpha2"},
     {"v1alpha2"},
     true,
     true,
     &kind_shape_tcp_route,
     &format_subdomain,
     &kind_shape_tcp_route_alpha},
    {KIND_REFERENCE_GRANT,
     KIND_GROUP_GATEWAY,
     "ReferenceGrant",
     {"v1", "v1beta1"},
     {NULL},
     true,
     true,
     &kind_shape_reference_grant,
     &format_subdomain,
     NULL},
    {KIND_BACKEND_TLS_POLICY,
     KIND_GROUP_GATEWAY,
     "BackendTLSPolicy",
     {"v1", "v1alpha3"},
     {"v1alpha3"},
     true,
     true,
     &kind_shape_backend_tls_policy,
     &format_subdomain,
     NULL},
    {KIND_BACKEND_LB_POLICY,
     KIND_GROUP_GATEWAY,
     "BackendLBPolicy",
     {"v1alpha2"},
     {NULL},
     true,
     true,
     &kind_shape_backend_lb_policy,
     &format_subdomain,
     NULL},
    {KIND_BACKEND_TRAFFIC_POLICY,
     KIND_GROUP_EXPERIMENTAL,
     "XBackendTrafficPolicy",
     {"v1alpha1"},
     {NULL},
     true,
     true,
     &kind_shape_backend_traffic_policy,
     &format_subdomain,
     NULL},
    {KIND_X_BACKEND,
     KIND_GROUP_EXPERIMENTAL,
     "XBackend",
     {"v1alpha1"},
     {NULL},
     true,
     true,
     &kind_shape_x_backend,
     &format_subdomain,
     NULL},
    {KIND_SERVICE,
     "",
     "Service",
     {"v1"},
     {NULL},
     true,
     true,
     &kind_shape_service,
     &format_label,
     NULL},
    {KIND_ENDPOINT_SLICE,
     "discovery.k8s.io",
     "EndpointSlice",
     {"v1"},
     {NULL},
     true,
     false,
     &kind_shape_endpoint_slice,
     &format_subdomain,
     NULL},
    {KIND_SECRET,
     "",
     "Secret",
     {"v1"},
     {NULL},
     true,
     false,
     &kind_shape_secret,
     &format_subdomain,
     NULL},
    {KIND_CONFIG_MAP,
     "",
     "ConfigMap",
     {"v1"},
     {NULL},
     true,
     false,
     &kind_shape_config_map,
     &format_subdomain,
     NULL},
    {KIND_CLUSTER_TRUST_BUNDLE,
     "certificates.k8s.io",
     "ClusterTrustBundle",
     {"v1", "v1beta1", "v1alpha1"},
     {NULL},
     false,
     true,
     &kind_shape_cluster_trust_bundle,
     &format_object_name,
     NULL},
    {KIND_NAMESPACE, "", "Namespace", {"v1"}, {NULL}, false, true, NULL, &format_label, NULL},
    {KIND_ROUTE_POLICY,
     KIND_GROUP_NANTIAN,
     "RoutePolicy",
     {"v1alpha1"},
     {NULL},
     true,
     true,
     &kind_shape_route_policy,
     &format_subdomain,
     NULL},
    {KIND_SECURITY_POLICY,
     KIND_GROUP_NANTIAN,
     "SecurityPolicy",
     {"v1alpha1"},
     {NULL},
     true,
     true,
     &kind_shape_security_policy,
     &format_subdomain,
     NULL},
    {KIND_GATEWAY_PARAMETERS,
     KIND_GROUP_NANTIAN,
     "GatewayParameters",
     {"v1alpha1"},
     {NULL},
     true,
     true,
     &kind_shape_gateway_parameters,
     &format_subdomain,
     NULL},
};

const struct registry_kind *registry_find(struct text group, struct text kind)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (text_is(kind, kinds[i].name) && text_is(group, kinds[i].group))
            return &kinds[i];
    return NULL;
}

const struct registry_kind *registry_get(enum kind_id id)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].id == id)
            return &kinds[i];
    return NULL;
}

const struct registry_kind *registry_guess(struct text group, struct text kind)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (text_equal_nocase(kind, text_of(kinds[i].name)))
            return &kinds[i];
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct decode_field name = {.name = kinds[i].name};
        const struct decode_shape one = {.fields = &name, .count = 1};
        if (text_is(group, kinds[i].group) && group.len > 0 && decode_nearest(&one, kind) != NULL)
            return &kinds[i];
    }
    return NULL;
}

const char *kind_name(enum kind_id id)
{
    const struct registry_kind *kind = registry_get(id);
    return kind == NULL ? "" : kind->name;
}

const char *kind_group(enum kind_id id)
{
    const struct registry_kind *kind = registry_get(id);
    return kind == NULL ? "" : kind->group;
}

bool kind_is_namespaced(enum kind_id id)
{
    const struct registry_kind *kind = registry_get(id);
    return kind != NULL && kind->is_namespaced;
}

enum kind_id kind_find(struct text group, struct text kind)
{
    const struct registry_kind *found = registry_find(group, kind);
    return found == NULL ? KIND_NONE : found->id;
}
