/* What documents mean: every kind's fields, defaults and digests. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/builder.h"
#include "control/kind/backend_lb_policy.h"
#include "control/kind/backend_tls_policy.h"
#include "control/kind/gateway_class.h"
#include "control/kind/grpc_route.h"
#include "control/kind/http_route.h"
#include "control/kind/l4_route.h"
#include "control/kind/listener_set.h"
#include "control/kind/reference_grant.h"
#include "control/kind/route_policy.h"
#include "control/kind/secret.h"
#include "control/kind/security_policy.h"
#include "control/kind/service.h"
#include "read.h"

#define GATEWAY_V1 "apiVersion: gateway.networking.k8s.io/v1\n"

static void metadata_is_read(void **state)
{
    (void)state;
    struct read read;
    const struct kind_object *object =
        read_one(&read, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n"
                        "  labels: {b: c, a: ''}\n  annotations: {example.com/x: 'y: z'}\n"
                        "  uid: u-1\n  generation: 7\n  resourceVersion: '12'\n"
                        "  creationTimestamp: '2026-11-23T03:04:05Z'\n");
    assert_int_equal(object->id, KIND_NAMESPACE);
    assert_int_equal(object->meta.place.line, 4);
    assert_int_equal(object->meta.place.column, 9);
    assert_text(object->meta.name, "shop");
    assert_text(object->meta.namespace, "");
    assert_text(object->meta.file, "a.yaml");
    assert_text(object->meta.uid, "u-1");
    assert_int_equal(object->meta.generation, 7);
    assert_int_equal(object->meta.created, 1795403045);
    assert_text(object->meta.labels.items[0].key, "a");
    assert_text(kind_pairs_get(&object->meta.labels, "b"), "c");
    assert_text(kind_pairs_get(&object->meta.annotations, "example.com/x"), "y: z");
    assert_null(kind_pairs_get(&object->meta.labels, "c").data);
    read_fini(&read);
}

/* No errors when serving; as many warnings. */
static const struct kind_object *read_served(struct read *read, const char *text, size_t warnings)
{
    read_text(read, text_of(text), KIND_LENIENT);
    assert_int_equal(read->objects.count, 1);
    assert_int_equal(read->objects.items[0]->error_count, 0);
    assert_int_equal(read->faults.count, warnings);
    for (size_t i = 0; i < warnings; i++)
        assert_int_equal(read->faults.items[i].level, FAULT_WARNING);
    return read->objects.items[0];
}

static void what_every_api_server_takes_is_no_error(void **state)
{
    (void)state;
    struct read read;
    const struct kind_object *object =
        read_one(&read, "apiVersion: v1\nkind: Service\n"
                        "metadata: {name: 1st, annotations: {Example.COM/Note: b}}\n"
                        "spec: {ports: [{port: 80}]}\n");
    assert_text(kind_pairs_get(&object->meta.annotations, "Example.COM/Note"), "b");
    read_fini(&read);

    struct builder slice CLEANUP(builder_fini) = {0};
    builder_add_string(&slice, "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
                               "metadata: {name: a}\naddressType: IPv4\nendpoints: []\nports:\n");
    for (int i = 1; i <= 101; i++)
        builder_printf(&slice, "- {name: p%d, port: %d}\n", i, i);
    object = read_one(&read, slice.data);
    assert_int_equal(object->endpoint_slice->port_count, 101);
    read_fini(&read);
}

static void what_only_the_standard_channel_takes_is_served_with_a_warning(void **state)
{
    (void)state;
    struct read read;
    const struct kind_object *object = read_served(
        &read,
        GATEWAY_V1 "kind: HTTPRoute\nmetadata: {name: a}\nspec:\n  rules:\n"
                   "  - matches: [{headers: [{name: a, value: 'b  c'}]}]\n"
                   "    filters:\n    - type: ResponseHeaderModifier\n"
                   "      responseHeaderModifier: {set: [{name: x, value: \"caf\u00e9; \"}]}\n",
        2);
    assert_text(object->http_route->rules[0].matches[0].headers[0].value, "b  c");
    read_fini(&read);
    (void)read_served(&read,
                      GATEWAY_V1 "kind: HTTPRoute\nmetadata: {name: a}\nspec:\n  parentRefs:\n"
                                 "  - {name: g, sectionName: a}\n"
                                 "  - {name: g, sectionName: b, port: 80}\n  rules: [{}]\n",
                      1);
    read_fini(&read);
    read_text(&read,
              TEXT(GATEWAY_V1 "kind: HTTPRoute\nmetadata: {name: a}\nspec:\n  rules:\n"
                              "  - matches: [{headers: [{name: a, value: \"b\\nc\"}]}]\n"),
              KIND_LENIENT);
    assert_int_equal(read.objects.items[0]->error_count, 1);
    read_fini(&read);
}

