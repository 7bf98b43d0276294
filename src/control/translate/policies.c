/* Our own policies. A RoutePolicy that names something the data plane lacks is not applied and says
 * so; a SecurityPolicy of that sort refuses what it protects. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/policies.h"

#include <stdlib.h>

#include "control/kind/route_policy.h"
#include "control/kind/security_policy.h"
#include "control/translate/terms/hostname.h"

static bool limit_set(const struct kind_limit *limit)
{
    return limit->is_set;
}

/* The name of what cannot be done, or NULL. */
static const char *route_policy_lack(const struct translation *t,
                                     const struct kind_route_policy *policy, const char **ret_field)
{
    const struct {
        const char *field;
        bool is_set;
        enum capability capability;
    } USES[] = {
        {"spec.default.timeout.connect", policy->connect.is_set, CAPABILITY_CONNECT_TIMEOUT},
        {"spec.default.timeout.nextUpstream", policy->next_upstream.is_set,
         CAPABILITY_NEXT_UPSTREAM_TIMEOUT},
        {"spec.default.bodyLimit",
         limit_set(&policy->request_body_bytes_max) || limit_set(&policy->request_header_bytes_max),
         CAPABILITY_BODY_LIMITS},
        {"spec.default.bodyLimit.requestBodyBufferBytes",
         limit_set(&policy->request_body_buffer_bytes), CAPABILITY_BUFFERING},
        {"spec.default.proxy",
         policy->request_buffering.is_set || policy->response_buffering.is_set ||
             limit_set(&policy->buffer_size) || limit_set(&policy->buffer_count),
         CAPABILITY_BUFFERING},
        {"spec.default.connection",
         limit_set(&policy->keepalive_requests) || limit_set(&policy->upstream_pool_size) ||
             policy->keepalive_time.is_set || policy->keepalive_timeout.is_set ||
             policy->upstream_idle.is_set,
         CAPABILITY_KEEPALIVE},
    };
    for (size_t i = 0; i < ARRAY_LEN(USES); i++) {
        if (USES[i].is_set && !translation_can(t, USES[i].capability)) {
            *ret_field = USES[i].field;
            return capability_name(USES[i].capability);
        }
    }
    return NULL;
}

static const char *security_policy_lack(const struct translation *t,
                                        const struct kind_security_policy *policy,
                                        const char **ret_field)
{
    bool has_scope = false, has_queue = false;
    for (size_t i = 0; i < policy->rate_limit_count; i++) {
        has_scope = has_scope || policy->rate_limits[i].scope != KIND_RATE_SCOPE_ROUTE;
        has_queue = has_queue || policy->rate_limits[i].action != KIND_RATE_ACTION_REJECT;
    }
    const struct {
        const char *field;
        bool is_set;
        enum capability capability;
    } USES[] = {
        {"spec.authn",
         policy->jwt_issuer_count > 0 || policy->oidc != NULL || policy->basic_auth != NULL,
         CAPABILITY_AUTHENTICATION},
        {"spec.authz.external", policy->external_auth != NULL, CAPABILITY_POLICY_EXTERNAL_AUTH},
        {"spec.cors", policy->cors != NULL, CAPABILITY_CORS},
        {"spec.rateLimit.scope", has_scope, CAPABILITY_RATE_LIMIT_SCOPES},
        {"spec.rateLimit.onLimit", has_queue, CAPABILITY_RATE_LIMIT_QUEUE},
        {"spec.allowCidrs or denyCidrs",
         policy->allow_cidrs.count > 0 || policy->deny_cidrs.count > 0, CAPABILITY_ADDRESS_LISTS},
    };
    for (size_t i = 0; i < ARRAY_LEN(USES); i++) {
        if (USES[i].is_set && !translation_can(t, USES[i].capability)) {
            *ret_field = USES[i].field;
            return capability_name(USES[i].capability);
        }
    }
    return NULL;
}

