/* XBackendTrafficPolicy. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/backend_traffic_policy.h"

#include "control/kind/format.h"
#include "control/kind/shapes.h"

#define HOUR_MS 3600000

static const struct decode_field budget_fields[] = {
    {"percent", DECODE_INT32, .offset = offsetof(struct kind_retry_constraint, percent),
     .number = 20, .max = 100},
    {"interval", DECODE_DURATION, .offset = offsetof(struct kind_retry_constraint, interval)},
};

static void check_interval(struct decode *decode, const struct value *map,
                           const struct kind_duration *duration, int64_t min_ms)
{
    if (!duration->is_set || (duration->ms >= min_ms && duration->ms <= HOUR_MS))
        return;
    decode_add(decode,
               &(struct decode_fault){
                   .code = "OutOfRange", .at = value_get(map, "interval"), .child = "interval"},
               "must be from %s to 1h", min_ms == 1 ? "1ms" : "1s");
}

static void check_budget(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_retry_constraint *retry = out;
    check_interval(decode, map, &retry->interval, 1000);
}

static const struct decode_shape budget_shape = {
    .size = sizeof(struct kind_retry_constraint),
    .fields = budget_fields,
    .count = ARRAY_LEN(budget_fields),
    .check = check_budget,
};

static const struct decode_field rate_fields[] = {
    {"count", DECODE_INT32, .offset = offsetof(struct kind_retry_constraint, min_count),
     .number = 10, .min = 1, .max = 1000000},
    {"interval", DECODE_DURATION, .offset = offsetof(struct kind_retry_constraint, min_interval)},
};

static void check_rate(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_retry_constraint *retry = out;
    check_interval(decode, map, &retry->min_interval, 1);
}

static const struct decode_shape rate_shape = {
    .size = sizeof(struct kind_retry_constraint),
    .fields = rate_fields,
    .count = ARRAY_LEN(rate_fields),
    .check = check_rate,
};

static const struct decode_field retry_fields[] = {
    {"budget", DECODE_SAME, .shape = &budget_shape},
    {"minRetryRate", DECODE_SAME, .shape = &rate_shape},
};

static const struct decode_shape retry_shape = {
    .size = sizeof(struct kind_retry_constraint),
    .fields = retry_fields,
    .count = ARRAY_LEN(retry_fields),
};

static const struct decode_field policy_fields[] = {
    {"targetRefs", DECODE_LIST, .is_required = true,
     .offset = offsetof(struct kind_backend_traffic_policy, targets),
     .second = offsetof(struct kind_backend_traffic_policy, target_count),
     .shape = &kind_shape_whole_target, .min = 1, .max = 16},
    {"retryConstraint", DECODE_POINTER,
     .offset = offsetof(struct kind_backend_traffic_policy, retry), .shape = &retry_shape},
    {"sessionPersistence", DECODE_POINTER,
     .offset = offsetof(struct kind_backend_traffic_policy, session), .shape = &kind_shape_session},
};

const struct decode_shape kind_shape_backend_traffic_policy = {
    .size = sizeof(struct kind_backend_traffic_policy),
    .fields = policy_fields,
    .count = ARRAY_LEN(policy_fields),
};