static void a_gateway_is_read_whole(void **state)
{
    (void)state;
    struct read read;
    const struct kind_object *object = read_one(
        &read, GATEWAY_V1
        "kind: Gateway\nmetadata: {name: edge, namespace: infra}\nspec:\n"
        "  gatewayClassName: nantian\n"
        "  listeners:\n"
        "  - name: http\n    port: 80\n    protocol: HTTP\n"
        "  - name: https\n    hostname: '*.example.com'\n    port: 443\n    protocol: HTTPS\n"
        "    tls: {certificateRefs: [{name: cert}, {namespace: b, name: c}], options: {a/b: d}}\n"
        "    allowedRoutes:\n      kinds: [{kind: HTTPRoute}]\n      namespaces:\n"
        "        from: Selector\n        selector:\n          matchLabels: {team: shop}\n"
        "          matchExpressions: [{key: env, operator: In, values: [prod, test]}]\n"
        "  - {name: odd, port: 9, protocol: example.com/quic}\n"
        "  addresses: [{value: 127.0.0.1}, {type: Hostname, value: a.b}]\n"
        "  infrastructure: {labels: {a: b}, parametersRef: {group: '', kind: ConfigMap, name: p}}\n"
        "  allowedListeners: {namespaces: {from: All}}\n"
        "  defaultScope: All\n"
        "  tls:\n    backend: {clientCertificateRef: {name: client}}\n    frontend:\n"
        "      default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: "
        "ca}]}}\n"
        "      perPort: [{port: 8443, tls: {}}]\n");
    const struct kind_gateway *gateway = object->gateway;
    assert_int_equal(object->id, KIND_GATEWAY);
    assert_int_equal(gateway->listener_count, 3);
    const struct kind_listener *http = &gateway->listeners[0], *https = &gateway->listeners[1];
    assert_int_equal(http->protocol, KIND_PROTOCOL_HTTP);
    assert_int_equal(http->place.line, 7);
    assert_int_equal(http->allowed_routes.namespaces.from, KIND_FROM_SAME);
    assert_null(http->tls);
    assert_int_equal(https->tls->mode, KIND_TLS_TERMINATE);
    assert_int_equal(https->tls->certificate_count, 2);
    assert_text(https->tls->certificates[0].kind, "Secret");
    assert_text(https->tls->certificates[1].namespace, "b");
    assert_text(https->allowed_routes.kinds[0].group, KIND_GROUP_GATEWAY);
    assert_int_equal(https->allowed_routes.namespaces.from, KIND_FROM_SELECTOR);
    assert_int_equal(gateway->listeners[2].protocol, KIND_PROTOCOL_UNKNOWN);
    assert_text(gateway->listeners[2].protocol_text, "example.com/quic");
    assert_int_equal(gateway->addresses[0].type, KIND_ADDRESS_IP);
    assert_text(gateway->infrastructure->parameters->name, "p");
    assert_int_equal(gateway->allowed_listeners.from, KIND_FROM_ALL);
    assert_int_equal(gateway->default_scope, KIND_DEFAULT_SCOPE_ALL);
    assert_text(gateway->tls->client_certificate->name, "client");
    assert_int_equal(gateway->tls->default_validation->mode, KIND_VALIDATION_VALID_ONLY);
    assert_int_equal(gateway->tls->per_port[0].port, 8443);
    assert_null(gateway->tls->per_port[0].validation);

    struct kind_pair shop[] = {{TEXT("env"), TEXT("prod")}, {TEXT("team"), TEXT("shop")}};
    const struct kind_selector *selector = https->allowed_routes.namespaces.selector;
    assert_true(kind_selector_matches(selector, &(struct kind_pairs){shop, 2}));
    assert_false(kind_selector_matches(selector, &(struct kind_pairs){shop, 1}));
    shop[0].value = TEXT("dev");
    assert_false(kind_selector_matches(selector, &(struct kind_pairs){shop, 2}));
    assert_true(kind_selector_matches(NULL, &(struct kind_pairs){0}));
    read_fini(&read);
}