/* ---- by what they target ---- */

struct targeting {
    struct store_key target; /* kind NONE: the policy names none */
    const struct kind_object *policy;
    size_t at; /* of the policy in its namespace */
};

/* All of one kind and namespace, sorted by target; each policy at most once for a target. */
struct targeting_list {
    struct targeting *items;
    size_t count;
};

static int compare_targetings(const void *a, const void *b)
{
    const struct targeting *x = a, *y = b;
    int order = piece_keys_compare(x->target, y->target);
    return order != 0 ? order : (x->at > y->at) - (x->at < y->at);
}

static size_t targets_of(const struct kind_object *policy, const struct kind_target_ref **ret_items)
{
    bool is_route = policy->id == KIND_ROUTE_POLICY;
    *ret_items = is_route ? policy->route_policy->targets : policy->security_policy->targets;
    return is_route ? policy->route_policy->target_count : policy->security_policy->target_count;
}

static struct store_key target_key(const struct kind_object *policy,
                                   const struct kind_target_ref *target)
{
    return (struct store_key){
        kind_find(target->group, target->kind),
        target->namespace.len > 0 ? target->namespace : policy->meta.namespace, target->name};
}

static void fill(struct targeting_list *out, struct store_list list)
{
    for (size_t i = 0; i < list.count; i++) {
        const struct kind_target_ref *targets;
        size_t count = targets_of(list.items[i], &targets);
        if (count == 0)
            out->items[out->count++] = (struct targeting){{0}, list.items[i], i};
        for (size_t k = 0; k < count; k++)
            out->items[out->count++] =
                (struct targeting){target_key(list.items[i], &targets[k]), list.items[i], i};
    }
    if (out->count > 1)
        qsort(out->items, out->count, sizeof(*out->items), compare_targetings);
    size_t kept = 0;
    for (size_t i = 0; i < out->count; i++)
        if (kept == 0 || compare_targetings(&out->items[kept - 1], &out->items[i]) != 0)
            out->items[kept++] = out->items[i];
    out->count = kept;
}

/* The store stands still during a run, so what was sorted once holds to its end. */
static const struct targeting_list *list_targetings(struct translation *t, enum kind_id kind,
                                                    struct text namespace)
{
    struct store_key folder = {kind, namespace, TEXT_NONE};
    struct targeting_list *made = map_get(&t->policies, piece_key(&t->scratch, folder));
    if (made != NULL)
        return made;
    struct store_list list = store_list_namespace(t->store, kind, namespace);
    size_t cap = 0;
    for (size_t i = 0; i < list.count; i++) {
        const struct kind_target_ref *targets;
        cap += MAX(targets_of(list.items[i], &targets), (size_t)1);
    }
    made = arena_new(&t->run, struct targeting_list);
    *made = (struct targeting_list){arena_array(&t->run, struct targeting, cap), 0};
    fill(made, list);
    map_put(&t->policies, piece_key(&t->run, folder), made);
    return made;
}

