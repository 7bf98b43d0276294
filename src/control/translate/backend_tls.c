/* TLS to backends. The older policy wins, one for a port beats one for the whole Service. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/backend_tls.h"

#include <stdlib.h>

#include "control/kind/backend_tls_policy.h"
#include "control/translate/secrets.h"

#define FAIL_STATUS   502
#define ANCESTORS_MAX 16

struct judgement {
    struct verdict accepted, resolved;
    struct store_key ca; /* kind NONE: the system's */
};

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
    const struct kind_backend_tls_policy *policy = object->backend_tls_policy;
    for (size_t i = 0; i < policy->target_count; i++) {
        const struct kind_target_ref *target = &policy->targets[i];
        if (kind_find(target->group, target->kind) != KIND_SERVICE ||
            !text_equal(target->name, service))
            continue;
        if (target->section_name.len == 0)
            rank = MAX(rank, 1);
        else if (text_equal(target->section_name, port_name))
            rank = 2;
    }
    return rank;
}

struct backend_tls_choice backend_tls_choose(struct translation *t, struct store_key service,
                                             struct text port_name)
{
    struct backend_tls_choice choice = {NULL};
    int best = 0;
    struct store_list list =
        store_list_namespace(t->store, KIND_BACKEND_TLS_POLICY, service.namespace);
    for (size_t i = 0; i < list.count; i++) {
        int rank = rank_of(list.items[i], service.name, port_name);
        if (rank > best || (rank == best && rank > 0 && is_older(list.items[i], choice.policy))) {
            best = rank;
            choice.policy = list.items[i];
        }
    }
    return choice;
}

static void check_cas(struct translation *t, const struct kind_object *object, struct piece *piece,
                      struct judgement *out)
{
    const struct kind_backend_tls_policy *policy = object->backend_tls_policy;
    for (size_t i = 0; i < policy->ca_certificate_count; i++) {
        struct store_key key;
        struct verdict verdict =
            secrets_ca(t, piece, object, &policy->ca_certificates[i], "InvalidKind", &key);
        if (verdict.reason == NULL && out->ca.kind == KIND_NONE)
            out->ca = key;
        if (verdict.reason != NULL && out->resolved.reason == NULL)
            out->resolved = verdict;
    }
    if (out->ca.kind == KIND_NONE)
        out->accepted = (struct verdict){"NoValidCACertificate",
                                         TEXT("None of its CA certificates can be used.")};
}

static struct judgement judge(struct translation *t, const struct kind_object *object,
                              struct piece *piece)
{
    struct judgement out = {0};
    const struct kind_backend_tls_policy *policy = object->backend_tls_policy;
    if (policy->ca_certificate_count > 0)
        check_cas(t, object, piece, &out);
    else if (!text_is(policy->well_known_ca, "System"))
        out.accepted = (struct verdict){
            "Invalid", TEXT("spec.validation names neither caCertificateRefs nor the well-known "
                            "CA certificates \"System\".")};
    if (!translation_can(t, CAPABILITY_BACKEND_TLS))
        out.accepted = (struct verdict){
            "Invalid", TEXT("TLS to backends is not supported by this data plane; requests get "
                            "502.")};
    return out;
}

void backend_tls_apply(struct translation *t, const struct backend_tls_choice *choice,
                       struct piece *piece, Nantian__Config__V1__Backend *message)
{
    struct arena *arena = &t->scratch;
    const struct kind_backend_tls_policy *policy = choice->policy->backend_tls_policy;
    struct judgement judgement = judge(t, choice->policy, piece);
    if (judgement.accepted.reason != NULL) {
        message->fail_status = FAIL_STATUS;
        return;
    }
    Nantian__Config__V1__Backend__Tls *tls = arena_new(arena, Nantian__Config__V1__Backend__Tls);
    nantian__config__v1__backend__tls__init(tls);
    tls->server_name = arena_string(arena, policy->hostname);
    tls->subject_alt_names = arena_array(arena, char *, policy->san_count);
    for (size_t i = 0; i < policy->san_count; i++) {
        const struct kind_san *san = &policy->sans[i];
        tls->subject_alt_names[tls->n_subject_alt_names++] =
            arena_string(arena, san->type == KIND_SAN_URI ? san->uri : san->hostname);
    }
    if (judgement.ca.kind != KIND_NONE) {
        struct text name = secrets_resource_name(arena, judgement.ca);
        tls->ca_secret = arena_string(arena, name);
        piece_add_want(piece, &(struct piece_want){.type = RESOURCE_SECRET,
                                                   .resource = name,
                                                   .object = judgement.ca});
    }
    message->tls = tls;
}

