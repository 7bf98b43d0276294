/* One function a kind: every field that names another object. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/store/references.h"

#include "control/kind/backend_lb_policy.h"
#include "control/kind/backend_tls_policy.h"
#include "control/kind/backend_traffic_policy.h"
#include "control/kind/gateway_class.h"
#include "control/kind/grpc_route.h"
#include "control/kind/http_route.h"
#include "control/kind/l4_route.h"
#include "control/kind/listener_set.h"
#include "control/kind/route_policy.h"
#include "control/kind/security_policy.h"
#include "control/kind/service.h"
#include "control/kind/x_backend.h"

struct walk {
    references_visit visit;
    void *owner;
    struct text home; /* the namespace of the referrer */
};

static void name(const struct walk *walk, struct text group, struct text kind,
                 struct text namespace, struct text object)
{
    enum kind_id id = kind_find(group, kind);
    if (id == KIND_NONE || object.len == 0)
        return;
    if (namespace.len == 0)
    namespace = walk->home;
    struct store_key key = {id, kind_is_namespaced(id) ? namespace : TEXT_NONE, object};
    walk->visit(walk->owner, key);
}

static void name_ref(const struct walk *walk, const struct kind_ref *ref)
{
    if (ref != NULL)
        name(walk, ref->group, ref->kind, ref->namespace, ref->name);
}

static void name_refs(const struct walk *walk, const struct kind_ref *refs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        name_ref(walk, &refs[i]);
}

static void name_home(const struct walk *walk)
{
    walk->visit(walk->owner, (struct store_key){KIND_NAMESPACE, TEXT_NONE, walk->home});
}

static void name_backend(const struct walk *walk, const struct kind_backend_ref *backend);

static void name_filters(const struct walk *walk, const struct kind_filter *filters, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (filters[i].mirror != NULL)
            name_backend(walk, &filters[i].mirror->backend);
        if (filters[i].external_auth != NULL)
            name_backend(walk, &filters[i].external_auth->backend);
        name_ref(walk, filters[i].extension_ref);
    }
}

static void name_backend(const struct walk *walk, const struct kind_backend_ref *backend)
{
    name(walk, backend->group, backend->kind, backend->namespace, backend->name);
    name_filters(walk, backend->filters, backend->filter_count);
}

static void name_backends(const struct walk *walk, const struct kind_backend_ref *backends,
                          size_t count)
{
    for (size_t i = 0; i < count; i++)
        name_backend(walk, &backends[i]);
}

static void name_parents(const struct walk *walk, const struct kind_parents *parents)
{
    for (size_t i = 0; i < parents->count; i++) {
        const struct kind_parent_ref *parent = &parents->items[i];
        name(walk, parent->group, parent->kind, parent->namespace, parent->name);
    }
    name_home(walk);
}

static void name_targets(const struct walk *walk, const struct kind_target_ref *targets,
                         size_t count)
{
    for (size_t i = 0; i < count; i++)
        name(walk, targets[i].group, targets[i].kind, targets[i].namespace, targets[i].name);
}

static void name_listeners(const struct walk *walk, const struct kind_listener *listeners,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct kind_listener_tls *tls = listeners[i].tls;
        if (tls != NULL)
            name_refs(walk, tls->certificates, tls->certificate_count);
        name_filters(walk, listeners[i].filters, listeners[i].filter_count);
    }
}

static void name_validation(const struct walk *walk,
                            const struct kind_frontend_validation *validation)
{
    if (validation != NULL)
        name_refs(walk, validation->ca_certificates, validation->ca_certificate_count);
}

static void gateway(const struct walk *walk, const struct kind_gateway *gateway)
{
    name(walk, TEXT(KIND_GROUP_GATEWAY), TEXT("GatewayClass"), TEXT_NONE, gateway->class_name);
    name_listeners(walk, gateway->listeners, gateway->listener_count);
    if (gateway->infrastructure != NULL)
        name_ref(walk, gateway->infrastructure->parameters);
    const struct kind_gateway_tls *tls = gateway->tls;
    if (tls == NULL)
        return;
    name_ref(walk, tls->client_certificate);
    name_validation(walk, tls->default_validation);
    for (size_t i = 0; i < tls->per_port_count; i++)
        name_validation(walk, tls->per_port[i].validation);
}