static void a_gateway_without_allowed_listeners_takes_none(void **state)
{
    (void)state;
    struct read read;
    const struct kind_object *object =
        read_one(&read, GATEWAY_V1 "kind: Gateway\nmetadata: {name: a}\nspec: {gatewayClassName: "
                                   "a, listeners: [{name: a, port: 80, protocol: HTTP}]}\n");
    assert_int_equal(object->gateway->allowed_listeners.from, KIND_FROM_NONE);
    assert_text(object->meta.namespace, "default");
    read_fini(&read);
}

static void an_http_route_gets_its_defaults(void **state)
{
    (void)state;
    struct read read;
    const struct kind_object *object =
        read_one(&read, GATEWAY_V1 "kind: HTTPRoute\nmetadata: {name: a, namespace: b}\nspec:\n"
                                   "  parentRefs: [{name: edge, sectionName: http, port: 80}]\n"
                                   "  rules:\n  - backendRefs: [{name: web, port: 8080}]\n"
                                   "  - matches: [{method: GET}]\n");
    const struct kind_http_route *route = object->http_route;
    assert_text(route->parents.items[0].group, KIND_GROUP_GATEWAY);
    assert_text(route->parents.items[0].kind, "Gateway");
    assert_int_equal(route->parents.items[0].port, 80);
    assert_int_equal(route->rule_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(route->rules[i].match_count, 1);
        assert_int_equal(route->rules[i].matches[0].path_type, KIND_MATCH_PREFIX);
        assert_text(route->rules[i].matches[0].path, "/");
    }
    assert_text(route->rules[1].matches[0].method, "GET");
    const struct kind_backend_ref *backend = &route->rules[0].backends[0];
    assert_text(backend->group, "");
    assert_text(backend->kind, "Service");
    assert_int_equal(backend->weight, 1);
    assert_int_equal(backend->place.line, 7);
    assert_false(route->rules[0].request_timeout.is_set);
    read_fini(&read);
}

static void an_empty_http_route_matches_everything(void **state)
{
    (void)state;
    struct read read;
    const struct kind_object *object =
        read_one(&read, GATEWAY_V1 "kind: HTTPRoute\nmetadata: {name: a}\nspec: {}\n");
    assert_int_equal(object->http_route->rule_count, 1);
    assert_text(object->http_route->rules[0].matches[0].path, "/");
    read_fini(&read);
}

