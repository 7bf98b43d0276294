/* The filters of HTTPRoute and GRPCRoute rules, of their backendRefs, and of listeners. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/common.h"

enum kind_filter_type {
    KIND_FILTER_UNKNOWN,
    KIND_FILTER_REQUEST_HEADERS,
    KIND_FILTER_RESPONSE_HEADERS,
    KIND_FILTER_REQUEST_MIRROR,
    KIND_FILTER_REQUEST_REDIRECT,
    KIND_FILTER_URL_REWRITE,
    KIND_FILTER_CORS,
    KIND_FILTER_EXTERNAL_AUTH,
    KIND_FILTER_EXTENSION_REF,
};

struct kind_header {
    struct kind_place place;
    struct text name, value;
};

struct kind_header_modifier {
    struct kind_place place;
    struct kind_header *set;
    size_t set_count;
    struct kind_header *add;
    size_t add_count;
    struct kind_texts remove;
};

struct kind_fraction {
    struct kind_place place;
    int32_t numerator, denominator; /* denominator 100 when absent */
};

struct kind_mirror {
    struct kind_place place;
    struct kind_backend_ref backend;
    bool has_percent;
    int32_t percent;
    struct kind_fraction *fraction; /* NULL: absent */
};

enum kind_path_modifier_type {
    KIND_PATH_UNKNOWN,
    KIND_PATH_REPLACE_FULL,
    KIND_PATH_REPLACE_PREFIX,
};

struct kind_path_modifier {
    struct kind_place place;
    enum kind_path_modifier_type type;
    struct text type_text;
    bool has_full, has_prefix; /* either may be "" and present */
    struct text full, prefix;
};

struct kind_redirect {
    struct kind_place place;
    struct text scheme;              /* "http", "https" or empty: as the request's */
    struct text hostname;            /* empty: as the request's */
    struct kind_path_modifier *path; /* NULL: as the request's */
    int32_t port;                    /* 0: absent */
    int32_t status_code;             /* 302 when absent */
};

struct kind_url_rewrite {
    struct kind_place place;
    struct text hostname;
    struct kind_path_modifier *path; /* NULL: absent */
};

struct kind_cors {
    struct kind_place place;
    struct kind_texts allow_origins, allow_methods, allow_headers, expose_headers;
    bool allow_credentials;
    int32_t max_age; /* seconds; 5 when absent */
};

enum kind_auth_protocol {
    KIND_AUTH_UNKNOWN,
    KIND_AUTH_HTTP,
    KIND_AUTH_GRPC,
};

struct kind_auth_grpc {
    struct kind_place place;
    struct kind_texts allowed_headers;
};

struct kind_auth_http {
    struct kind_place place;
    struct text path;
    struct kind_texts allowed_headers, allowed_response_headers;
};

struct kind_external_auth {
    struct kind_place place;
    enum kind_auth_protocol protocol;
    struct text protocol_text;
    struct kind_backend_ref backend;
    struct kind_auth_grpc *grpc; /* NULL: absent */
    struct kind_auth_http *http; /* NULL: absent */
    bool has_forward_body;
    int32_t forward_body_bytes_max;
};

/* The member that fits `type` is set (decode refuses others); all may be NULL if it was missing. */
struct kind_filter {
    struct kind_place place;
    enum kind_filter_type type;
    struct text type_text;
    struct kind_header_modifier *request_headers, *response_headers;
    struct kind_mirror *mirror;
    struct kind_redirect *redirect;
    struct kind_url_rewrite *rewrite;
    struct kind_cors *cors;
    struct kind_external_auth *external_auth;
    struct kind_ref *extension_ref;
};
