/* BackendLBPolicy. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/backend_lb_policy.h"

#include "control/kind/format.h"
#include "control/kind/shapes.h"

static const struct decode_name key_types[] = {
    {"SourceIP", KIND_HASH_KEY_SOURCE_IP},
    {"Header", KIND_HASH_KEY_HEADER},
    {"Cookie", KIND_HASH_KEY_COOKIE},
    {"Hostname", KIND_HASH_KEY_HOSTNAME},
    {"URL", KIND_HASH_KEY_URL},
    {NULL, 0},
};

static const struct decode_name algorithms[] = {
    {"RingHash", KIND_HASH_ALGORITHM_RING},
    {"Maglev", KIND_HASH_ALGORITHM_MAGLEV},
    {NULL, 0},
};

static const struct decode_field hash_fields[] = {
    {"keyType", DECODE_ENUM, .is_required = true,
     .offset = offsetof(struct kind_consistent_hash, key), .names = key_types},
    {"algorithm", DECODE_ENUM, .offset = offsetof(struct kind_consistent_hash, algorithm),
     .names = algorithms, .otherwise = "RingHash"},
    {"headerName", DECODE_TEXT, .offset = offsetof(struct kind_consistent_hash, header),
     .format = &format_header_name},
    {"cookieName", DECODE_TEXT, .offset = offsetof(struct kind_consistent_hash, cookie),
     .format = &format_header_name},
};

static void check_name(struct decode *decode, const struct value *map, const char *name,
                       bool is_wanted)
{
    const struct value *value = value_get(map, name);
    if (is_wanted && value == NULL)
        decode_add(decode, &(struct decode_fault){.code = "MissingField", .at = map, .child = name},
                   "%s is required for this keyType", name);
    if (!is_wanted && value != NULL)
        decode_add(decode,
                   &(struct decode_fault){.code = "FieldConflict", .at = value, .child = name},
                   "%s does not go with this keyType", name);
}

static void check_hash(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_consistent_hash *hash = out;
    if (hash->key == KIND_HASH_KEY_UNKNOWN)
        return;
    check_name(decode, map, "headerName", hash->key == KIND_HASH_KEY_HEADER);
    check_name(decode, map, "cookieName", hash->key == KIND_HASH_KEY_COOKIE);
}

static const struct decode_shape hash_shape = {
    .size = sizeof(struct kind_consistent_hash),
    .fields = hash_fields,
    .count = ARRAY_LEN(hash_fields),
    .check = check_hash,
};

static const struct decode_name balances[] = {
    {"RoundRobin", KIND_BALANCE_ROUND_ROBIN},
    {"LeastRequest", KIND_BALANCE_LEAST_REQUEST},
    {"Random", KIND_BALANCE_RANDOM},
    {"ConsistentHash", KIND_BALANCE_CONSISTENT_HASH},
    {NULL, 0},
};

static const struct decode_field slow_fields[] = {
    {"window", DECODE_DURATION, .is_required = true,
     .offset = offsetof(struct kind_backend_lb_policy, slow_start)},
};

static const struct decode_shape slow_shape = {
    .size = sizeof(struct kind_backend_lb_policy),
    .fields = slow_fields,
    .count = ARRAY_LEN(slow_fields),
};

static const struct decode_field balancing_fields[] = {
    {"type", DECODE_ENUM, .offset = offsetof(struct kind_backend_lb_policy, balance),
     .names = balances, .otherwise = "RoundRobin"},
    {"consistentHash", DECODE_POINTER, .offset = offsetof(struct kind_backend_lb_policy, hash),
     .shape = &hash_shape},
    {"slowStart", DECODE_SAME, .shape = &slow_shape},
    {"panicThreshold", DECODE_INT32,
     .offset = offsetof(struct kind_backend_lb_policy, panic_percent), .number = 50, .max = 100},
};

static void check_balancing(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_backend_lb_policy *policy = out;
    bool is_hash = policy->balance == KIND_BALANCE_CONSISTENT_HASH;
    if (is_hash == (policy->hash != NULL) || policy->balance == KIND_BALANCE_UNKNOWN)
        return;
    const char *child = "consistentHash";
    if (is_hash)
        decode_add(decode,
                   &(struct decode_fault){.code = "MissingField", .at = map, .child = child},
                   "consistentHash is required when type is ConsistentHash");
    else
        decode_add(decode,
                   &(struct decode_fault){
                       .code = "FieldConflict", .at = value_get(map, child), .child = child},
                   "consistentHash may be set only when type is ConsistentHash");
}

static const struct decode_shape balancing_shape = {
    .size = sizeof(struct kind_backend_lb_policy),
    .fields = balancing_fields,
    .count = ARRAY_LEN(balancing_fields),
    .check = check_balancing,
};

static const struct decode_field breaker_fields[] = {
    {"maxInflightRequests", DECODE_INT32,
     .offset = offsetof(struct kind_backend_lb_policy, max_requests), .max = INT32_MAX},
    {"maxConnections", DECODE_INT32,
     .offset = offsetof(struct kind_backend_lb_policy, max_connections), .max = INT32_MAX},
    {"maxPendingRequests", DECODE_INT32,
     .offset = offsetof(struct kind_backend_lb_policy, max_pending), .max = INT32_MAX},
};

static const struct decode_shape breaker_shape = {
    .size = sizeof(struct kind_backend_lb_policy),
    .fields = breaker_fields,
    .count = ARRAY_LEN(breaker_fields),
};

static const struct decode_field ejection_fields[] = {
    {"consecutiveServerErrors", DECODE_INT32,
     .offset = offsetof(struct kind_ejection, server_errors), .number = 5, .max = INT32_MAX},
    {"consecutiveGatewayErrors", DECODE_INT32,
     .offset = offsetof(struct kind_ejection, gateway_errors), .max = INT32_MAX},
    {"consecutiveConnectErrors", DECODE_INT32,
     .offset = offsetof(struct kind_ejection, connect_errors), .max = INT32_MAX},
    {"baseEjectionTime", DECODE_DURATION, .offset = offsetof(struct kind_ejection, base)},
    {"maxEjectionTime", DECODE_DURATION, .offset = offsetof(struct kind_ejection, max)},
    {"maxEjectionPercent", DECODE_INT32, .offset = offsetof(struct kind_ejection, max_percent),
     .number = 50, .max = 100},
};

static void check_ejection(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_ejection *ejection = out;
    if (ejection->base.is_set && ejection->base.ms == 0)
        decode_add(decode,
                   &(struct decode_fault){.code = "OutOfRange",
                                          .at = value_get(map, "baseEjectionTime"),
                                          .child = "baseEjectionTime"},
                   "must be longer than nothing");
}

static const struct decode_shape ejection_shape = {
    .size = sizeof(struct kind_ejection),
    .fields = ejection_fields,
    .count = ARRAY_LEN(ejection_fields),
    .check = check_ejection,
};

static const struct decode_field policy_fields[] = {
    {"targetRefs", DECODE_LIST, .is_required = true,
     .offset = offsetof(struct kind_backend_lb_policy, targets),
     .second = offsetof(struct kind_backend_lb_policy, target_count), .shape = &kind_shape_target,
     .min = 1, .max = 16},
    {"sessionPersistence", DECODE_POINTER,
     .offset = offsetof(struct kind_backend_lb_policy, session), .shape = &kind_shape_lb_session},
    {"loadBalancing", DECODE_SAME, .shape = &balancing_shape},
    {"circuitBreaker", DECODE_SAME, .shape = &breaker_shape},
    {"outlierDetection", DECODE_POINTER,
     .offset = offsetof(struct kind_backend_lb_policy, ejection), .shape = &ejection_shape},
};

const struct decode_shape kind_shape_backend_lb_policy = {
    .size = sizeof(struct kind_backend_lb_policy),
    .fields = policy_fields,
    .count = ARRAY_LEN(policy_fields),
};