/* Those of this kind and namespace that target it (kind NONE: that target nothing), by name. */
static struct targeting_list find_policies(struct translation *t, enum kind_id kind,
                                           struct text namespace, struct store_key target)
{
    if (store_count(t->store, kind) == 0)
        return (struct targeting_list){NULL, 0};
    const struct targeting_list *all = list_targetings(t, kind, namespace);
    size_t low = 0, high = all->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (piece_keys_compare(all->items[middle].target, target) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    size_t end = low;
    while (end < all->count && piece_keys_equal(all->items[end].target, target))
        end++;
    return (struct targeting_list){all->items + low, end - low};
}

/* ---- what they do ---- */

static struct text lack_message(struct arena *arena, const struct kind_object *policy,
                                const char *field, const char *lack)
{
    return arena_printf(arena,
                        "%s " TEXT_FMT "/" TEXT_FMT " %s: this data plane does not support %s.",
                        kind_name(policy->id), TEXT_ARG(policy->meta.namespace),
                        TEXT_ARG(policy->meta.name), field, lack);
}

void policies_check(struct route_build *build)
{
    struct translation *t = build->t;
    struct store_key self = piece_key_of(build->object);
    struct targeting_list list = find_policies(t, KIND_SECURITY_POLICY, self.namespace, self);
    const char *field, *lack;
    for (size_t i = 0; i < list.count; i++) {
        const struct kind_object *policy = list.items[i].policy;
        lack = security_policy_lack(t, policy->security_policy, &field);
        if (lack == NULL)
            continue;
        struct route_spot spot = {build->object->meta.place, TEXT("SecurityPolicy")};
        route_unsupported(build, "UnsupportedValue", &spot,
                          lack_message(&t->scratch, policy, field, lack));
    }
    for (size_t i = 0; i < build->parent_count; i++) {
        struct attach_parent *parent = &build->parents[i];
        struct store_key gateway = parent->view->key;
        list = find_policies(t, KIND_SECURITY_POLICY, gateway.namespace, gateway);
        for (size_t k = 0; k < list.count && parent->refused.reason == NULL; k++) {
            const struct kind_object *policy = list.items[k].policy;
            lack = security_policy_lack(t, policy->security_policy, &field);
            if (lack != NULL)
                parent->refused = (struct verdict){"UnsupportedValue",
                                                   lack_message(&t->scratch, policy, field, lack)};
        }
    }
}

static void add_rate_limits(struct translation *t, const struct kind_object *object,
                            struct policies_effect *effect)
{
    struct arena *arena = &t->scratch;
    const struct kind_security_policy *policy = object->security_policy;
    Nantian__Config__V1__Filter **filters = arena_array(
        arena, Nantian__Config__V1__Filter *, effect->filter_count + policy->rate_limit_count);
    if (effect->filter_count > 0)
        memcpy(filters, effect->filters, effect->filter_count * sizeof(*filters));
    for (size_t i = 0; i < policy->rate_limit_count; i++) {
        const struct kind_rate_limit *limit = &policy->rate_limits[i];
        if (limit->requests_per_second <= 0)
            continue; /* 0 switches it off */
        Nantian__Config__V1__RateLimit *message = arena_new(arena, Nantian__Config__V1__RateLimit);
        nantian__config__v1__rate_limit__init(message);
        message->requests = (uint32_t)MIN(limit->requests_per_second, (int64_t)UINT32_MAX);
        message->window_ms = 1000;
        message->burst = (uint32_t)MIN(MAX(limit->burst, 0), (int64_t)UINT32_MAX);
        if (limit->key == KIND_RATE_KEY_SOURCE_IP)
            message->key = NANTIAN__CONFIG__V1__RATE_LIMIT__KEY__CLIENT_ADDRESS;
        if (limit->key == KIND_RATE_KEY_HEADER) {
            message->key = NANTIAN__CONFIG__V1__RATE_LIMIT__KEY__HEADER;
            message->header = arena_string(arena, hostname_lower(arena, limit->key_header));
        }
        struct text name = object->meta.name;
        if (policy->rate_limit_count > 1)
            name = arena_printf(arena, TEXT_FMT "-%zu", TEXT_ARG(name), i);
        message->name = arena_string(arena, name);
        Nantian__Config__V1__Filter *filter = arena_new(arena, Nantian__Config__V1__Filter);
        nantian__config__v1__filter__init(filter);
        filter->kind_case = NANTIAN__CONFIG__V1__FILTER__KIND_RATE_LIMIT;
        filter->rate_limit = message;
        filters[effect->filter_count++] = filter;
    }
    effect->filters = filters;
}

static char **strings(struct arena *arena, const struct kind_texts *texts, size_t *ret_count)
{
    char **out = arena_array(arena, char *, texts->count);
    for (size_t i = 0; i < texts->count; i++)
        out[i] = arena_string(arena, texts->items[i]);
    *ret_count = texts->count;
    return out;
}

Nantian__Config__V1__Filter *policies_cors(struct arena *arena, const struct kind_cors *from)
{
    Nantian__Config__V1__Filter *filter = arena_new(arena, Nantian__Config__V1__Filter);
    Nantian__Config__V1__Cors *out = arena_new(arena, Nantian__Config__V1__Cors);
    nantian__config__v1__filter__init(filter);
    nantian__config__v1__cors__init(out);
    out->allow_origins = strings(arena, &from->allow_origins, &out->n_allow_origins);
    out->allow_methods = strings(arena, &from->allow_methods, &out->n_allow_methods);
    out->allow_headers = strings(arena, &from->allow_headers, &out->n_allow_headers);
    out->expose_headers = strings(arena, &from->expose_headers, &out->n_expose_headers);
    out->allow_credentials = from->allow_credentials;
    out->max_age_s = (uint32_t)MAX(from->max_age, 0);
    filter->kind_case = NANTIAN__CONFIG__V1__FILTER__KIND_CORS;
    filter->cors = out;
    return filter;
}

static Nantian__Config__V1__Filter *cors_of_policy(struct arena *arena,
                                                   const struct kind_policy_cors *from)
{
    struct kind_cors same = {
        .allow_origins = from->allow_origins,
        .allow_methods = from->allow_methods,
        .allow_headers = from->allow_headers,
        .expose_headers = from->expose_headers,
        .allow_credentials = from->allow_credentials,
        .max_age = from->max_age,
    };
    return policies_cors(arena, &same);
}

static void add_address_list(struct translation *t, const struct kind_security_policy *policy,
                             struct policies_effect *effect)
{
    struct arena *arena = &t->scratch;
    if (policy->allow_cidrs.count == 0 && policy->deny_cidrs.count == 0)
        return;
    Nantian__Config__V1__Filter **filters =
        arena_array(arena, Nantian__Config__V1__Filter *, effect->filter_count + 1);
    if (effect->filter_count > 0)
        memcpy(filters, effect->filters, effect->filter_count * sizeof(*filters));
    Nantian__Config__V1__AddressList *message = arena_new(arena, Nantian__Config__V1__AddressList);
    nantian__config__v1__address_list__init(message);
    message->allow = strings(arena, &policy->allow_cidrs, &message->n_allow);
    message->deny = strings(arena, &policy->deny_cidrs, &message->n_deny);
    Nantian__Config__V1__Filter *filter = arena_new(arena, Nantian__Config__V1__Filter);
    nantian__config__v1__filter__init(filter);
    filter->kind_case = NANTIAN__CONFIG__V1__FILTER__KIND_ADDRESS_LIST;
    filter->address_list = message;
    filters[effect->filter_count++] = filter;
    effect->filters = filters;
}

/* The closest CORS policy counts: a later one takes the place of those before. */
static void add_security(struct translation *t, const struct kind_object *object,
                         struct policies_effect *effect)
{
    add_address_list(t, object->security_policy, effect);
    add_rate_limits(t, object, effect);
    if (object->security_policy->cors != NULL)
        effect->cors = cors_of_policy(&t->scratch, object->security_policy->cors);
}

/* The one policy of this level: two on one target cancel each other. */
static const struct kind_route_policy *find_level(struct translation *t, struct text namespace,
                                                  struct store_key target)
{
    struct targeting_list list = find_policies(t, KIND_ROUTE_POLICY, namespace, target);
    const struct kind_route_policy *found = NULL;
    for (size_t i = 0; i < list.count; i++) {
        const struct kind_route_policy *policy = list.items[i].policy->route_policy;
        const char *field;
        if (route_policy_lack(t, policy, &field) != NULL)
            continue;
        if (found != NULL)
            return NULL;
        found = policy;
    }
    return found;
}

static void take_duration(const struct kind_duration *said, const struct kind_duration **closest)
{
    if (*closest == NULL && said->is_set)
        *closest = said;
}

static void take_limit(const struct kind_limit *said, const struct kind_limit **closest)
{
    if (*closest == NULL && said->is_set)
        *closest = said;
}

static void take(const struct kind_route_policy *policy, struct policies_effect *effect)
{
    if (policy == NULL)
        return;
    take_duration(&policy->request, &effect->request);
    take_duration(&policy->backend_request, &effect->backend_request);
    take_duration(&policy->connect, &effect->connect);
    take_duration(&policy->next_upstream, &effect->next_upstream);
    take_limit(&policy->request_body_bytes_max, &effect->body_bytes_max);
    take_limit(&policy->request_header_bytes_max, &effect->header_bytes_max);
}

void policies_collect(struct route_build *build, const struct gateway_view *view,
                      struct policies_effect *ret_effect)
{
    struct translation *t = build->t;
    struct store_key self = piece_key_of(build->object);
    *ret_effect = (struct policies_effect){0};
    take(find_level(t, self.namespace, self), ret_effect);
    take(find_level(t, view->key.namespace, view->key), ret_effect);
    take(find_level(t, self.namespace, (struct store_key){0}), ret_effect);
    struct store_key levels[] = {view->key, self};
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        struct targeting_list list =
            find_policies(t, KIND_SECURITY_POLICY, levels[i].namespace, levels[i]);
        for (size_t k = 0; k < list.count; k++)
            add_security(t, list.items[k].policy, ret_effect);
    }
}