static void every_filter_of_an_http_route_is_read(void **state)
{
    (void)state;
    struct read read;
    const struct kind_object *object = read_one(
        &read, GATEWAY_V1
        "kind: HTTPRoute\nmetadata: {name: a}\nspec:\n  rules:\n"
        "  - matches:\n    - path: {type: RegularExpression, value: '/a+'}\n"
        "      headers: [{name: X-A, value: b}, {name: c, type: RegularExpression, value: d.*}]\n"
        "      queryParams: [{name: q, value: r}]\n"
        "    filters:\n"
        "    - type: RequestHeaderModifier\n"
        "      requestHeaderModifier: {set: [{name: a, value: b}], add: [{name: c, value: d}], "
        "remove: [e, f]}\n"
        "    - {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [g]}}\n"
        "    - {type: RequestMirror, requestMirror: {backendRef: {name: m, port: 1}, percent: 0}}\n"
        "    - {type: RequestMirror, requestMirror: {backendRef: {name: m, port: 1}, fraction: "
        "{numerator: 1}}}\n"
        "    - {type: URLRewrite, urlRewrite: {hostname: a.b, path: {type: ReplaceFullPath, "
        "replaceFullPath: ''}}}\n"
        "    - {type: CORS, cors: {allowOrigins: ['*'], allowCredentials: true}}\n"
        "    - {type: ExternalAuth, externalAuth: {protocol: HTTP, http: {path: /check}, "
        "backendRef: {name: x, port: 2}, forwardBody: {maxSize: 9}}}\n"
        "    - {type: ExtensionRef, extensionRef: {group: a.b, kind: C, name: d}}\n"
        "    backendRefs:\n    - name: w\n      port: 80\n      weight: 0\n"
        "      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {}}]\n"
        "    timeouts: {request: 1h30m, backendRequest: 500ms}\n"
        "    retry: {codes: [500, 503], backoff: 1s}\n"
        "    sessionPersistence: {cookie: {name: s}, absoluteTimeout: 0s}\n"
        "  - filters:\n    - {type: RequestRedirect, requestRedirect: {scheme: https, path: {type: "
        "ReplacePrefixMatch, replacePrefixMatch: /n}}}\n");
    const struct kind_http_rule *rule = &object->http_route->rules[0];
    const struct kind_filter *filters = rule->filters;
    assert_int_equal(rule->matches[0].path_type, KIND_MATCH_REGEX);
    assert_int_equal(rule->matches[0].headers[0].type, KIND_MATCH_EXACT);
    assert_int_equal(rule->matches[0].headers[1].type, KIND_MATCH_REGEX);
    assert_text(rule->matches[0].query_params[0].value, "r");
    assert_int_equal(rule->filter_count, 8);
    assert_text(filters[0].request_headers->remove.items[1], "f");
    assert_text(filters[1].response_headers->remove.items[0], "g");
    assert_true(filters[2].mirror->has_percent);
    assert_int_equal(filters[2].mirror->backend.weight, 1);
    assert_int_equal(filters[3].mirror->fraction->denominator, 100);
    assert_true(filters[4].rewrite->path->has_full);
    assert_text(filters[4].rewrite->path->full, "");
    assert_int_equal(filters[5].cors->max_age, 5);
    assert_true(filters[5].cors->allow_credentials);
    assert_text(filters[6].external_auth->http->path, "/check");
    assert_int_equal(filters[6].external_auth->forward_body_bytes_max, 9);
    assert_text(filters[7].extension_ref->kind, "C");
    assert_int_equal(rule->backends[0].weight, 0);
    assert_int_equal(rule->backends[0].filter_count, 1);
    assert_int_equal(rule->request_timeout.ms, 5400000);
    assert_int_equal(rule->backend_request_timeout.ms, 500);
    assert_int_equal(rule->retry->codes[1], 503);
    assert_int_equal(rule->retry->attempts, 1);
    assert_int_equal(rule->retry->backoff.ms, 1000);
    assert_text(rule->session->cookie_path, "/");
    assert_true(rule->session->absolute_timeout.is_set);
    const struct kind_redirect *redirect = object->http_route->rules[1].filters[0].redirect;
    assert_int_equal(redirect->status_code, 302);
    assert_int_equal(redirect->path->type, KIND_PATH_REPLACE_PREFIX);
    read_fini(&read);
}

static void the_other_routes_are_read(void **state)
{
    (void)state;
    struct read read;
    read_text(&read,
              TEXT(GATEWAY_V1
                   "kind: GRPCRoute\nmetadata: {name: a}\nspec: {rules: [{matches: [{method: "
                   "{service: a.B, method: C}}, {headers: [{name: x, value: z}]}], backendRefs: "
                   "[{name: g, port: 1}]}]}\n---\n" GATEWAY_V1
                   "kind: TLSRoute\nmetadata: {name: a}\nspec: {hostnames: ['*.a'], rules: "
                   "[{backendRefs: [{name: g, port: 1}]}]}\n---\n" GATEWAY_V1
                   "kind: TCPRoute\nmetadata: {name: a}\nspec: {rules: [{backendRefs: [{name: g, "
                   "port: 1, weight: 3}]}]}\n---\n" GATEWAY_V1
                   "kind: UDPRoute\nmetadata: {name: a}\nspec: {rules: [{backendRefs: [{name: g, "
                   "port: 1}]}]}\n"),
              KIND_STRICT);
    assert_int_equal(read.faults.count, 0);
    assert_int_equal(read.objects.count, 4);
    const struct kind_grpc_rule *rule = &read.objects.items[0]->grpc_route->rules[0];
    assert_true(rule->matches[0].has_method);
    assert_int_equal(rule->matches[0].method_type, KIND_MATCH_EXACT);
    assert_text(rule->matches[0].service, "a.B");
    assert_false(rule->matches[1].has_method);
    assert_text(read.objects.items[1]->l4_route->hostnames.items[0], "*.a");
    assert_int_equal(read.objects.items[2]->l4_route->rules[0].backends[0].weight, 3);
    assert_int_equal(read.objects.items[3]->id, KIND_UDP_ROUTE);
    read_fini(&read);
}

