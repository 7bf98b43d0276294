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

static const struct decode_field balancing_fields[] = {
    {"type", DECODE_ENUM, .offset = offsetof(struct kind_backend_lb_policy, balance),
     .names = balances, .otherwise = "RoundRobin"},
    {"consistentHash", DECODE_POINTER, .offset = offsetof(struct kind_backend_lb_policy, hash),
     .shape = &hash_shape},
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

static const struct decode_field policy_fields[] = {
    {"targetRefs", DECODE_LIST, .is_required = true,
     .offset = offsetof(struct kind_backend_lb_policy, targets),
     .second = offsetof(struct kind_backend_lb_policy, target_count), .shape = &kind_shape_target,
     .min = 1, .max = 16},
    {"sessionPersistence", DECODE_POINTER,
     .offset = offsetof(struct kind_backend_lb_policy, session), .shape = &kind_shape_lb_session},
    {"loadBalancing", DECODE_SAME, .shape = &balancing_shape},
};

const struct decode_shape kind_shape_backend_lb_policy = {
    .size = sizeof(struct kind_backend_lb_policy),
    .fields = policy_fields,
    .count = ARRAY_LEN(policy_fields),
};
