/* Listeners, judged alone and against each other. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/listeners.h"

#include "control/translate/secrets.h"
#include "control/translate/terms/hostname.h"

#define BIT(kind) (1u << (kind))

struct job {
    struct translation *t;
    struct gateway_view *view;
    const struct listeners_owner *owner;
    const struct kind_listener *listener;
    struct listener_view *out;
};

uint32_t listeners_kinds_of(const struct translation *t, enum kind_protocol protocol,
                            bool is_terminated)
{
    switch (protocol) {
    case KIND_PROTOCOL_HTTP:
    case KIND_PROTOCOL_HTTPS:
        return BIT(KIND_HTTP_ROUTE) |
               (translation_can(t, CAPABILITY_GRPC_ROUTE) ? BIT(KIND_GRPC_ROUTE) : 0);
    case KIND_PROTOCOL_TLS:
        if (is_terminated && !translation_can(t, CAPABILITY_TLS_ROUTE_TERMINATE))
            return 0;
        return translation_can(t, CAPABILITY_TLS_ROUTE) ? BIT(KIND_TLS_ROUTE) : 0;
    case KIND_PROTOCOL_TCP:
        return translation_can(t, CAPABILITY_TCP_ROUTE) ? BIT(KIND_TCP_ROUTE) : 0;
    case KIND_PROTOCOL_UDP:
        return translation_can(t, CAPABILITY_UDP_ROUTE) ? BIT(KIND_UDP_ROUTE) : 0;
    case KIND_PROTOCOL_UNKNOWN:
        break;
    }
    return 0;
}

/* The first complaint stays; every complaint is a fault. */
static void complain(struct job *job, struct verdict *verdict, const char *reason,
                     struct kind_place place, struct text message)
{
    struct text copy = arena_text(&job->view->arena, message);
    if (verdict->reason == NULL)
        *verdict = (struct verdict){reason, copy};
    struct text field = arena_printf(&job->t->scratch, "spec.listeners[" TEXT_FMT "]",
                                     TEXT_ARG(job->listener->name));
    struct piece_spot spot = {FAULT_ERROR, reason, place, field, TEXT_NONE};
    piece_fault(job->view->draft, job->owner->object, &spot, copy);
}

static void check_kinds(struct job *job)
{
    const struct kind_allowed_routes *allowed = &job->listener->allowed_routes;
    uint32_t supported = listeners_kinds_of(job->t, job->out->protocol, job->out->is_terminated);
    job->out->kinds = allowed->kind_count == 0 ? supported : 0;
    for (size_t i = 0; i < allowed->kind_count; i++) {
        const struct kind_route_kind *kind = &allowed->kinds[i];
        enum kind_id id = kind_find(kind->group, kind->kind);
        if (id != KIND_NONE && (supported & BIT(id)) != 0)
            job->out->kinds |= BIT(id);
        else
            complain(job, &job->out->resolved, "InvalidRouteKinds", kind->place,
                     arena_printf(&job->t->scratch,
                                  "Routes of the kind " TEXT_FMT
                                  " cannot attach to a listener of the protocol " TEXT_FMT ".",
                                  TEXT_ARG(kind->kind), TEXT_ARG(job->listener->protocol_text)));
    }
}

/* Decoding has complained already; here it must not make two resources of one name. */
static void check_name(struct job *job)
{
    bool is_usable = job->out->name.len > 0;
    for (const struct listener_view *other = job->out; is_usable && other > job->view->listeners;) {
        other--;
        if (!piece_keys_equal(other->owner, job->out->owner))
            break;
        is_usable = !text_equal(other->resource, job->out->resource);
    }
    if (!is_usable)
        complain(job, &job->out->accepted, "UnsupportedValue", job->listener->place,
                 TEXT("The name is missing, or another listener here has it."));
}

