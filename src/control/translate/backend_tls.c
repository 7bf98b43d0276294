/* TLS to backends. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/backend_tls_policy.h"
#include "control/translate/secrets.h"
#include "control/translate/service_policy.h"

#define FAIL_STATUS 502

struct judgement {
    struct verdict accepted, resolved;
    struct store_key *cas; /* none: the system's */
    size_t ca_count;
};

static void check_cas(struct translation *t, const struct kind_object *object,
                      const struct kind_backend_tls_policy *policy, struct piece *piece,
                      struct judgement *out)
{
    out->cas = arena_array(&t->scratch, struct store_key, policy->ca_certificate_count);
    for (size_t i = 0; i < policy->ca_certificate_count; i++) {
        struct store_key key;
        struct verdict verdict =
            secrets_ca(t, piece, object, &policy->ca_certificates[i], "InvalidKind", &key);
        if (verdict.reason == NULL)
            out->cas[out->ca_count++] = key;
        if (verdict.reason != NULL && out->resolved.reason == NULL)
            out->resolved = verdict;
    }
    if (out->ca_count == 0)
        out->accepted = (struct verdict){"NoValidCACertificate",
                                         TEXT("None of its CA certificates can be used.")};
}

static struct judgement judge(struct translation *t, const struct kind_object *object,
                              const struct kind_backend_tls_policy *policy, struct piece *piece)
{
    struct judgement out = {0};
    if (policy->ca_certificate_count > 0)
        check_cas(t, object, policy, piece, &out);
    else if (!text_is(policy->well_known_ca, "System"))
        out.accepted = (struct verdict){
            "Invalid", TEXT("validation names neither caCertificateRefs nor the well-known "
                            "CA certificates \"System\".")};
    if (!translation_can(t, CAPABILITY_BACKEND_TLS))
        out.accepted = (struct verdict){
            "Invalid", TEXT("TLS to backends is not supported by this data plane; requests get "
                            "502.")};
    return out;
}

void backend_tls_judge(struct translation *t, const struct kind_object *object,
                       const struct kind_backend_tls_policy *policy, struct piece *piece,
                       struct verdict *ret_accepted, struct verdict *ret_resolved)
{
    struct judgement judgement = judge(t, object, policy, piece);
    *ret_accepted = judgement.accepted;
    *ret_resolved = judgement.resolved;
}

void backend_tls_apply(struct translation *t, const struct kind_object *object,
                       const struct kind_backend_tls_policy *policy, struct store_key client,
                       struct piece *piece, Nantian__Config__V1__Backend *message)
{
    struct arena *arena = &t->scratch;
    struct judgement judgement = judge(t, object, policy, piece);
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
    tls->ca_secrets = arena_array(arena, char *, judgement.ca_count);
    for (size_t i = 0; i < judgement.ca_count; i++) {
        tls->ca_secrets[tls->n_ca_secrets++] =
            arena_string(arena, secrets_resource_name(arena, judgement.cas[i]));
        secrets_add_want(t, piece, judgement.cas[i]);
    }
    if (client.kind != KIND_NONE) {
        tls->client_secret = arena_string(arena, secrets_resource_name(arena, client));
        secrets_add_want(t, piece, client);
    }
    message->tls = tls;
}

struct piece *backend_tls_piece(struct translation *t, const struct kind_object *object)
{
    struct piece *piece = piece_new(piece_key_of(object));
    const struct kind_backend_tls_policy *policy = object->backend_tls_policy;
    struct judgement judgement = judge(t, object, policy, piece);
    struct verdict conflict = service_policy_conflict(t, object);
    if (conflict.reason != NULL)
        judgement.accepted = conflict;
    if (judgement.accepted.reason != NULL) {
        struct piece_spot spot = {FAULT_ERROR, judgement.accepted.reason, policy->validation_place,
                                  TEXT("spec.validation"), TEXT_NONE};
        piece_fault(piece, object, &spot, judgement.accepted.message);
    }
    if (judgement.resolved.reason != NULL) {
        struct piece_spot spot = {FAULT_ERROR, judgement.resolved.reason, policy->validation_place,
                                  TEXT("spec.validation.caCertificateRefs"), TEXT_NONE};
        piece_fault(piece, object, &spot, judgement.resolved.message);
    }
    service_policy_status(t, object, piece, judgement.accepted, judgement.resolved);
    return piece;
}
