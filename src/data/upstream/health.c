/* Runs of errors, growing times, and the ramp of a slow start. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/health.h"

#include "base/macros.h"

#define NS_PER_MS UINT64_C(1000000)

static bool is_full(uint32_t run, uint32_t limit)
{
    return limit > 0 && run >= limit;
}

bool health_report(struct health *health, const struct ejection *policy, enum health_result result)
{
    health->server_errors = result >= HEALTH_SERVER_ERROR ? health->server_errors + 1 : 0;
    health->gateway_errors = result >= HEALTH_GATEWAY_ERROR ? health->gateway_errors + 1 : 0;
    health->connect_errors = result >= HEALTH_CONNECT_ERROR ? health->connect_errors + 1 : 0;
    return is_full(health->server_errors, policy->server_errors) ||
           is_full(health->gateway_errors, policy->gateway_errors) ||
           is_full(health->connect_errors, policy->connect_errors);
}

uint64_t health_eject(struct health *health, const struct ejection *policy, uint64_t now_ns)
{
    bool was_good = now_ns - health->returned_ns > health->out_ms * NS_PER_MS;
    health->times = was_good ? 0 : health->times;
    uint64_t ms = (uint64_t)policy->base_ms << MIN(health->times, 20u);
    health->times++;
    health->server_errors = health->gateway_errors = health->connect_errors = 0;
    health->out_ms = MIN(ms, MAX((uint64_t)policy->max_ms, (uint64_t)policy->base_ms));
    return health->out_ms;
}

void health_return(struct health *health, uint64_t now_ns)
{
    health->returned_ns = now_ns;
}

uint32_t health_weight(uint32_t weight, uint32_t slow_start_ms, uint64_t since_ns, uint64_t now_ns)
{
    if (slow_start_ms == 0)
        return weight;
    uint64_t passed_ms = (now_ns - since_ns) / NS_PER_MS;
    if (since_ns == 0 || passed_ms >= slow_start_ms)
        return weight * 100;
    return weight * MAX((uint32_t)(passed_ms * 100 / slow_start_ms), 10u);
}