static void services_and_slices_are_read(void **state)
{
    (void)state;
    struct read read;
    read_text(&read,
              TEXT("apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: "
                   "{gateway.nantian.dev/address: 127.0.0.1}}\nspec: {clusterIP: None, ports: "
                   "[{name: a, port: 80, targetPort: web, appProtocol: kubernetes.io/h2c}, {name: "
                   "b, port: 53, protocol: UDP}], selector: {a: b}}\n---\n"
                   "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a-1, "
                   "labels: {kubernetes.io/service-name: a}}\naddressType: IPv4\nports: [{name: "
                   "a, port: 8080}]\nendpoints:\n- {addresses: [10.0.0.1, 10.0.0.2]}\n- "
                   "addresses: [10.0.0.3]\n  conditions: {ready: false, serving: true, "
                   "terminating: true}\n  zone: z\n  hints: {forZones: [{name: w}]}\n  targetRef: "
                   "{kind: Pod, name: p}\n"),
              KIND_STRICT);
    assert_int_equal(read.faults.count, 0);
    const struct kind_service *service = read.objects.items[0]->service;
    assert_text(kind_pairs_get(&read.objects.items[0]->meta.annotations, KIND_ANNOTATION_ADDRESS),
                "127.0.0.1");
    assert_text(service->type, "ClusterIP");
    assert_true(service->ports[0].target_port.is_text);
    assert_text(service->ports[0].protocol, "TCP");
    assert_text(service->ports[0].app_protocol, "kubernetes.io/h2c");
    assert_int_equal(service->ports[1].target_port.number, 53);
    const struct kind_endpoint_slice *slice = read.objects.items[1]->endpoint_slice;
    assert_text(slice->service_name, "a");
    assert_int_equal(slice->family, KIND_FAMILY_IPV4);
    assert_int_equal(slice->endpoints[0].addresses.count, 2);
    assert_true(slice->endpoints[0].ready);
    assert_true(slice->endpoints[0].serving);
    assert_false(slice->endpoints[1].ready);
    assert_true(slice->endpoints[1].serving);
    assert_true(slice->endpoints[1].terminating);
    assert_text(slice->endpoints[1].hint_zones.items[0], "w");
    assert_text(slice->endpoints[1].target->name, "p");
    read_fini(&read);
}

static void secrets_are_decoded(void **state)
{
    (void)state;
    struct read read;
    const struct kind_object *object =
        read_one(&read, "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"
                        "stringData: {b: plain, c: won}\n"
                        "data: {a: AAECAw==, c: bG9zdA==, d: '', e: \"QUJD\\nRA==\\n\"}\n");
    const struct kind_secret *secret = object->secret;
    assert_text(secret->type, "Opaque");
    assert_int_equal(secret->entry_count, 5);
    assert_int_equal(kind_secret_get(secret, "a")->bytes.len, 4);
    assert_memory_equal(kind_secret_get(secret, "a")->bytes.data, "\0\1\2\3", 4);
    assert_text(kind_secret_get(secret, "b")->bytes, "plain");
    assert_text(kind_secret_get(secret, "c")->bytes, "won");
    assert_text(kind_secret_get(secret, "d")->bytes, "");
    assert_text(kind_secret_get(secret, "e")->bytes, "ABCD");
    assert_null(kind_secret_get(secret, "f"));
    read_fini(&read);
}

static void a_backend_lb_policy_is_read(void **state)
{
    (void)state;
    struct read read;
    const struct kind_object *object = read_one(
        &read, "apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: BackendLBPolicy\n"
               "metadata: {name: a}\nspec:\n"
               "  targetRefs: [{group: '', kind: Service, name: s}]\n"
               "  loadBalancing:\n    type: ConsistentHash\n"
               "    consistentHash: {keyType: Header, headerName: X-User, algorithm: Maglev}\n");
    const struct kind_backend_lb_policy *policy = object->backend_lb_policy;
    assert_text(policy->targets[0].name, "s");
    assert_int_equal(policy->balance, KIND_BALANCE_CONSISTENT_HASH);
    assert_int_equal(policy->hash->key, KIND_HASH_KEY_HEADER);
    assert_int_equal(policy->hash->algorithm, KIND_HASH_ALGORITHM_MAGLEV);
    assert_text(policy->hash->header, "X-User");
    read_fini(&read);
    object = read_one(&read, "apiVersion: gateway.networking.k8s.io/v1alpha2\n"
                             "kind: BackendLBPolicy\nmetadata: {name: a}\n"
                             "spec: {targetRefs: [{group: '', kind: Service, name: s}]}\n");
    assert_int_equal(object->backend_lb_policy->balance, KIND_BALANCE_ROUND_ROBIN);
    read_fini(&read);
}

