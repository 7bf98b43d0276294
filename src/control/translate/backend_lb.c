/* How requests are spread over the endpoints of a Service, and how many of them may be retries. */
/* SPDX-License-Identifier: Apache-2.0 */

#include "control/kind/backend_lb_policy.h"
#include "control/kind/backend_traffic_policy.h"
#include "control/translate/service_policy.h"
#include "control/translate/terms/hostname.h"

static Nantian__Config__V1__Backend__Hash *hash_of(struct arena *arena,
                                                   const struct kind_consistent_hash *from)
{
    static const int KEYS[] = {
        [KIND_HASH_KEY_SOURCE_IP] = NANTIAN__CONFIG__V1__BACKEND__HASH__KEY__CLIENT_ADDRESS,
        [KIND_HASH_KEY_HEADER] = NANTIAN__CONFIG__V1__BACKEND__HASH__KEY__HEADER,
        [KIND_HASH_KEY_COOKIE] = NANTIAN__CONFIG__V1__BACKEND__HASH__KEY__COOKIE,
        [KIND_HASH_KEY_HOSTNAME] = NANTIAN__CONFIG__V1__BACKEND__HASH__KEY__HOST,
        [KIND_HASH_KEY_URL] = NANTIAN__CONFIG__V1__BACKEND__HASH__KEY__PATH,
    };
    Nantian__Config__V1__Backend__Hash *hash = arena_new(arena, Nantian__Config__V1__Backend__Hash);
    nantian__config__v1__backend__hash__init(hash);
    hash->key = KEYS[from->key];
    if (from->key == KIND_HASH_KEY_HEADER)
        hash->name = arena_string(arena, hostname_lower(arena, from->header));
    if (from->key == KIND_HASH_KEY_COOKIE)
        hash->name = arena_string(arena, from->cookie);
    return hash;
}

static void apply_balance(struct arena *arena, const struct kind_backend_lb_policy *policy,
                          Nantian__Config__V1__Backend *message)
{
    switch (policy->balance) {
    case KIND_BALANCE_LEAST_REQUEST:
        message->balance = NANTIAN__CONFIG__V1__BACKEND__BALANCE__LEAST_REQUEST;
        return;
    case KIND_BALANCE_RANDOM:
        message->balance = NANTIAN__CONFIG__V1__BACKEND__BALANCE__RANDOM;
        return;
    case KIND_BALANCE_CONSISTENT_HASH:
        message->balance = policy->hash->algorithm == KIND_HASH_ALGORITHM_MAGLEV
                               ? NANTIAN__CONFIG__V1__BACKEND__BALANCE__MAGLEV
                               : NANTIAN__CONFIG__V1__BACKEND__BALANCE__RING_HASH;
        message->hash = hash_of(arena, policy->hash);
        return;
    case KIND_BALANCE_ROUND_ROBIN:
    case KIND_BALANCE_UNKNOWN:
        return;
    }
}

static uint32_t milliseconds(const struct kind_duration *duration, uint32_t otherwise)
{
    return duration->is_set ? (uint32_t)MIN(MAX(duration->ms, 0), (int64_t)UINT32_MAX) : otherwise;
}

static Nantian__Config__V1__Backend__HealthCheck *health_of(struct arena *arena,
                                                            const struct kind_health_check *from)
{
    Nantian__Config__V1__Backend__HealthCheck *check =
        arena_new(arena, Nantian__Config__V1__Backend__HealthCheck);
    nantian__config__v1__backend__health_check__init(check);
    check->type =
        from->type == KIND_HEALTH_TCP    ? NANTIAN__CONFIG__V1__BACKEND__HEALTH_CHECK__TYPE__TCP
        : from->type == KIND_HEALTH_GRPC ? NANTIAN__CONFIG__V1__BACKEND__HEALTH_CHECK__TYPE__GRPC
                                         : NANTIAN__CONFIG__V1__BACKEND__HEALTH_CHECK__TYPE__HTTP;
    check->interval_ms = milliseconds(&from->interval, 10000);
    check->timeout_ms = milliseconds(&from->timeout, 2000);
    check->healthy = (uint32_t)from->healthy;
    check->unhealthy = (uint32_t)from->unhealthy;
    check->host = arena_string(arena, from->host);
    check->service = arena_string(arena, from->service);
    if (from->type == KIND_HEALTH_HTTP)
        check->path = arena_string(arena, from->path);
    check->statuses = arena_array(arena, uint32_t, from->status_count + 1);
    for (size_t i = 0; i < from->status_count; i++)
        check->statuses[check->n_statuses++] = (uint32_t)from->statuses[i];
    return check;
}

