/* SecurityPolicy (gateway.nantian.dev): authentication, authorisation, CORS, rate limits, address
 * lists. It applies to what targetRefs names, or to the rule whose ExtensionRef filter names it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/common.h"

enum kind_rate_scope {
    KIND_RATE_SCOPE_UNKNOWN,
    KIND_RATE_SCOPE_GLOBAL,
    KIND_RATE_SCOPE_LISTENER,
    KIND_RATE_SCOPE_ROUTE, /* when absent */
    KIND_RATE_SCOPE_BACKEND,
};

enum kind_rate_key {
    KIND_RATE_KEY_UNKNOWN,
    KIND_RATE_KEY_ROUTE, /* when absent: one bucket for all */
    KIND_RATE_KEY_SOURCE_IP,
    KIND_RATE_KEY_HEADER,
};

enum kind_rate_action {
    KIND_RATE_ACTION_UNKNOWN,
    KIND_RATE_ACTION_REJECT, /* when absent */
    KIND_RATE_ACTION_QUEUE,
};

struct kind_rate_limit {
    struct kind_place place;
    enum kind_rate_scope scope;
    struct text scope_text;
    int64_t requests_per_second;
    int64_t burst; /* requests_per_second when absent */
    enum kind_rate_key key;
    struct text key_text;
    struct text key_header; /* for KIND_RATE_KEY_HEADER */
    enum kind_rate_action action;
    struct text action_text;
};

struct kind_jwt_issuer {
    struct kind_place place;
    struct text issuer, jwks_url, audience, header_name, token_prefix;
    struct kind_pairs claims_to_headers;
    int32_t cache_ttl_s;
};

struct kind_oidc {
    struct kind_place place;
    struct text authorization_url, token_url, jwks_url, userinfo_url;
    struct text client_id, callback_path, redirect_url, session_cookie_name;
    struct kind_ref *client_secret, *session_signing_key; /* NULL: absent */
    struct kind_texts scopes;
    int32_t session_ttl_s;
};

struct kind_basic_auth {
    struct kind_place place;
    struct kind_ref *htpasswd; /* NULL: absent */
    bool bcrypt;
    struct text realm;
};

struct kind_policy_auth {
    struct kind_place place;
    struct text protocol; /* "HTTP" or "GRPC" */
    struct kind_backend_ref *backend;
    struct text path_prefix;
    struct kind_texts headers_to_add;
    struct text grpc_service;
    int32_t forward_body_bytes_max;
};

struct kind_policy_cors {
    struct kind_place place;
    struct kind_texts allow_origins, allow_methods, allow_headers, expose_headers;
    bool allow_credentials;
    int32_t max_age;
};

struct kind_security_policy {
    struct kind_place place; /* of spec */
    struct kind_target_ref *targets;
    size_t target_count;
    struct kind_rate_limit *rate_limits;
    size_t rate_limit_count;
    struct kind_jwt_issuer *jwt_issuers;
    size_t jwt_issuer_count;
    struct kind_oidc *oidc;
    struct kind_basic_auth *basic_auth;
    struct kind_policy_auth *external_auth;
    struct kind_policy_cors *cors;
    struct kind_texts allow_cidrs, deny_cidrs;
};
