/* XBackend (experimental channel, GEP-4894): somewhere to send requests that says itself how it is
 * reached: its host or pods, its port, its protocol, its TLS. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/backend_tls_policy.h"

enum kind_x_backend_type {
    KIND_X_BACKEND_UNKNOWN,
    KIND_X_BACKEND_EXTERNAL_HOSTNAME,
    KIND_X_BACKEND_ENDPOINT_SELECTOR,
};

enum kind_x_backend_protocol {
    KIND_X_BACKEND_AS_ROUTED, /* not said, or HTTP: what the route speaks */
    KIND_X_BACKEND_TCP,
    KIND_X_BACKEND_HTTP2,
    KIND_X_BACKEND_HTTP11,
    KIND_X_BACKEND_H2C,
    KIND_X_BACKEND_MCP,
    KIND_X_BACKEND_GRPC,
    KIND_X_BACKEND_WSS,
};

enum kind_x_backend_mode {
    KIND_X_BACKEND_PLAIN,
    KIND_X_BACKEND_SERVER_ONLY,
    KIND_X_BACKEND_CLIENT_AND_SERVER,
};

struct kind_x_backend_selector {
    struct kind_place place;
    struct kind_pairs match_labels;
};

struct kind_x_backend_host {
    struct kind_place place;
    struct text hostname;
};

struct kind_x_backend {
    struct kind_place place; /* of spec */
    enum kind_x_backend_type type;
    struct text type_text;
    int32_t port;
    struct kind_x_backend_host *host; /* NULL: absent, as all of these */
    struct kind_x_backend_selector *selector;
    struct kind_session_persistence *session;
    enum kind_x_backend_protocol protocol;
    struct text protocol_text; /* empty: not said */
    struct kind_place tls_place;
    enum kind_x_backend_mode mode;
    struct text mode_text;
    struct kind_ref *client_certificate;
    struct kind_backend_tls_policy *validation; /* without targets */
};