static void listener_set(const struct walk *walk, const struct kind_listener_set *set)
{
    const struct kind_parent_ref *parent = &set->parent;
    name(walk, parent->group, parent->kind, parent->namespace, parent->name);
    name_home(walk);
    name_listeners(walk, set->listeners, set->listener_count);
}

static void http_route(const struct walk *walk, const struct kind_http_route *route)
{
    name_parents(walk, &route->parents);
    for (size_t i = 0; i < route->rule_count; i++) {
        const struct kind_http_rule *rule = &route->rules[i];
        name_filters(walk, rule->filters, rule->filter_count);
        name_backends(walk, rule->backends, rule->backend_count);
    }
}

static void grpc_route(const struct walk *walk, const struct kind_grpc_route *route)
{
    name_parents(walk, &route->parents);
    for (size_t i = 0; i < route->rule_count; i++) {
        const struct kind_grpc_rule *rule = &route->rules[i];
        name_filters(walk, rule->filters, rule->filter_count);
        name_backends(walk, rule->backends, rule->backend_count);
    }
}

static void l4_route(const struct walk *walk, const struct kind_l4_route *route)
{
    name_parents(walk, &route->parents);
    for (size_t i = 0; i < route->rule_count; i++)
        name_backends(walk, route->rules[i].backends, route->rules[i].backend_count);
}

static void security_policy(const struct walk *walk, const struct kind_security_policy *policy)
{
    name_targets(walk, policy->targets, policy->target_count);
    if (policy->oidc != NULL) {
        name_ref(walk, policy->oidc->client_secret);
        name_ref(walk, policy->oidc->session_signing_key);
    }
    if (policy->basic_auth != NULL)
        name_ref(walk, policy->basic_auth->htpasswd);
    if (policy->external_auth != NULL && policy->external_auth->backend != NULL)
        name_backend(walk, policy->external_auth->backend);
}

static void x_backend(const struct walk *walk, const struct kind_x_backend *backend)
{
    name_ref(walk, backend->client_certificate);
    if (backend->validation != NULL)
        name_refs(walk, backend->validation->ca_certificates,
                  backend->validation->ca_certificate_count);
}

void references_each(const struct kind_object *object, references_visit visit, void *owner)
{
    const struct walk walk = {visit, owner, object->meta.namespace};
    switch (object->id) {
    case KIND_GATEWAY_CLASS:
        name_ref(&walk, object->gateway_class->parameters);
        return;
    case KIND_GATEWAY:
        gateway(&walk, object->gateway);
        return;
    case KIND_LISTENER_SET:
        listener_set(&walk, object->listener_set);
        return;
    case KIND_HTTP_ROUTE:
        http_route(&walk, object->http_route);
        return;
    case KIND_GRPC_ROUTE:
        grpc_route(&walk, object->grpc_route);
        return;
    case KIND_TLS_ROUTE:
    case KIND_TCP_ROUTE:
    case KIND_UDP_ROUTE:
        l4_route(&walk, object->l4_route);
        return;
    case KIND_BACKEND_TLS_POLICY:
        name_targets(&walk, object->backend_tls_policy->targets,
                     object->backend_tls_policy->target_count);
        name_refs(&walk, object->backend_tls_policy->ca_certificates,
                  object->backend_tls_policy->ca_certificate_count);
        return;
    case KIND_BACKEND_LB_POLICY:
        name_targets(&walk, object->backend_lb_policy->targets,
                     object->backend_lb_policy->target_count);
        return;
    case KIND_BACKEND_TRAFFIC_POLICY:
        name_targets(&walk, object->backend_traffic_policy->targets,
                     object->backend_traffic_policy->target_count);
        return;
    case KIND_X_BACKEND:
        x_backend(&walk, object->x_backend);
        return;
    case KIND_ENDPOINT_SLICE:
        name(&walk, TEXT(""), TEXT("Service"), TEXT_NONE, object->endpoint_slice->service_name);
        return;
    case KIND_ROUTE_POLICY:
        name_targets(&walk, object->route_policy->targets, object->route_policy->target_count);
        return;
    case KIND_SECURITY_POLICY:
        security_policy(&walk, object->security_policy);
        return;
    default:
        return;
    }
}