static void policies_and_grants_are_read(void **state)
{
    (void)state;
    struct read read;
    read_text(
        &read,
        TEXT(GATEWAY_V1
             "kind: ReferenceGrant\nmetadata: {name: a}\nspec: {from: [{group: "
             "gateway.networking.k8s.io, kind: HTTPRoute, namespace: b}], to: [{group: '', kind: "
             "Service}, {group: '', kind: Secret, name: s}]}\n---\n" GATEWAY_V1
             "kind: BackendTLSPolicy\nmetadata: {name: a}\nspec: {targetRefs: [{group: '', kind: "
             "Service, name: s, sectionName: p}], validation: {hostname: a.b, "
             "wellKnownCACertificates: System, subjectAltNames: [{type: URI, uri: "
             "'spiffe://a/b'}]}}\n---\n" GATEWAY_V1
             "kind: ListenerSet\nmetadata: {name: a}\nspec: {parentRef: {name: g, namespace: m}, "
             "listeners: [{name: l, port: 1, protocol: TCP}]}\n---\n" GATEWAY_V1
             "kind: GatewayClass\nmetadata: {name: a}\nspec: {controllerName: a.b/c}\n---\n"
             "apiVersion: gateway.nantian.dev/v1alpha1\nkind: RoutePolicy\nmetadata: {name: "
             "a}\nspec: {targetRefs: [{kind: HTTPRoute, name: r}], default: {timeout: {request: "
             "1.5s}, bodyLimit: {maxRequestBodyBytes: 0}, proxy: {responseBuffering: false}}}\n"
             "---\napiVersion: gateway.nantian.dev/v1alpha1\nkind: SecurityPolicy\nmetadata: "
             "{name: a}\nspec: {targetRefs: [{kind: HTTPRoute, name: r}], rateLimit: "
             "[{requestsPerSecond: 5, keyType: header, keyHeaderName: x-user}, {scope: listener, "
             "requestsPerSecond: 9, burst: 20, keyType: sourceIP}], ip: {denyCIDRs: "
             "[10.0.0.0/8]}, authn: {jwt: {issuers: [{issuer: i}]}}}\n"),
        KIND_STRICT);
    assert_int_equal(read.faults.count, 0);
    assert_int_equal(read.objects.count, 6);
    struct kind_object **objects = read.objects.items;
    assert_text(objects[0]->reference_grant->to[0].name, "");
    assert_text(objects[0]->reference_grant->to[1].name, "s");
    assert_text(objects[1]->backend_tls_policy->well_known_ca, "System");
    assert_int_equal(objects[1]->backend_tls_policy->sans[0].type, KIND_SAN_URI);
    assert_text(objects[1]->backend_tls_policy->targets[0].section_name, "p");
    assert_text(objects[2]->listener_set->parent.kind, "Gateway");
    assert_text(objects[3]->gateway_class->controller_name, "a.b/c");
    const struct kind_route_policy *route = objects[4]->route_policy;
    assert_int_equal(route->request.ms, 1500);
    assert_true(route->request_body_bytes_max.is_set);
    assert_false(route->buffer_size.is_set);
    assert_true(route->response_buffering.is_set);
    assert_false(route->response_buffering.value);
    const struct kind_security_policy *policy = objects[5]->security_policy;
    assert_int_equal(policy->rate_limit_count, 2);
    assert_int_equal(policy->rate_limits[0].scope, KIND_RATE_SCOPE_ROUTE);
    assert_int_equal(policy->rate_limits[0].burst, 5);
    assert_text(policy->rate_limits[0].key_header, "x-user");
    assert_int_equal(policy->rate_limits[1].key, KIND_RATE_KEY_SOURCE_IP);
    assert_int_equal(policy->rate_limits[1].burst, 20);
    assert_text(policy->deny_cidrs.items[0], "10.0.0.0/8");
    assert_text(policy->jwt_issuers[0].header_name, "Authorization");
    assert_text(policy->targets[0].group, KIND_GROUP_GATEWAY);
    read_fini(&read);
}

