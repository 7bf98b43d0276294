/* RoutePolicy (gateway.nantian.dev): timeouts, body limits, buffering and keep-alive of what it
 * targets. Field names are those of the original; every member says whether it was set. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/common.h"

struct kind_limit {
    bool is_set;
    int64_t value;
};

struct kind_switch {
    bool is_set, value;
};

struct kind_route_policy {
    struct kind_place place;         /* of spec */
    struct kind_target_ref *targets; /* none: the whole namespace */
    size_t target_count;
    /* timeout */
    struct kind_duration request, backend_request, connect, next_upstream;
    /* bodyLimit */
    struct kind_limit request_body_bytes_max, request_body_buffer_bytes, request_header_bytes_max;
    /* proxy */
    struct kind_switch request_buffering, response_buffering;
    struct kind_limit buffer_size, buffer_count;
    /* connection */
    struct kind_limit keepalive_requests, upstream_pool_size;
    struct kind_duration keepalive_time, keepalive_timeout, upstream_idle;
};