static void check_protocol(struct job *job)
{
    const struct kind_listener *listener = job->listener;
    if (listener->protocol == KIND_PROTOCOL_UNKNOWN) {
        complain(job, &job->out->accepted, "UnsupportedProtocol", listener->place,
                 arena_printf(&job->t->scratch, "The protocol \"" TEXT_FMT "\" is not known.",
                              TEXT_ARG(listener->protocol_text)));
        return;
    }
    if (listeners_kinds_of(job->t, job->out->protocol, job->out->is_terminated) == 0)
        complain(job, &job->out->accepted, "UnsupportedProtocol", listener->place,
                 arena_printf(&job->t->scratch,
                              "The protocol " TEXT_FMT "%s is not supported by this data plane.",
                              TEXT_ARG(listener->protocol_text),
                              job->out->is_terminated ? " with termination" : ""));
    if (listener->port < 1 || listener->port > 65535)
        complain(job, &job->out->accepted, "PortUnavailable", listener->place,
                 TEXT("The port is missing or not between 1 and 65535."));
    if (listener->filter_count > 0 && !translation_can(job->t, CAPABILITY_LISTENER_FILTERS))
        complain(job, &job->out->accepted, "UnsupportedValue", listener->filters[0].place,
                 TEXT("filters: listener filters are not supported by this data plane."));
}

static void take_certificate(struct job *job, const struct kind_ref *ref, struct store_key key,
                             struct text doubt)
{
    struct listener_view *out = job->out;
    out->secrets[out->secret_count++] = piece_key_copy(&job->view->arena, key);
    if (doubt.len == 0)
        return;
    struct text field = arena_printf(&job->t->scratch, "spec.listeners[" TEXT_FMT "]",
                                     TEXT_ARG(job->listener->name));
    struct piece_spot spot = {FAULT_WARNING, "DoubtfulCertificate", ref->place, field, TEXT_NONE};
    piece_fault(job->view->draft, job->owner->object, &spot, doubt);
}

static void check_certificates(struct job *job)
{
    const struct kind_listener_tls *tls = job->listener->tls;
    struct arena *arena = &job->view->arena;
    job->out->secrets = arena_array(arena, struct store_key, tls->certificate_count);
    if (tls->certificate_count == 0)
        complain(job, &job->out->resolved, "InvalidCertificateRef", tls->place,
                 TEXT("A listener that terminates TLS needs at least one certificateRef."));
    for (size_t i = 0; i < tls->certificate_count; i++) {
        struct store_key key;
        struct verdict verdict =
            secrets_certificate(job->t, job->view->draft, job->owner->object, &tls->certificates[i],
                                "InvalidCertificateRef", &key);
        if (verdict.reason == NULL)
            take_certificate(job, &tls->certificates[i], key, verdict.message);
        else
            complain(job, &job->out->resolved, verdict.reason, tls->certificates[i].place,
                     verdict.message);
    }
    job->out->has_certificate = job->out->secret_count > 0;
}

static const struct kind_frontend_validation *find_validation(const struct kind_gateway *gateway,
                                                              int32_t port)
{
    if (gateway->tls == NULL)
        return NULL;
    for (size_t i = 0; i < gateway->tls->per_port_count; i++) {
        if (gateway->tls->per_port[i].port == port)
            return gateway->tls->per_port[i].validation;
    }
    return gateway->tls->default_validation;
}

static void check_validation(struct job *job)
{
    const struct kind_frontend_validation *validation =
        find_validation(job->owner->gateway, job->listener->port);
    if (validation == NULL)
        return;
    if (!translation_can(job->t, CAPABILITY_CLIENT_VALIDATION)) {
        complain(job, &job->out->accepted, "UnsupportedValue", validation->place,
                 TEXT("tls.frontend: validation of client certificates is not supported by this "
                      "data plane."));
        return;
    }
    job->out->is_insecure = validation->mode == KIND_VALIDATION_INSECURE_FALLBACK;
    const struct kind_object *gateway =
        store_get(job->t->store, KIND_GATEWAY, job->view->key.namespace, job->view->key.name);
    job->out->client_cas =
        arena_array(&job->view->arena, struct store_key, validation->ca_certificate_count);
    for (size_t i = 0; i < validation->ca_certificate_count; i++) {
        struct store_key key;
        const struct kind_ref *ref = &validation->ca_certificates[i];
        struct verdict verdict =
            secrets_ca(job->t, job->view->draft, gateway, ref, "InvalidCACertificateKind", &key);
        if (verdict.reason != NULL)
            complain(job, &job->out->resolved, verdict.reason, ref->place, verdict.message);
        else
            job->out->client_cas[job->out->client_ca_count++] =
                piece_key_copy(&job->view->arena, key);
    }
    if (job->out->client_ca_count == 0)
        complain(job, &job->out->accepted, "NoValidCACertificate", validation->place,
                 TEXT("None of the CA certificates for clients can be used."));
}

