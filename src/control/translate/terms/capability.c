/* The table of what the data plane can do. To enable a feature: change its `false` to `true`. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/terms/capability.h"

#include "base/macros.h"

static const struct {
    const char *name;
    bool is_supported;
} TABLE[CAPABILITY_COUNT] = {
    [CAPABILITY_GRPC_ROUTE] = {"GRPCRoute traffic", true},
    [CAPABILITY_TLS_ROUTE] = {"TLSRoute traffic", true},
    [CAPABILITY_TLS_ROUTE_TERMINATE] = {"TLSRoute traffic on a terminating listener", true},
    [CAPABILITY_TCP_ROUTE] = {"TCPRoute traffic", true},
    [CAPABILITY_UDP_ROUTE] = {"UDPRoute traffic", true},
    [CAPABILITY_REQUEST_MIRROR] = {"request mirroring", true},
    [CAPABILITY_CORS] = {"CORS", true},
    [CAPABILITY_EXTERNAL_AUTH] = {"external authorization", true},
    [CAPABILITY_SESSION_PERSISTENCE] = {"session persistence", true},
    [CAPABILITY_RETRY_CODES] = {"retry on status codes", true},
    [CAPABILITY_BACKEND_H2C] = {"HTTP/2 to backends", true},
    [CAPABILITY_BACKEND_TLS] = {"TLS to backends", true},
    [CAPABILITY_BACKEND_CLIENT_CERTIFICATE] = {"client certificates to backends", true},
    [CAPABILITY_BACKEND_REDIRECT] = {"a redirect on a backend reference", false},
    [CAPABILITY_CLIENT_VALIDATION] = {"validation of client certificates", true},
    [CAPABILITY_LISTENER_FILTERS] = {"listener filters", false},
    [CAPABILITY_POLICY_EXTERNAL_AUTH] = {"external authorization of a policy", false},
    [CAPABILITY_AUTHENTICATION] = {"authentication", false},
    [CAPABILITY_ADDRESS_LISTS] = {"address lists", true},
    [CAPABILITY_RATE_LIMIT_QUEUE] = {"queueing over a rate limit", false},
    [CAPABILITY_RATE_LIMIT_SCOPES] = {"a rate limit scope other than Route", false},
    [CAPABILITY_NEXT_UPSTREAM_TIMEOUT] = {"a time budget over retries", true},
    [CAPABILITY_CONNECT_TIMEOUT] = {"a connect timeout per route", true},
    [CAPABILITY_BODY_LIMITS] = {"body limits per route", true},
    [CAPABILITY_BUFFERING] = {"buffering switches", false},
    [CAPABILITY_KEEPALIVE] = {"keep-alive settings per route", false},
};

/* Gateway API features, sorted by name; `needs` CAPABILITY_COUNT: always there. */
static const struct {
    const char *name;
    enum capability needs;
} FEATURES[] = {
    {"BackendTLSPolicy", CAPABILITY_BACKEND_TLS},
    {"BackendTLSPolicySANValidation", CAPABILITY_BACKEND_TLS},
    {"ClusterTrustBundle", CAPABILITY_CLIENT_VALIDATION},
    {"GRPCRoute", CAPABILITY_GRPC_ROUTE},
    {"GRPCRouteNamedRouteRule", CAPABILITY_GRPC_ROUTE},
    {"GRPCRouteRequestHeaderModifier", CAPABILITY_GRPC_ROUTE},
    {"Gateway", CAPABILITY_COUNT},
    {"GatewayAddressEmpty", CAPABILITY_COUNT},
    {"GatewayBackendClientCertificate", CAPABILITY_BACKEND_CLIENT_CERTIFICATE},
    {"GatewayFrontendClientCertificateValidation", CAPABILITY_CLIENT_VALIDATION},
    {"GatewayFrontendClientCertificateValidationInsecureFallback", CAPABILITY_CLIENT_VALIDATION},
    {"GatewayHTTPListenerIsolation", CAPABILITY_COUNT},
    {"GatewayHTTPSListenerDetectMisdirectedRequests", CAPABILITY_COUNT},
    {"GatewayInfrastructure", CAPABILITY_COUNT},
    {"GatewayPort8080", CAPABILITY_COUNT},
    {"GatewayRouteHostnameIntersectionPrecedence", CAPABILITY_COUNT},
    {"GatewayStaticAddresses", CAPABILITY_COUNT},
    {"HTTPRoute", CAPABILITY_COUNT},
    {"HTTPRoute303RedirectStatusCode", CAPABILITY_COUNT},
    {"HTTPRoute307RedirectStatusCode", CAPABILITY_COUNT},
    {"HTTPRoute308RedirectStatusCode", CAPABILITY_COUNT},
    {"HTTPRouteBackendProtocolH2C", CAPABILITY_BACKEND_H2C},
    {"HTTPRouteBackendProtocolWebSocket", CAPABILITY_COUNT},
    {"HTTPRouteBackendRequestHeaderModification", CAPABILITY_COUNT},
    {"HTTPRouteBackendTimeout", CAPABILITY_COUNT},
    {"HTTPRouteBackendURLRewrite", CAPABILITY_COUNT},
    {"HTTPRouteCORS", CAPABILITY_CORS},
    {"HTTPRouteDestinationPortMatching", CAPABILITY_COUNT},
    {"HTTPRouteHostRewrite", CAPABILITY_COUNT},
    {"HTTPRouteMethodMatching", CAPABILITY_COUNT},
    {"HTTPRouteNamedRouteRule", CAPABILITY_COUNT},
    {"HTTPRouteParentRefPort", CAPABILITY_COUNT},
    {"HTTPRoutePathRedirect", CAPABILITY_COUNT},
    {"HTTPRoutePathRewrite", CAPABILITY_COUNT},
    {"HTTPRoutePortRedirect", CAPABILITY_COUNT},
    {"HTTPRouteQueryParamMatching", CAPABILITY_COUNT},
    {"HTTPRouteRequestMirror", CAPABILITY_REQUEST_MIRROR},
    {"HTTPRouteRequestMultipleMirrors", CAPABILITY_REQUEST_MIRROR},
    {"HTTPRouteRequestPercentageMirror", CAPABILITY_REQUEST_MIRROR},
    {"HTTPRouteRequestTimeout", CAPABILITY_COUNT},
    {"HTTPRouteResponseHeaderModification", CAPABILITY_COUNT},
    {"HTTPRouteRetryCodes", CAPABILITY_RETRY_CODES},
    {"HTTPRouteRetryConnectionError", CAPABILITY_COUNT},
    {"HTTPRouteSchemeRedirect", CAPABILITY_COUNT},
    {"ListenerSet", CAPABILITY_COUNT},
    {"ReferenceGrant", CAPABILITY_COUNT},
    {"TCPRoute", CAPABILITY_TCP_ROUTE},
    {"TLSRoute", CAPABILITY_TLS_ROUTE},
    {"TLSRouteModeMixed", CAPABILITY_TLS_ROUTE_TERMINATE},
    {"TLSRouteModeTerminate", CAPABILITY_TLS_ROUTE_TERMINATE},
    {"UDPRoute", CAPABILITY_UDP_ROUTE},
};

uint64_t capability_default(void)
{
    uint64_t all = 0;
    for (uint64_t i = 0; i < CAPABILITY_COUNT; i++)
        all |= TABLE[i].is_supported ? UINT64_C(1) << i : 0;
    return all;
}

bool capability_has(uint64_t capabilities, enum capability capability)
{
    return (capabilities >> capability & 1) != 0;
}

const char *capability_name(enum capability capability)
{
    CHECK(capability < CAPABILITY_COUNT);
    return TABLE[capability].name;
}

uint64_t capability_features(uint64_t capabilities, const char **features, uint64_t cap)
{
    uint64_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(FEATURES) && count < cap; i++) {
        enum capability needs = FEATURES[i].needs;
        if (needs == CAPABILITY_COUNT || capability_has(capabilities, needs))
            features[count++] = FEATURES[i].name;
    }
    return count;
}