static bool has_cors(const Nantian__Config__V1__Route *rule)
{
    for (size_t i = 0; i < rule->n_filters; i++)
        if (rule->filters[i]->kind_case == NANTIAN__CONFIG__V1__FILTER__KIND_CORS)
            return true;
    return false;
}

static uint32_t milliseconds(const struct kind_duration *said, uint32_t otherwise)
{
    if (said == NULL || said->ms <= 0)
        return otherwise;
    return (uint32_t)MIN(said->ms, (int64_t)UINT32_MAX);
}

/* What a policy of the rule itself said already stands there: it is closer. A limit of 0 is none.
 */
static void apply_bounds(const struct policies_effect *effect, Nantian__Config__V1__Route *rule,
                         struct arena *arena)
{
    if (rule->connect_timeout_ms == 0)
        rule->connect_timeout_ms = milliseconds(effect->connect, 0);
    if (rule->body_bytes_max == 0 && effect->body_bytes_max != NULL)
        rule->body_bytes_max = effect->body_bytes_max->value > 0
                                   ? (uint64_t)effect->body_bytes_max->value
                                   : UINT64_MAX;
    if (rule->header_bytes_max == 0 && effect->header_bytes_max != NULL)
        rule->header_bytes_max =
            effect->header_bytes_max->value > 0
                ? (uint32_t)MIN(effect->header_bytes_max->value, (int64_t)UINT32_MAX)
                : UINT32_MAX;
    uint32_t budget_ms = milliseconds(effect->next_upstream, 0);
    if (budget_ms == 0 || (rule->retry != NULL && rule->retry->budget_ms > 0))
        return;
    Nantian__Config__V1__Route__Retry *retry = arena_new(arena, Nantian__Config__V1__Route__Retry);
    nantian__config__v1__route__retry__init(retry);
    if (rule->retry != NULL) /* the rule's copies on other listeners share it */
        *retry = *rule->retry;
    retry->budget_ms = budget_ms;
    rule->retry = retry;
}