static void apply_guards(struct arena *arena, const struct kind_backend_lb_policy *policy,
                         Nantian__Config__V1__Backend *message)
{
    message->max_requests = (uint32_t)policy->max_requests;
    message->max_connections = (uint32_t)policy->max_connections;
    message->max_pending = (uint32_t)policy->max_pending;
    message->slow_start_ms = milliseconds(&policy->slow_start, 0);
    const struct kind_ejection *from = policy->ejection;
    if (policy->health_check != NULL) {
        message->health_check = health_of(arena, policy->health_check);
        message->panic_percent = (uint32_t)policy->panic_percent;
    }
    if (from == NULL)
        return;
    Nantian__Config__V1__Backend__Ejection *ejection =
        arena_new(arena, Nantian__Config__V1__Backend__Ejection);
    nantian__config__v1__backend__ejection__init(ejection);
    ejection->server_errors = (uint32_t)from->server_errors;
    ejection->gateway_errors = (uint32_t)from->gateway_errors;
    ejection->connect_errors = (uint32_t)from->connect_errors;
    ejection->base_ms = milliseconds(&from->base, 30000);
    ejection->max_ms = milliseconds(&from->max, 300000);
    ejection->max_percent = (uint32_t)from->max_percent;
    message->ejection = ejection;
    message->panic_percent = (uint32_t)policy->panic_percent;
}

void backend_lb_apply(struct translation *t, const struct kind_object *object, struct text scope,
                      Nantian__Config__V1__Backend *message)
{
    const struct kind_backend_lb_policy *policy = object->backend_lb_policy;
    apply_balance(&t->scratch, policy, message);
    apply_guards(&t->scratch, policy, message);
    if (policy->session != NULL && translation_can(t, CAPABILITY_SESSION_PERSISTENCE))
        message->session = session_message(
            t, policy->session, arena_printf(&t->scratch, "Backend/" TEXT_FMT, TEXT_ARG(scope)));
}

void backend_lb_apply_traffic(struct translation *t, const struct kind_object *object,
                              struct text scope, Nantian__Config__V1__Backend *message)
{
    const struct kind_backend_traffic_policy *policy = object->backend_traffic_policy;
    const struct kind_retry_constraint *from = policy->retry;
    if (policy->session != NULL && translation_can(t, CAPABILITY_SESSION_PERSISTENCE))
        message->session = session_message(
            t, policy->session, arena_printf(&t->scratch, "Backend/" TEXT_FMT, TEXT_ARG(scope)));
    if (from == NULL)
        return;
    Nantian__Config__V1__Backend__RetryBudget *budget =
        arena_new(&t->scratch, Nantian__Config__V1__Backend__RetryBudget);
    nantian__config__v1__backend__retry_budget__init(budget);
    budget->percent = (uint32_t)from->percent;
    budget->interval_ms = milliseconds(&from->interval, 10000);
    budget->min_count = (uint32_t)from->min_count;
    budget->min_interval_ms = milliseconds(&from->min_interval, 1000);
    message->retry_budget = budget;
}

static struct piece *judged(struct translation *t, const struct kind_object *object,
                            const struct kind_session_persistence *session)
{
    struct piece *piece = piece_new(piece_key_of(object));
    struct verdict accepted = service_policy_conflict(t, object);
    if (accepted.reason == NULL)
        accepted = service_policy_session(t, session);
    service_policy_judge(t, object, piece, accepted);
    return piece;
}

struct piece *backend_lb_piece(struct translation *t, const struct kind_object *object)
{
    return judged(t, object, object->backend_lb_policy->session);
}

struct piece *backend_lb_traffic_piece(struct translation *t, const struct kind_object *object)
{
    return judged(t, object, object->backend_traffic_policy->session);
}