static void check_tls(struct job *job)
{
    const struct kind_listener_tls *tls = job->listener->tls;
    bool wants_tls =
        job->out->protocol == KIND_PROTOCOL_HTTPS || job->out->protocol == KIND_PROTOCOL_TLS;
    if (!wants_tls) {
        if (tls != NULL && job->out->protocol != KIND_PROTOCOL_UNKNOWN)
            complain(job, &job->out->accepted, "UnsupportedValue", tls->place,
                     arena_printf(&job->t->scratch,
                                  "tls must not be set with the protocol " TEXT_FMT ".",
                                  TEXT_ARG(job->listener->protocol_text)));
        return;
    }
    if (tls == NULL) {
        complain(job, &job->out->resolved, "InvalidCertificateRef", job->listener->place,
                 arena_printf(&job->t->scratch, "The protocol " TEXT_FMT " needs tls.",
                              TEXT_ARG(job->listener->protocol_text)));
        return;
    }
    if (tls->mode == KIND_TLS_UNKNOWN ||
        (tls->mode == KIND_TLS_PASSTHROUGH && job->out->protocol == KIND_PROTOCOL_HTTPS)) {
        complain(job, &job->out->accepted, "UnsupportedValue", tls->place,
                 arena_printf(&job->t->scratch,
                              "tls.mode " TEXT_FMT " cannot be used with the protocol " TEXT_FMT
                              ".",
                              TEXT_ARG(tls->mode_text), TEXT_ARG(job->listener->protocol_text)));
        return;
    }
    if (!job->out->is_terminated)
        return;
    check_certificates(job);
    if (job->out->protocol == KIND_PROTOCOL_HTTPS)
        check_validation(job);
}

static struct kind_texts copy_texts(struct arena *arena, const struct kind_texts *from)
{
    struct kind_texts copy = {arena_array(arena, struct text, from->count), from->count};
    for (size_t i = 0; i < from->count; i++)
        copy.items[i] = arena_text(arena, from->items[i]);
    return copy;
}

static struct kind_selector *copy_selector(struct arena *arena, const struct kind_selector *from)
{
    if (from == NULL)
        return NULL;
    struct kind_selector *copy = arena_new(arena, struct kind_selector);
    size_t labels = from->match_labels.count;
    copy->match_labels = (struct kind_pairs){arena_array(arena, struct kind_pair, labels), labels};
    for (size_t i = 0; i < labels; i++) {
        copy->match_labels.items[i].key = arena_text(arena, from->match_labels.items[i].key);
        copy->match_labels.items[i].value = arena_text(arena, from->match_labels.items[i].value);
    }
    copy->expression_count = from->expression_count;
    copy->expressions = arena_array(arena, struct kind_requirement, from->expression_count);
    for (size_t i = 0; i < from->expression_count; i++) {
        copy->expressions[i].operator= from->expressions[i].operator;
        copy->expressions[i].key = arena_text(arena, from->expressions[i].key);
        copy->expressions[i].values = copy_texts(arena, &from->expressions[i].values);
    }
    return copy;
}