static void lists_are_unrolled(void **state)
{
    (void)state;
    struct read read;
    read_text(&read,
              TEXT("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, "
                   "metadata: {name: a}}\n- {apiVersion: v1, kind: Namespace, metadata: {name: "
                   "b}}\n---\napiVersion: v1\nkind: NamespaceList\nmetadata: {resourceVersion: "
                   "'5'}\nitems:\n- {metadata: {name: c}}\n---\n# nothing\n---\n"),
              KIND_STRICT);
    assert_int_equal(read.faults.count, 0);
    assert_int_equal(read.objects.count, 3);
    assert_text(read.objects.items[2]->meta.name, "c");
    read_fini(&read);
}

static void digests_see_content_and_not_form(void **state)
{
    (void)state;
    struct read one, other;
    const struct kind_object *a = read_one(
        &one, "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80, "
              "protocol: TCP}]}\nstatus: {x: y}\n");
    const struct kind_object *b =
        read_one(&other, "# moved\nkind: Service\napiVersion: v1\nmetadata:\n  name: a\n  "
                         "resourceVersion: '9'\n  labels: {}\nspec:\n  ports:\n  - {protocol: "
                         "'TCP', port: 0x50}\n");
    assert_true(digest_equal(a->spec_digest, b->spec_digest));
    read_fini(&other);
    b = read_one(&other, "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {l: m}}\n"
                         "spec: {ports: [{port: 80, protocol: TCP}]}\n");
    assert_true(digest_equal(a->spec_digest, b->spec_digest));
    assert_false(digest_equal(a->digest, b->digest));
    read_fini(&other);
    b = read_one(&other, "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
                         "spec: {ports: [{port: 81, protocol: TCP}]}\n");
    assert_false(digest_equal(a->spec_digest, b->spec_digest));
    read_fini(&other);
    read_fini(&one);
}

static void the_registry_knows_its_kinds(void **state)
{
    (void)state;
    assert_int_equal(kind_find(TEXT(""), TEXT("Service")), KIND_SERVICE);
    assert_int_equal(kind_find(TEXT(KIND_GROUP_GATEWAY), TEXT("Service")), KIND_NONE);
    for (int id = KIND_NONE + 1; id < KIND_COUNT; id++) {
        enum kind_id kind = (enum kind_id)id;
        assert_int_equal(kind_find(text_of(kind_group(kind)), text_of(kind_name(kind))), kind);
    }
    assert_false(kind_is_namespaced(KIND_GATEWAY_CLASS));
    assert_true(kind_is_namespaced(KIND_GATEWAY));
}

static void old_versions_keep_their_looser_rules(void **state)
{
    (void)state;
    struct read read;
    read_text(&read,
              TEXT("apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: TLSRoute\nmetadata: "
                   "{name: a}\nspec: {rules: [{backendRefs: [{name: x, port: 1}]}, {backendRefs: "
                   "[{name: z, port: 1}]}]}\n"),
              KIND_STRICT);
    assert_int_equal(read.faults.count, 1);
    assert_int_equal(read.faults.items[0].level, FAULT_NOTE);
    assert_int_equal(read.objects.items[0]->l4_route->rule_count, 2);
    read_fini(&read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_is_read),
        cmocka_unit_test(what_every_api_server_takes_is_no_error),
        cmocka_unit_test(what_only_the_standard_channel_takes_is_served_with_a_warning),
        cmocka_unit_test(a_gateway_is_read_whole),
        cmocka_unit_test(a_gateway_without_allowed_listeners_takes_none),
        cmocka_unit_test(an_http_route_gets_its_defaults),
        cmocka_unit_test(an_empty_http_route_matches_everything),
        cmocka_unit_test(every_filter_of_an_http_route_is_read),
        cmocka_unit_test(the_other_routes_are_read),
        cmocka_unit_test(services_and_slices_are_read),
        cmocka_unit_test(secrets_are_decoded),
        cmocka_unit_test(a_backend_lb_policy_is_read),
        cmocka_unit_test(policies_and_grants_are_read),
        cmocka_unit_test(lists_are_unrolled),
        cmocka_unit_test(digests_see_content_and_not_form),
        cmocka_unit_test(the_registry_knows_its_kinds),
        cmocka_unit_test(old_versions_keep_their_looser_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