void policies_apply(const struct policies_effect *effect, const struct route_own *own,
                    Nantian__Config__V1__Route *rule, struct arena *arena)
{
    if (!own->request_timeout)
        rule->request_timeout_ms = milliseconds(effect->request, rule->request_timeout_ms);
    if (!own->backend_timeout)
        rule->backend_request_timeout_ms =
            milliseconds(effect->backend_request, rule->backend_request_timeout_ms);
    apply_bounds(effect, rule, arena);
    bool adds_cors = effect->cors != NULL && !has_cors(rule); /* the rule's own is closer */
    if (effect->filter_count == 0 && !adds_cors)
        return;
    size_t count = effect->filter_count + rule->n_filters + adds_cors;
    Nantian__Config__V1__Filter **filters =
        arena_array(arena, Nantian__Config__V1__Filter *, count);
    if (effect->filter_count > 0)
        memcpy(filters, effect->filters, effect->filter_count * sizeof(*filters));
    if (rule->n_filters > 0)
        memcpy(filters + effect->filter_count, rule->filters, rule->n_filters * sizeof(*filters));
    if (adds_cors)
        filters[count - 1] = effect->cors;
    rule->filters = filters;
    rule->n_filters = count;
}

bool policies_extension(struct route_build *build, const struct kind_ref *ref,
                        const struct route_spot *spot, struct policies_effect *effect)
{
    struct translation *t = build->t;
    enum kind_id kind = kind_find(ref->group, ref->kind);
    if (kind != KIND_ROUTE_POLICY && kind != KIND_SECURITY_POLICY) {
        route_unresolved(build, "InvalidKind", spot,
                         arena_printf(&t->scratch,
                                      "the kind " TEXT_FMT " of the group " TEXT_FMT
                                      " is not known as a filter; requests get 500.",
                                      TEXT_ARG(ref->kind), TEXT_ARG(ref->group)));
        return false;
    }
    const struct kind_object *object =
        store_get(t->store, kind, build->object->meta.namespace, ref->name);
    if (object == NULL) {
        route_unresolved(
            build, "BackendNotFound", spot,
            arena_printf(
                &t->scratch, "the %s " TEXT_FMT "/" TEXT_FMT " does not exist; requests get 500.",
                kind_name(kind), TEXT_ARG(build->object->meta.namespace), TEXT_ARG(ref->name)));
        return false;
    }
    const char *field = "";
    const char *lack = kind == KIND_ROUTE_POLICY
                           ? route_policy_lack(t, object->route_policy, &field)
                           : security_policy_lack(t, object->security_policy, &field);
    if (lack != NULL)
        route_unsupported(build, "UnsupportedValue", spot,
                          lack_message(&t->scratch, object, field, lack));
    else if (kind == KIND_ROUTE_POLICY)
        take(object->route_policy, effect);
    else
        add_security(t, object, effect);
    return true;
}

struct piece *policies_piece(struct translation *t, const struct kind_object *object)
{
    bool is_route = object->id == KIND_ROUTE_POLICY;
    const char *field = "";
    const char *lack = is_route ? route_policy_lack(t, object->route_policy, &field)
                                : security_policy_lack(t, object->security_policy, &field);
    struct piece *piece = piece_new(piece_key_of(object));
    const struct kind_target_ref *items;
    size_t count = targets_of(object, &items);
    for (size_t i = 0; i < count; i++)
        piece_add_target(piece, target_key(object, &items[i]));
    struct object_status *status = piece_status(piece, object, t->controller);
    if (lack == NULL) {
        conditions_set(&status->conditions, &piece->arena, "Accepted", CONDITION_TRUE, "Accepted",
                       TEXT("The policy is valid."));
        return piece;
    }
    struct text message =
        arena_printf(&piece->arena, "%s: this data plane does not support %s.", field, lack);
    conditions_set(&status->conditions, &piece->arena, "Accepted", CONDITION_FALSE, "Invalid",
                   message);
    struct piece_spot spot = {FAULT_ERROR, "UnsupportedValue", object->meta.place, text_of(field),
                              TEXT_NONE};
    piece_fault(piece, object, &spot, message);
    return piece;
}
