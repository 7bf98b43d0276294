/* SecurityPolicy (gateway.nantian.dev/v1alpha1). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/security_policy.h"

#include "control/kind/format.h"
#include "control/kind/shapes.h"

static const struct decode_name rate_scopes[] = {
    {"global", KIND_RATE_SCOPE_GLOBAL},
    {"listener", KIND_RATE_SCOPE_LISTENER},
    {"route", KIND_RATE_SCOPE_ROUTE},
    {"backend", KIND_RATE_SCOPE_BACKEND},
    {NULL, 0},
};

static const struct decode_name rate_keys[] = {
    {"route", KIND_RATE_KEY_ROUTE},
    {"sourceIP", KIND_RATE_KEY_SOURCE_IP},
    {"header", KIND_RATE_KEY_HEADER},
    {NULL, 0},
};

static const struct decode_name rate_actions[] = {
    {"reject", KIND_RATE_ACTION_REJECT},
    {"queue", KIND_RATE_ACTION_QUEUE},
    {NULL, 0},
};

static const struct decode_field rate_fields[] = {
    {"scope", DECODE_ENUM, .offset = offsetof(struct kind_rate_limit, scope),
     .second = offsetof(struct kind_rate_limit, scope_text), .names = rate_scopes,
     .otherwise = "route"},
    {"requestsPerSecond", DECODE_INT64, .is_required = true,
     .offset = offsetof(struct kind_rate_limit, requests_per_second), .min = 1, .max = UINT32_MAX},
    {"burst", DECODE_INT64, .offset = offsetof(struct kind_rate_limit, burst), .min = 0,
     .max = UINT32_MAX},
    {"keyType", DECODE_ENUM, .offset = offsetof(struct kind_rate_limit, key),
     .second = offsetof(struct kind_rate_limit, key_text), .names = rate_keys,
     .otherwise = "route"},
    {"keyHeaderName", DECODE_TEXT, .offset = offsetof(struct kind_rate_limit, key_header),
     .format = &format_header_name},
    {"onLimit", DECODE_ENUM, .offset = offsetof(struct kind_rate_limit, action),
     .second = offsetof(struct kind_rate_limit, action_text), .names = rate_actions,
     .otherwise = "reject"},
};

static void check_rate(struct decode *decode, void *out, const struct value *map)
{
    struct kind_rate_limit *limit = out;
    if (limit->burst == 0)
        limit->burst = limit->requests_per_second;
    if (limit->key == KIND_RATE_KEY_HEADER && limit->key_header.len == 0)
        decode_add(
            decode,
            &(struct decode_fault){.code = "MissingField", .at = map, .child = "keyHeaderName"},
            "keyHeaderName is required when keyType is header");
    if (limit->key != KIND_RATE_KEY_HEADER && limit->key_header.len > 0)
        decode_add(decode,
                   &(struct decode_fault){.code = "FieldConflict",
                                          .at = value_get(map, "keyHeaderName"),
                                          .child = "keyHeaderName"},
                   "keyHeaderName goes only with keyType header");
}

static const struct decode_shape rate_shape = {
    .size = sizeof(struct kind_rate_limit),
    .fields = rate_fields,
    .count = ARRAY_LEN(rate_fields),
    .check = check_rate,
};

static const struct decode_field secret_name_fields[] = {
    {"group", DECODE_TEXT, .offset = offsetof(struct kind_ref, group), .otherwise = "",
     .format = &format_group},
    {"kind", DECODE_TEXT, .offset = offsetof(struct kind_ref, kind), .otherwise = "Secret",
     .format = &format_kind},
    {"namespace", DECODE_TEXT, .offset = offsetof(struct kind_ref, namespace),
     .format = &format_label},
    {"name", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_ref, name),
     .format = &format_object_name},
    {.name = "key"},
};

static const struct decode_shape secret_name_shape = {
    .size = sizeof(struct kind_ref),
    .fields = secret_name_fields,
    .count = ARRAY_LEN(secret_name_fields),
};

static const struct decode_field issuer_fields[] = {
    {"issuer", DECODE_TEXT, .offset = offsetof(struct kind_jwt_issuer, issuer)},
    {"jwksUrl", DECODE_TEXT, .offset = offsetof(struct kind_jwt_issuer, jwks_url)},
    {"audience", DECODE_TEXT, .offset = offsetof(struct kind_jwt_issuer, audience)},
    {"headerName", DECODE_TEXT, .offset = offsetof(struct kind_jwt_issuer, header_name),
     .format = &format_header_name, .otherwise = "Authorization"},
    {"tokenPrefix", DECODE_TEXT, .offset = offsetof(struct kind_jwt_issuer, token_prefix),
     .otherwise = "Bearer "},
    {"claimsToHeaders", DECODE_PAIRS,
     .offset = offsetof(struct kind_jwt_issuer, claims_to_headers)},
    {"cacheTtlSecs", DECODE_INT32, .offset = offsetof(struct kind_jwt_issuer, cache_ttl_s),
     .max = INT32_MAX},
};

static const struct decode_shape issuer_shape = {
    .size = sizeof(struct kind_jwt_issuer),
    .fields = issuer_fields,
    .count = ARRAY_LEN(issuer_fields),
};

static const struct decode_field oidc_fields[] = {
    {"providerAuthorizationUrl", DECODE_TEXT,
     .offset = offsetof(struct kind_oidc, authorization_url)},
    {"providerTokenUrl", DECODE_TEXT, .offset = offsetof(struct kind_oidc, token_url)},
    {"providerJwksUrl", DECODE_TEXT, .offset = offsetof(struct kind_oidc, jwks_url)},
    {"providerUserinfoUrl", DECODE_TEXT, .offset = offsetof(struct kind_oidc, userinfo_url)},
    {"clientId", DECODE_TEXT, .offset = offsetof(struct kind_oidc, client_id)},
    {"clientSecretRef", DECODE_POINTER, .offset = offsetof(struct kind_oidc, client_secret),
     .shape = &secret_name_shape},
    {"callbackPath", DECODE_TEXT, .offset = offsetof(struct kind_oidc, callback_path),
     .format = &format_path},
    {"scopes", DECODE_TEXTS, .offset = offsetof(struct kind_oidc, scopes)},
    {"redirectUrl", DECODE_TEXT, .offset = offsetof(struct kind_oidc, redirect_url)},
    {"sessionSigningKeyRef", DECODE_POINTER,
     .offset = offsetof(struct kind_oidc, session_signing_key), .shape = &secret_name_shape},
    {"sessionCookieName", DECODE_TEXT, .offset = offsetof(struct kind_oidc, session_cookie_name)},
    {"sessionTtlSecs", DECODE_INT32, .offset = offsetof(struct kind_oidc, session_ttl_s),
     .max = INT32_MAX},
};

static const struct decode_shape oidc_shape = {
    .size = sizeof(struct kind_oidc),
    .fields = oidc_fields,
    .count = ARRAY_LEN(oidc_fields),
};

static const struct decode_field basic_fields[] = {
    {"htpasswdRef", DECODE_POINTER, .offset = offsetof(struct kind_basic_auth, htpasswd),
     .shape = &secret_name_shape},
    {"bcrypt", DECODE_BOOL, .offset = offsetof(struct kind_basic_auth, bcrypt)},
    {"realm", DECODE_TEXT, .offset = offsetof(struct kind_basic_auth, realm)},
};

static const struct decode_shape basic_shape = {
    .size = sizeof(struct kind_basic_auth),
    .fields = basic_fields,
    .count = ARRAY_LEN(basic_fields),
};

static const struct decode_field jwt_fields[] = {
    {"issuers", DECODE_LIST, .offset = offsetof(struct kind_security_policy, jwt_issuers),
     .second = offsetof(struct kind_security_policy, jwt_issuer_count), .shape = &issuer_shape},
};

static const struct decode_shape jwt_shape = {
    .size = sizeof(struct kind_security_policy),
    .fields = jwt_fields,
    .count = ARRAY_LEN(jwt_fields),
};

static const struct decode_field authn_fields[] = {
    {"jwt", DECODE_SAME, .shape = &jwt_shape},
    {"oidc", DECODE_POINTER, .offset = offsetof(struct kind_security_policy, oidc),
     .shape = &oidc_shape},
    {"basicAuth", DECODE_POINTER, .offset = offsetof(struct kind_security_policy, basic_auth),
     .shape = &basic_shape},
};

static const struct decode_shape authn_shape = {
    .size = sizeof(struct kind_security_policy),
    .fields = authn_fields,
    .count = ARRAY_LEN(authn_fields),
};

static const struct decode_field external_http_fields[] = {
    {"pathPrefix", DECODE_TEXT, .offset = offsetof(struct kind_policy_auth, path_prefix),
     .format = &format_path},
    {"headersToAdd", DECODE_TEXTS, .offset = offsetof(struct kind_policy_auth, headers_to_add),
     .format = &format_header_name},
};

static const struct decode_shape external_http_shape = {
    .size = sizeof(struct kind_policy_auth),
    .fields = external_http_fields,
    .count = ARRAY_LEN(external_http_fields),
};

static const struct decode_field external_grpc_fields[] = {
    {"grpcService", DECODE_TEXT, .offset = offsetof(struct kind_policy_auth, grpc_service)},
};

static const struct decode_shape external_grpc_shape = {
    .size = sizeof(struct kind_policy_auth),
    .fields = external_grpc_fields,
    .count = ARRAY_LEN(external_grpc_fields),
};

static const struct decode_field external_fields[] = {
    {"protocol", DECODE_TEXT, .is_required = true,
     .offset = offsetof(struct kind_policy_auth, protocol)},
    {"backendRef", DECODE_POINTER, .is_required = true,
     .offset = offsetof(struct kind_policy_auth, backend), .shape = &kind_shape_backend},
    {"http", DECODE_SAME, .shape = &external_http_shape},
    {"grpc", DECODE_SAME, .shape = &external_grpc_shape},
    {"forwardBodyMaxSize", DECODE_INT32,
     .offset = offsetof(struct kind_policy_auth, forward_body_bytes_max), .max = INT32_MAX},
};

static const struct decode_shape external_shape = {
    .size = sizeof(struct kind_policy_auth),
    .fields = external_fields,
    .count = ARRAY_LEN(external_fields),
};

static const struct decode_field authz_fields[] = {
    {"external", DECODE_POINTER, .offset = offsetof(struct kind_security_policy, external_auth),
     .shape = &external_shape},
};

static const struct decode_shape authz_shape = {
    .size = sizeof(struct kind_security_policy),
    .fields = authz_fields,
    .count = ARRAY_LEN(authz_fields),
};

static const struct decode_field cors_fields[] = {
    {"allowOrigins", DECODE_TEXTS, .offset = offsetof(struct kind_policy_cors, allow_origins),
     .format = &format_origin},
    {"allowMethods", DECODE_TEXTS, .offset = offsetof(struct kind_policy_cors, allow_methods),
     .format = &format_cors_method},
    {"allowHeaders", DECODE_TEXTS, .offset = offsetof(struct kind_policy_cors, allow_headers),
     .format = &format_header_name},
    {"exposeHeaders", DECODE_TEXTS, .offset = offsetof(struct kind_policy_cors, expose_headers),
     .format = &format_header_name},
    {"allowCredentials", DECODE_BOOL,
     .offset = offsetof(struct kind_policy_cors, allow_credentials)},
    {"maxAge", DECODE_INT32, .offset = offsetof(struct kind_policy_cors, max_age),
     .max = INT32_MAX},
};

static const struct decode_shape cors_shape = {
    .size = sizeof(struct kind_policy_cors),
    .fields = cors_fields,
    .count = ARRAY_LEN(cors_fields),
};

static const struct decode_field ip_fields[] = {
    {"allowCIDRs", DECODE_TEXTS, .offset = offsetof(struct kind_security_policy, allow_cidrs),
     .format = &format_cidr},
    {"denyCIDRs", DECODE_TEXTS, .offset = offsetof(struct kind_security_policy, deny_cidrs),
     .format = &format_cidr},
};

static const struct decode_shape ip_shape = {
    .size = sizeof(struct kind_security_policy),
    .fields = ip_fields,
    .count = ARRAY_LEN(ip_fields),
};

static const struct decode_field policy_fields[] = {
    {"targetRefs", DECODE_LIST, .offset = offsetof(struct kind_security_policy, targets),
     .second = offsetof(struct kind_security_policy, target_count),
     .shape = &kind_shape_policy_target, .max = 16},
    {"authn", DECODE_SAME, .shape = &authn_shape},
    {"authz", DECODE_SAME, .shape = &authz_shape},
    {"cors", DECODE_POINTER, .offset = offsetof(struct kind_security_policy, cors),
     .shape = &cors_shape},
    {"rateLimit", DECODE_LIST, .offset = offsetof(struct kind_security_policy, rate_limits),
     .second = offsetof(struct kind_security_policy, rate_limit_count), .shape = &rate_shape,
     .max = 16},
    {"ip", DECODE_SAME, .shape = &ip_shape},
};

const struct decode_shape kind_shape_security_policy = {
    .size = sizeof(struct kind_security_policy),
    .fields = policy_fields,
    .count = ARRAY_LEN(policy_fields),
};
