/* What a worker's own requests tell of an endpoint: when it should not be chosen for a while, and
 * how slowly it comes back. Pure: the pool has the timers. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/snapshot/backend.h"

enum health_result {
    HEALTH_GOOD,
    HEALTH_SERVER_ERROR,  /* 500 and above, but: */
    HEALTH_GATEWAY_ERROR, /* 502, 503, 504; reset, broken or silent in the middle */
    HEALTH_CONNECT_ERROR, /* no connection */
};

/* Each error counts for the kinds above it too; a good answer ends all runs. */
struct health {
    uint32_t server_errors, gateway_errors, connect_errors; /* in a row */
    uint32_t times;       /* ejected so often, without a good while in between */
    uint64_t returned_ns; /* from the last time; 0: never out */
    uint64_t out_ms;      /* that time's length */
};

/* True: one run is as long as the policy allows. */
bool health_report(struct health *health, const struct ejection *policy, enum health_result result);
/* It goes out: for how long. Twice as long as the last time, unless it has been in for longer than
 * it was out. */
uint64_t health_eject(struct health *health, const struct ejection *policy, uint64_t now_ns);
void health_return(struct health *health, uint64_t now_ns);

/* With a slow start weights are counted in hundredths: from a tenth of `weight` to all of it. */
uint32_t health_weight(uint32_t weight, uint32_t slow_start_ms, uint64_t since_ns, uint64_t now_ns);