/* Another policy with the same target is older, for every target of this one. */
static bool is_conflicted(struct translation *t, const struct kind_object *object,
                          const struct kind_object **ret_winner)
{
    const struct kind_backend_tls_policy *policy = object->backend_tls_policy;
    struct store_list list =
        store_list_namespace(t->store, KIND_BACKEND_TLS_POLICY, object->meta.namespace);
    size_t lost = 0;
    for (size_t i = 0; i < policy->target_count; i++) {
        const struct kind_target_ref *target = &policy->targets[i];
        bool is_lost = false;
        for (size_t k = 0; k < list.count && !is_lost; k++) {
            const struct kind_backend_tls_policy *other = list.items[k]->backend_tls_policy;
            if (!is_older(list.items[k], object))
                continue;
            for (size_t m = 0; m < other->target_count; m++) {
                if (text_equal(other->targets[m].name, target->name) &&
                    text_equal(other->targets[m].kind, target->kind) &&
                    text_equal(other->targets[m].section_name, target->section_name)) {
                    is_lost = true;
                    *ret_winner = list.items[k];
                }
            }
        }
        lost += is_lost;
    }
    return lost > 0 && lost == policy->target_count;
}

static int compare_texts(const void *a, const void *b)
{
    return text_compare(*(const struct text *)a, *(const struct text *)b);
}

/* The Gateways that send requests to what the policy targets, sorted, each once. */
static size_t find_ancestors(struct translation *t, const struct kind_object *object,
                             struct text *out)
{
    const struct kind_backend_tls_policy *policy = object->backend_tls_policy;
    size_t count = 0;
    for (size_t i = 0; i < policy->target_count; i++) {
        struct text path = piece_path(&t->scratch, object->meta.namespace, policy->targets[i].name);
        const struct service_entry *service = outcome_service(t->outcome, path);
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
                enum condition_state state, struct verdict verdict)
{
    conditions_set(conditions, &piece->arena, type, state, verdict.reason,
                   arena_text(&piece->arena, verdict.message));
}

static void add_ancestor(struct piece *piece, struct text gateway,
                         const struct judgement *judgement, struct status_parent *out)
{
    size_t slash = text_find(gateway, '/', 0);
    out->ref = (struct status_ref){
        .group = TEXT(KIND_GROUP_GATEWAY),
        .kind = TEXT("Gateway"),
        .namespace = arena_text(&piece->arena, text_slice(gateway, 0, slash)),
        .name = arena_text(&piece->arena, text_slice(gateway, slash + 1, gateway.len)),
    };
    if (judgement->accepted.reason != NULL)
        set(piece, &out->conditions, "Accepted", CONDITION_FALSE, judgement->accepted);
    else
        set(piece, &out->conditions, "Accepted", CONDITION_TRUE,
            (struct verdict){"Accepted", TEXT("The policy is in force.")});
    if (judgement->resolved.reason != NULL)
        set(piece, &out->conditions, "ResolvedRefs", CONDITION_FALSE, judgement->resolved);
    else
        set(piece, &out->conditions, "ResolvedRefs", CONDITION_TRUE,
            (struct verdict){"ResolvedRefs", TEXT("All references are resolved.")});
}

static void report(struct translation *t, const struct kind_object *object, struct piece *piece,
                   const struct judgement *judgement)
{
    const struct kind_backend_tls_policy *policy = object->backend_tls_policy;
    if (judgement->accepted.reason != NULL) {
        struct piece_spot spot = {FAULT_ERROR, judgement->accepted.reason, policy->validation_place,
                                  TEXT("spec.validation"), TEXT_NONE};
        piece_fault(piece, object, &spot, judgement->accepted.message);
    }
    if (judgement->resolved.reason != NULL) {
        struct piece_spot spot = {FAULT_ERROR, judgement->resolved.reason, policy->validation_place,
                                  TEXT("spec.validation.caCertificateRefs"), TEXT_NONE};
        piece_fault(piece, object, &spot, judgement->resolved.message);
    }
    for (size_t i = 0; i < policy->target_count; i++) {
        const struct kind_target_ref *target = &policy->targets[i];
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

struct piece *backend_tls_piece(struct translation *t, const struct kind_object *object)
{
    struct piece *piece = piece_new(piece_key_of(object));
    struct judgement judgement = judge(t, object, piece);
    const struct kind_object *winner = NULL;
    if (is_conflicted(t, object, &winner))
        judgement.accepted = (struct verdict){
            "Conflicted",
            arena_printf(&t->scratch,
                         "The BackendTLSPolicy " TEXT_FMT "/" TEXT_FMT
                         " has the same target and comes first.",
                         TEXT_ARG(winner->meta.namespace), TEXT_ARG(winner->meta.name))};
    report(t, object, piece, &judgement);
    struct text gateways[ANCESTORS_MAX];
    struct object_status *status = piece_status(piece, object, t->controller);
    status->parent_count = find_ancestors(t, object, gateways);
    status->parents = arena_array(&piece->arena, struct status_parent, status->parent_count);
    for (size_t i = 0; i < status->parent_count; i++)
        add_ancestor(piece, gateways[i], &judgement, &status->parents[i]);
    return piece;
}
