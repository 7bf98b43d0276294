/* Policies on Services: choice, conflicts, ancestors. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/service_policy.h"

#include <stdlib.h>

#include "control/kind/backend_lb_policy.h"
#include "control/kind/backend_tls_policy.h"
#include "control/kind/backend_traffic_policy.h"

#define ANCESTORS_MAX 16

static const enum kind_id KINDS[] = {KIND_BACKEND_TLS_POLICY, KIND_BACKEND_LB_POLICY,
                                     KIND_BACKEND_TRAFFIC_POLICY};

bool service_policy_any(struct store *store, struct text namespace)
{
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++)
        if (store_list_namespace(store, KINDS[i], namespace).count > 0)
            return true;
    return false;
}

struct targets {
    const struct kind_target_ref *items;
    size_t count;
};

static struct targets targets_of(const struct kind_object *object)
{
    if (object->id == KIND_BACKEND_TLS_POLICY)
        return (struct targets){object->backend_tls_policy->targets,
                                object->backend_tls_policy->target_count};
    if (object->id == KIND_X_BACKEND)
        return (struct targets){NULL, 0};
    if (object->id == KIND_BACKEND_TRAFFIC_POLICY)
        return (struct targets){object->backend_traffic_policy->targets,
                                object->backend_traffic_policy->target_count};
    return (struct targets){object->backend_lb_policy->targets,
                            object->backend_lb_policy->target_count};
}

static bool is_older(const struct kind_object *a, const struct kind_object *b)
{
    if (a->meta.created != b->meta.created)
        return a->meta.created < b->meta.created;
    return piece_keys_compare(piece_key_of(a), piece_key_of(b)) < 0;
}

/* 0: does not target it; 1: the Service; 2: this very port. */
static int rank_of(const struct kind_object *object, struct text service, struct text port_name)
{
    int rank = 0;
    struct targets targets = targets_of(object);
    for (size_t i = 0; i < targets.count; i++) {
        const struct kind_target_ref *target = &targets.items[i];
        if (!text_equal(target->name, service) ||
            kind_find(target->group, target->kind) != KIND_SERVICE)
            continue;
        if (target->section_name.len == 0)
            rank = MAX(rank, 1);
        else if (text_equal(target->section_name, port_name))
            rank = 2;
    }
    return rank;
}

const struct kind_object *service_policy_choose(struct translation *t, enum kind_id kind,
                                                struct store_key service, struct text port_name)
{
    const struct kind_object *chosen = NULL;
    int best = 0;
    struct store_list list = store_list_namespace(t->store, kind, service.namespace);
    for (size_t i = 0; i < list.count; i++) {
        int rank = rank_of(list.items[i], service.name, port_name);
        if (rank > best || (rank == best && rank > 0 && is_older(list.items[i], chosen))) {
            best = rank;
            chosen = list.items[i];
        }
    }
    return chosen;
}

static bool has_target(const struct kind_object *object, const struct kind_target_ref *target)
{
    struct targets targets = targets_of(object);
    for (size_t i = 0; i < targets.count; i++)
        if (text_equal(targets.items[i].name, target->name) &&
            text_equal(targets.items[i].kind, target->kind) &&
            text_equal(targets.items[i].section_name, target->section_name))
            return true;
    return false;
}

struct verdict service_policy_conflict(struct translation *t, const struct kind_object *object)
{
    struct targets targets = targets_of(object);
    struct store_list list = store_list_namespace(t->store, object->id, object->meta.namespace);
    const struct kind_object *winner = NULL;
    size_t lost = 0;
    for (size_t i = 0; i < targets.count; i++) {
        bool is_lost = false;
        for (size_t k = 0; k < list.count && !is_lost; k++) {
            is_lost =
                has_target(list.items[k], &targets.items[i]) && is_older(list.items[k], object);
            if (is_lost)
                winner = list.items[k];
        }
        lost += is_lost;
    }
    if (lost == 0 || lost < targets.count)
        return (struct verdict){NULL, TEXT_NONE};
    return (struct verdict){
        "Conflicted",
        arena_printf(
            &t->scratch, "The %s " TEXT_FMT "/" TEXT_FMT " has the same target and comes first.",
            kind_name(winner->id), TEXT_ARG(winner->meta.namespace), TEXT_ARG(winner->meta.name))};
}

struct verdict service_policy_session(struct translation *t,
                                      const struct kind_session_persistence *session)
{
    if (session == NULL || translation_can(t, CAPABILITY_SESSION_PERSISTENCE))
        return (struct verdict){NULL, TEXT_NONE};
    return (struct verdict){"Invalid",
                            TEXT("Session persistence is not supported by this data plane.")};
}

static int compare_texts(const void *a, const void *b)
{
    return text_compare(*(const struct text *)a, *(const struct text *)b);
}

