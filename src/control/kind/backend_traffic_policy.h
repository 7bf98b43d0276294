/* XBackendTrafficPolicy (experimental channel, GEP-3388): how many of the requests to the Services
 * that it targets may be retries, and session persistence for them. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/common.h"

/* Of all requests in the last `interval` so many in a hundred, and in any case `min_count` in each
 * `min_interval`. */
struct kind_retry_constraint {
    struct kind_place place;
    int32_t percent;
    struct kind_duration interval; /* not set: 10 s */
    int32_t min_count;
    struct kind_duration min_interval; /* not set: 1 s */
};

struct kind_backend_traffic_policy {
    struct kind_place place; /* of spec */
    struct kind_target_ref *targets;
    size_t target_count;
    struct kind_retry_constraint *retry;      /* NULL: absent */
    struct kind_session_persistence *session; /* NULL: absent */
};
