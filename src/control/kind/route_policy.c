/* RoutePolicy (gateway.nantian.dev/v1alpha1). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/route_policy.h"

#include "control/kind/format.h"
#include "control/kind/shapes.h"

/* Also of SecurityPolicy, which may name a namespace. */
static const struct decode_field target_fields[] = {
    {"group", DECODE_TEXT, .offset = offsetof(struct kind_target_ref, group),
     .otherwise = KIND_GROUP_GATEWAY, .format = &format_group},
    {"kind", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_target_ref, kind),
     .format = &format_kind},
    {"name", DECODE_TEXT, .is_required = true, .offset = offsetof(struct kind_target_ref, name),
     .format = &format_object_name},
    {"sectionName", DECODE_TEXT, .offset = offsetof(struct kind_target_ref, section_name),
     .format = &format_section},
    {"namespace", DECODE_TEXT, .offset = offsetof(struct kind_target_ref, namespace),
     .format = &format_label},
};

static const struct decode_shape target_shape = {
    .size = sizeof(struct kind_target_ref),
    .fields = target_fields,
    .count = ARRAY_LEN(target_fields) - 1,
};

const struct decode_shape kind_shape_policy_target = {
    .size = sizeof(struct kind_target_ref),
    .fields = target_fields,
    .count = ARRAY_LEN(target_fields),
};

static const struct decode_field timeout_fields[] = {
    {"request", DECODE_DURATION_1F, .offset = offsetof(struct kind_route_policy, request)},
    {"backendRequest", DECODE_DURATION_1F,
     .offset = offsetof(struct kind_route_policy, backend_request)},
    {"connect", DECODE_DURATION_1F, .offset = offsetof(struct kind_route_policy, connect)},
    {"nextUpstream", DECODE_DURATION_1F,
     .offset = offsetof(struct kind_route_policy, next_upstream)},
};

static const struct decode_field body_fields[] = {
    {"maxRequestBodyBytes", DECODE_LIMIT,
     .offset = offsetof(struct kind_route_policy, request_body_bytes_max), .max = INT64_MAX},
    {"requestBodyBufferBytes", DECODE_LIMIT,
     .offset = offsetof(struct kind_route_policy, request_body_buffer_bytes), .max = INT64_MAX},
    {"maxRequestHeaderBytes", DECODE_LIMIT,
     .offset = offsetof(struct kind_route_policy, request_header_bytes_max), .max = INT64_MAX},
};

static const struct decode_field proxy_fields[] = {
    {"requestBuffering", DECODE_SWITCH,
     .offset = offsetof(struct kind_route_policy, request_buffering)},
    {"responseBuffering", DECODE_SWITCH,
     .offset = offsetof(struct kind_route_policy, response_buffering)},
    {"bufferSize", DECODE_LIMIT, .offset = offsetof(struct kind_route_policy, buffer_size),
     .max = INT64_MAX},
    {"bufferCount", DECODE_LIMIT, .offset = offsetof(struct kind_route_policy, buffer_count),
     .max = INT32_MAX},
};

static const struct decode_field connection_fields[] = {
    {"keepaliveRequests", DECODE_LIMIT,
     .offset = offsetof(struct kind_route_policy, keepalive_requests), .max = INT32_MAX},
    {"keepaliveTime", DECODE_DURATION_1F,
     .offset = offsetof(struct kind_route_policy, keepalive_time)},
    {"keepaliveTimeout", DECODE_DURATION_1F,
     .offset = offsetof(struct kind_route_policy, keepalive_timeout)},
    {"upstreamKeepalivePoolSize", DECODE_LIMIT,
     .offset = offsetof(struct kind_route_policy, upstream_pool_size), .max = INT32_MAX},
    {"upstreamKeepaliveIdle", DECODE_DURATION_1F,
     .offset = offsetof(struct kind_route_policy, upstream_idle)},
};

static const struct decode_shape timeout_shape = {sizeof(struct kind_route_policy), timeout_fields,
                                                  ARRAY_LEN(timeout_fields), NULL, NULL};
static const struct decode_shape body_shape = {sizeof(struct kind_route_policy), body_fields,
                                               ARRAY_LEN(body_fields), NULL, NULL};
static const struct decode_shape proxy_shape = {sizeof(struct kind_route_policy), proxy_fields,
                                                ARRAY_LEN(proxy_fields), NULL, NULL};
static const struct decode_shape connection_shape = {
    sizeof(struct kind_route_policy), connection_fields, ARRAY_LEN(connection_fields), NULL, NULL};

static const struct decode_field default_fields[] = {
    {"timeout", DECODE_SAME, .shape = &timeout_shape},
    {"bodyLimit", DECODE_SAME, .shape = &body_shape},
    {"proxy", DECODE_SAME, .shape = &proxy_shape},
    {"connection", DECODE_SAME, .shape = &connection_shape},
};

static const struct decode_shape default_shape = {sizeof(struct kind_route_policy), default_fields,
                                                  ARRAY_LEN(default_fields), NULL, NULL};

static const struct decode_field policy_fields[] = {
    {"targetRefs", DECODE_LIST, .offset = offsetof(struct kind_route_policy, targets),
     .second = offsetof(struct kind_route_policy, target_count), .shape = &target_shape},
    {"default", DECODE_SAME, .shape = &default_shape},
};

const struct decode_shape kind_shape_route_policy = {
    .size = sizeof(struct kind_route_policy),
    .fields = policy_fields,
    .count = ARRAY_LEN(policy_fields),
};
