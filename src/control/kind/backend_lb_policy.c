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

static const struct decode_name health_types[] = {
    {"HTTP", KIND_HEALTH_HTTP}, {"GRPC", KIND_HEALTH_GRPC}, {"TCP", KIND_HEALTH_TCP}, {NULL, 0}};

static const struct decode_field health_http_fields[] = {
    {"path", DECODE_TEXT, .offset = offsetof(struct kind_health_check, path), .otherwise = "/",
     .format = &format_path},
    {"hostname", DECODE_TEXT, .offset = offsetof(struct kind_health_check, host),
     .format = &format_precise_hostname},
    {"expectedStatuses", DECODE_INTS, .offset = offsetof(struct kind_health_check, statuses),
     .second = offsetof(struct kind_health_check, status_count), .is_set = true, .min = 100,
     .max = 599},
};

static const struct decode_field health_grpc_fields[] = {
    {"service", DECODE_TEXT, .offset = offsetof(struct kind_health_check, service)},
};

static const struct decode_shape health_http_shape = {
    .size = sizeof(struct kind_health_check),
    .fields = health_http_fields,
    .count = ARRAY_LEN(health_http_fields),
};

static const struct decode_shape health_grpc_shape = {
    .size = sizeof(struct kind_health_check),
    .fields = health_grpc_fields,
    .count = ARRAY_LEN(health_grpc_fields),
};

static const struct decode_field health_fields[] = {
    {"type", DECODE_ENUM, .offset = offsetof(struct kind_health_check, type), .names = health_types,
     .otherwise = "HTTP"},
    {"interval", DECODE_DURATION, .offset = offsetof(struct kind_health_check, interval)},
    {"timeout", DECODE_DURATION, .offset = offsetof(struct kind_health_check, timeout)},
    {"healthyThreshold", DECODE_INT32, .offset = offsetof(struct kind_health_check, healthy),
     .number = 2, .min = 1, .max = 100},
    {"unhealthyThreshold", DECODE_INT32, .offset = offsetof(struct kind_health_check, unhealthy),
     .number = 3, .min = 1, .max = 100},
    {"http", DECODE_SAME, .shape = &health_http_shape},
    {"grpc", DECODE_SAME, .shape = &health_grpc_shape},
};

static void check_member(struct decode *decode, const struct value *map, const char *name,
                         bool is_allowed)
{
    const struct value *value = value_get(map, name);
    if (value != NULL && !is_allowed)
        decode_add(decode,
                   &(struct decode_fault){.code = "FieldConflict", .at = value, .child = name},
                   "%s does not go with this type", name);
}

static void check_health(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_health_check *check = out;
    check_member(decode, map, "http", check->type == KIND_HEALTH_HTTP);
    check_member(decode, map, "grpc", check->type == KIND_HEALTH_GRPC);
    if (check->service.len > 100)
        decode_add(decode,
                   &(struct decode_fault){
                       .code = "OutOfRange", .at = value_get(map, "grpc"), .child = "grpc.service"},
                   "must be at most 100 bytes long");
    for (size_t i = 0; i < 2; i++) {
        const char *name = i == 0 ? "interval" : "timeout";
        const struct kind_duration *duration = i == 0 ? &check->interval : &check->timeout;
        if (duration->is_set && duration->ms < 10)
            decode_add(decode,
                       &(struct decode_fault){
                           .code = "OutOfRange", .at = value_get(map, name), .child = name},
                       "must be 10ms at least");
    }
}

static const struct decode_shape health_shape = {
    .size = sizeof(struct kind_health_check),
    .fields = health_fields,
    .count = ARRAY_LEN(health_fields),
    .check = check_health,
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
    {"healthCheck", DECODE_POINTER, .offset = offsetof(struct kind_backend_lb_policy, health_check),
     .shape = &health_shape},
    {"outlierDetection", DECODE_POINTER,
     .offset = offsetof(struct kind_backend_lb_policy, ejection), .shape = &ejection_shape},
};

const struct decode_shape kind_shape_backend_lb_policy = {
    .size = sizeof(struct kind_backend_lb_policy),
    .fields = policy_fields,
    .count = ARRAY_LEN(policy_fields),
};