/* The Gateways that send requests to it, or to what the policy targets, sorted, each once. */
static size_t find_ancestors(struct translation *t, const struct kind_object *object,
                             struct text *out)
{
    struct targets targets = targets_of(object);
    size_t count = 0;
    bool is_itself = object->id == KIND_X_BACKEND;
    for (size_t i = 0; i < (is_itself ? 1 : targets.count); i++) {
        struct store_key key = {KIND_SERVICE, object->meta.namespace,
                                is_itself ? TEXT_NONE : targets.items[i].name};
        if (is_itself)
            key = piece_key_of(object);
        const struct service_entry *service =
            outcome_service(t->outcome, sharing_path(&t->scratch, key));
        const struct backend_entry *at = service == NULL ? NULL : service->backends;
        for (; at != NULL; at = at->next) {
            for (size_t k = 0; k < at->use_count; k++) {
                bool is_known = false;
                for (size_t m = 0; m < count && !is_known; m++)
                    is_known = text_equal(out[m], at->uses[k].gateway);
                if (!is_known && count < ANCESTORS_MAX)
                    out[count++] = at->uses[k].gateway;
            }
        }
    }
    if (count > 1)
        qsort(out, count, sizeof(*out), compare_texts);
    return count;
}

static void set(struct piece *piece, struct conditions *conditions, const char *type,
                struct verdict verdict, struct verdict good)
{
    bool is_good = verdict.reason == NULL;
    const struct verdict *said = is_good ? &good : &verdict;
    conditions_set(conditions, &piece->arena, type, is_good ? CONDITION_TRUE : CONDITION_FALSE,
                   said->reason, arena_text(&piece->arena, said->message));
}

static void add_ancestor(struct piece *piece, struct text gateway, struct verdict accepted,
                         struct verdict resolved, struct status_parent *out)
{
    size_t slash = text_find(gateway, '/', 0);
    out->ref = (struct status_ref){
        .group = TEXT(KIND_GROUP_GATEWAY),
        .kind = TEXT("Gateway"),
        .namespace = arena_text(&piece->arena, text_slice(gateway, 0, slash)),
        .name = arena_text(&piece->arena, text_slice(gateway, slash + 1, gateway.len)),
    };
    set(piece, &out->conditions, "Accepted", accepted,
        (struct verdict){"Accepted", piece->key.kind == KIND_X_BACKEND
                                         ? TEXT("Routes may send requests to it.")
                                         : TEXT("The policy is in force.")});
    set(piece, &out->conditions, "ResolvedRefs", resolved,
        (struct verdict){"ResolvedRefs", TEXT("All references are resolved.")});
}

static void check_targets(struct translation *t, const struct kind_object *object,
                          struct piece *piece)
{
    struct targets targets = targets_of(object);
    for (size_t i = 0; i < targets.count; i++) {
        const struct kind_target_ref *target = &targets.items[i];
        if (kind_find(target->group, target->kind) == KIND_SERVICE &&
            store_get(t->store, KIND_SERVICE, object->meta.namespace, target->name) != NULL)
            continue;
        struct piece_spot spot = {FAULT_ERROR, "TargetNotFound", target->place,
                                  TEXT("spec.targetRefs"), TEXT("Name a Service that exists.")};
        piece_fault(piece, object, &spot,
                    arena_printf(&t->scratch,
                                 "The %.*s " TEXT_FMT "/" TEXT_FMT
                                 " does not exist or cannot be a target.",
                                 TEXT_ARG(target->kind), TEXT_ARG(object->meta.namespace),
                                 TEXT_ARG(target->name)));
    }
}

void service_policy_status(struct translation *t, const struct kind_object *object,
                           struct piece *piece, struct verdict accepted, struct verdict resolved)
{
    struct text gateways[ANCESTORS_MAX];
    check_targets(t, object, piece);
    struct object_status *status = piece_status(piece, object, t->controller);
    status->parent_count = find_ancestors(t, object, gateways);
    status->parents = arena_array(&piece->arena, struct status_parent, status->parent_count);
    for (size_t i = 0; i < status->parent_count; i++)
        add_ancestor(piece, gateways[i], accepted, resolved, &status->parents[i]);
}

void service_policy_judge(struct translation *t, const struct kind_object *object,
                          struct piece *piece, struct verdict accepted)
{
    if (accepted.reason != NULL) {
        struct piece_spot spot = {FAULT_ERROR, accepted.reason, object->meta.place,
                                  TEXT("spec.targetRefs"), TEXT_NONE};
        piece_fault(piece, object, &spot, accepted.message);
    }
    service_policy_status(t, object, piece, accepted, (struct verdict){NULL, TEXT_NONE});
}