void listeners_evaluate(struct translation *t, struct gateway_view *view,
                        const struct listeners_owner *owner, const struct kind_listener *listener,
                        struct listener_view *ret_view)
{
    struct arena *arena = &view->arena;
    const struct kind_meta *meta = &owner->object->meta;
    struct text prefix = view->path;
    if (owner->object->id == KIND_LISTENER_SET)
        prefix = arena_printf(&t->scratch, TEXT_FMT "/" TEXT_FMT "/" TEXT_FMT, TEXT_ARG(view->path),
                              TEXT_ARG(meta->namespace), TEXT_ARG(meta->name));
    *ret_view = (struct listener_view){
        .resource = piece_path(arena, prefix, listener->name),
        .name = arena_text(arena, listener->name),
        .hostname = hostname_lower(arena, listener->hostname),
        .port = listener->port,
        .protocol = listener->protocol,
        .is_terminated = listener->protocol == KIND_PROTOCOL_HTTPS ||
                         (listener->protocol == KIND_PROTOCOL_TLS && listener->tls != NULL &&
                          listener->tls->mode == KIND_TLS_TERMINATE),
        .is_proxied = owner->is_proxied && listener->protocol != KIND_PROTOCOL_UDP,
        .allowed = {.from = listener->allowed_routes.namespaces.from,
                    .selector = copy_selector(arena, listener->allowed_routes.namespaces.selector)},
        .namespace = arena_text(arena, meta->namespace),
        .owner = piece_key_copy(arena, piece_key_of(owner->object)),
        .place = listener->place,
        .file = arena_text(arena, meta->file),
    };
    struct job job = {t, view, owner, listener, ret_view};
    check_name(&job);
    check_protocol(&job);
    check_kinds(&job);
    check_tls(&job);
}

void view_reject(struct gateway_view *view, const struct kind_object *object,
                 struct kind_place place, const char *field, struct verdict verdict)
{
    verdict.message = arena_text(&view->arena, verdict.message);
    if (view->accepted.reason == NULL)
        view->accepted = verdict;
    struct piece_spot spot = {FAULT_ERROR, verdict.reason, place, text_of(field), TEXT_NONE};
    piece_fault(view->draft, object, &spot, verdict.message);
}

size_t view_count_valid(const struct gateway_view *view, const struct set_view *set)
{
    size_t valid = 0;
    for (size_t i = set->first; i < set->first + set->count; i++)
        valid += view_is_usable(&view->listeners[i]);
    return valid;
}

static void mark_conflict(struct gateway_view *view, struct listener_view *loser,
                          const struct listener_view *winner, const char *reason)
{
    if (loser->conflict.reason != NULL)
        return;
    bool is_protocol = strcmp(reason, "ProtocolConflict") == 0;
    loser->conflict.reason = reason;
    loser->conflict.message = arena_printf(
        &view->arena,
        "%s on port %d %s that of the listener \"" TEXT_FMT "\" of %s " TEXT_FMT "/" TEXT_FMT ".",
        is_protocol ? "The protocol" : "The hostname", (int)loser->port,
        is_protocol ? "conflicts with" : "is the same as", TEXT_ARG(winner->name),
        kind_name(winner->owner.kind), TEXT_ARG(winner->owner.namespace),
        TEXT_ARG(winner->owner.name));
}

static bool is_unsupported(const struct listener_view *listener)
{
    return listener->accepted.reason != NULL &&
           strcmp(listener->accepted.reason, "UnsupportedProtocol") == 0;
}

/* Among listeners of one object nobody wins. */
static void find_among(struct gateway_view *view, size_t first, size_t count, const bool *lost)
{
    for (size_t i = first; i < first + count; i++) {
        for (size_t k = first; k < first + count; k++) {
            const struct listener_view *other = &view->listeners[k];
            if (i == k || lost[k - first] || is_unsupported(other))
                continue;
            const char *reason = claims_conflict(&view->listeners[i], other);
            if (reason != NULL)
                mark_conflict(view, &view->listeners[i], other, reason);
        }
    }
}

/* Who lost already, and one of a protocol that is not supported, stands in nobody's way. */
void listeners_find_conflicts(struct gateway_view *view, struct claims *claims, size_t first,
                              size_t count)
{
    bool *lost = arena_array(claims->arena, bool, count);
    for (size_t i = 0; i < count; i++) {
        struct listener_view *listener = &view->listeners[first + i];
        const struct claim *winner = claims_blocker(claims, TEXT(""), listener);
        if (winner != NULL)
            mark_conflict(view, listener, winner->listener,
                          claims_conflict(listener, winner->listener));
        lost[i] = winner != NULL;
    }
    find_among(view, first, count, lost);
    for (size_t i = first; i < first + count; i++) {
        const struct listener_view *listener = &view->listeners[i];
        if (listener->conflict.reason == NULL && !is_unsupported(listener))
            claims_take(claims, TEXT(""), (struct claim){view, listener});
    }
}
