/* What the data plane of this release can do. One table: a feature is enabled here by one word. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum capability {
    CAPABILITY_GRPC_ROUTE,
    CAPABILITY_TLS_ROUTE,
    CAPABILITY_TLS_ROUTE_TERMINATE,
    CAPABILITY_TCP_ROUTE,
    CAPABILITY_UDP_ROUTE,
    CAPABILITY_REQUEST_MIRROR,
    CAPABILITY_CORS,
    CAPABILITY_EXTERNAL_AUTH,
    CAPABILITY_SESSION_PERSISTENCE,
    CAPABILITY_RETRY_CODES,
    CAPABILITY_BACKEND_H2C,
    CAPABILITY_BACKEND_TLS,
    CAPABILITY_BACKEND_CLIENT_CERTIFICATE,
    CAPABILITY_BACKEND_REDIRECT,
    CAPABILITY_CLIENT_VALIDATION,
    CAPABILITY_LISTENER_FILTERS,
    CAPABILITY_POLICY_EXTERNAL_AUTH,
    CAPABILITY_AUTHENTICATION,
    CAPABILITY_ADDRESS_LISTS,
    CAPABILITY_RATE_LIMIT_QUEUE,
    CAPABILITY_RATE_LIMIT_SCOPES,
    CAPABILITY_NEXT_UPSTREAM_TIMEOUT,
    CAPABILITY_CONNECT_TIMEOUT,
    CAPABILITY_BODY_LIMITS,
    CAPABILITY_BUFFERING,
    CAPABILITY_KEEPALIVE,
    CAPABILITY_COUNT,
};

#define CAPABILITY_ALL ((UINT64_C(1) << CAPABILITY_COUNT) - 1)

uint64_t capability_default(void);
bool capability_has(uint64_t capabilities, enum capability capability);
/* "request mirroring": what a message says is not supported. Static. */
const char *capability_name(enum capability capability);
/* The Gateway API features (GatewayClass status.supportedFeatures), sorted; at most `cap` of them,
 * static. Returns how many. */
uint64_t capability_features(uint64_t capabilities, const char **features, uint64_t cap);
