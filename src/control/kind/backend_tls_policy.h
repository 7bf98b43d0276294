/* BackendTLSPolicy: how to speak TLS to the Services that it targets. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/common.h"

enum kind_san_type {
    KIND_SAN_UNKNOWN,
    KIND_SAN_HOSTNAME,
    KIND_SAN_URI,
};

struct kind_san {
    struct kind_place place;
    enum kind_san_type type;
    struct text type_text;
    struct text hostname, uri;
};

struct kind_backend_tls_policy {
    struct kind_place place; /* of spec */
    struct kind_target_ref *targets;
    size_t target_count;
    struct kind_place validation_place;
    struct kind_ref *ca_certificates; /* namespace always empty */
    size_t ca_certificate_count;
    struct text well_known_ca; /* "System", domain-prefixed, or empty */
    struct text hostname;
    struct kind_san *sans;
    size_t san_count;
    struct kind_pairs options;
};
