/* Routes of all kinds: attach, let the kind make its rules, then resources and status. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/route.h"

#include "control/kind/grpc_route.h"
#include "control/kind/http_route.h"
#include "control/kind/l4_route.h"
#include "control/translate/backends.h"
#include "control/translate/outcome_internal.h"
#include "control/translate/policies.h"
#include "control/translate/terms/hostname.h"

/* The route's hostnames that this listener can see; all of them if there is nothing to choose. */
static void choose_hostnames(struct route_build *build, const struct listener_view *listener,
                             char **hostnames, size_t *ret_count)
{
    size_t count = 0;
    for (size_t i = 0; i < build->hostname_count; i++) {
        if (hostname_intersects(build->hostnames[i], listener->hostname))
            hostnames[count++] = arena_string(&build->t->scratch, build->hostnames[i]);
    }
    *ret_count = count;
}

/* The rule's backends under the names that go with the Gateway's client certificate. */
static void show_certificate(struct route_build *build, struct store_key client,
                             Nantian__Config__V1__Route *rule)
{
    struct arena *arena = &build->t->scratch;
    Nantian__Config__V1__WeightedBackend **from = rule->backends;
    rule->backends = arena_array(arena, Nantian__Config__V1__WeightedBackend *, rule->n_backends);
    for (size_t i = 0; i < rule->n_backends; i++) {
        rule->backends[i] = arena_new(arena, Nantian__Config__V1__WeightedBackend);
        *rule->backends[i] = *from[i];
        if (from[i]->backend[0] != '\0')
            rule->backends[i]->backend =
                arena_string(arena, backends_client_name(arena, text_of(from[i]->backend), client));
    }
}

static void add_rules(struct route_build *build, const struct gateway_view *view,
                      const struct listener_view *listener, const struct policies_effect *effect)
{
    struct arena *arena = &build->t->scratch;
    char **hostnames = arena_array(arena, char *, build->hostname_count);
    size_t hostname_count;
    choose_hostnames(build, listener, hostnames, &hostname_count);
    char *name = arena_string(arena, listener->resource);
    for (size_t i = 0; i < build->rule_count; i++) {
        if (build->rules[i] == NULL)
            continue;
        Nantian__Config__V1__Route rule = *build->rules[i];
        rule.listener = name;
        rule.hostnames = hostnames;
        rule.n_hostnames = hostname_count;
        if (view->client_certificate.kind != KIND_NONE)
            show_certificate(build, view->client_certificate, &rule);
        policies_apply(effect, &build->own[i], &rule, arena);
        struct text resource = arena_printf(
            arena, TEXT_FMT "|%s/" TEXT_FMT "/" TEXT_FMT "/%zu", TEXT_ARG(listener->resource),
            kind_name(build->object->id), TEXT_ARG(build->object->meta.namespace),
            TEXT_ARG(build->object->meta.name), i);
        piece_add_resource(build->piece, RESOURCE_ROUTE, resource, &rule, arena);
    }
}

static void add_wants(struct route_build *build, const struct gateway_view *view)
{
    for (size_t i = 0; i < build->want_count; i++) {
        struct piece_want want = build->wants[i];
        want.gateway = view->path;
        piece_add_want(build->piece, &want); /* also for filters, which show no certificate */
        if (view->client_certificate.kind == KIND_NONE || want.type != RESOURCE_BACKEND)
            continue;
        want.client = view->client_certificate;
        want.resource = backends_client_name(&build->t->scratch, want.resource, want.client);
        piece_add_want(build->piece, &want);
    }
}

/* Resources that a data plane refused with these very bytes are taken out again. */
static void drop_refused(struct route_build *build)
{
    struct piece *piece = build->piece;
    if (build->t->outcome->refusals.count == 0)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < piece->resource_count; i++) {
        const struct outcome_resource *resource = &piece->resources[i];
        struct text why =
            outcome_refusal(build->t->outcome, resource->type, resource->name, resource->digest);
        if (why.len == 0) {
            piece->resources[kept++] = *resource;
            continue;
        }
        struct route_spot spot = {build->object->meta.place, resource->name};
        route_dropped(
            build, &spot,
            arena_printf(&build->t->scratch, "a data plane refused it: " TEXT_FMT, TEXT_ARG(why)));
    }
    bool is_gone = kept == 0 && piece->resource_count > 0;
    piece->resource_count = kept;
    if (is_gone)
        build->unsupported = build->dropped;
}

static bool is_first(const struct piece *piece, struct text listener)
{
    for (size_t i = 0; i < piece->attached_count; i++) {
        if (text_equal(piece->attached[i], listener))
            return false;
    }
    return true;
}

/* Fills in piece->attached and the resources: a listener that two parentRefs select counts once. */
static void attach_all(struct route_build *build)
{
    struct piece *piece = build->piece;
    size_t total = 0;
    for (size_t i = 0; i < build->parent_count; i++)
        total += build->parents[i].refused.reason == NULL ? build->parents[i].listener_count : 0;
    piece->attached = arena_array(&piece->arena, struct text, total);
    for (size_t i = 0; i < build->parent_count; i++) {
        const struct attach_parent *parent = &build->parents[i];
        if (parent->refused.reason != NULL)
            continue;
        bool is_served = false;
        struct policies_effect effect;
        policies_collect(build, parent->view, &effect);
        for (size_t k = 0; k < parent->listener_count; k++) {
            const struct listener_view *listener = parent->listeners[k];
            if (!is_first(piece, listener->resource))
                continue;
            piece->attached[piece->attached_count++] =
                arena_text(&piece->arena, listener->resource);
            if (view_is_served(listener)) {
                add_rules(build, parent->view, listener, &effect);
                is_served = true;
            }
        }
        if (is_served)
            add_wants(build, parent->view);
    }
}

static void set(struct piece *piece, struct conditions *conditions, const char *type,
                enum condition_state state, struct verdict verdict)
{
    conditions_set(conditions, &piece->arena, type, state, verdict.reason,
                   arena_text(&piece->arena, verdict.message));
}

static void add_parent_status(struct route_build *build, const struct attach_parent *parent,
                              struct status_parent *out)
{
    struct piece *piece = build->piece;
    struct arena *arena = &piece->arena;
    out->ref = (struct status_ref){
        .group = TEXT(KIND_GROUP_GATEWAY),
        .kind = text_of(kind_name(parent->kind)),
        .namespace = arena_text(arena, parent->namespace),
        .name = arena_text(arena, parent->ref->name),
        .section_name = arena_text(arena, parent->ref->section_name),
        .port = parent->ref->port,
    };
    struct conditions *conditions = &out->conditions;
    if (parent->refused.reason != NULL)
        set(piece, conditions, "Accepted", CONDITION_FALSE, parent->refused);
    else if (build->unsupported.reason != NULL)
        set(piece, conditions, "Accepted", CONDITION_FALSE, build->unsupported);
    else
        conditions_set(conditions, arena, "Accepted", CONDITION_TRUE, "Accepted",
                       TEXT("The route is attached."));
    if (build->unresolved.reason != NULL)
        set(piece, conditions, "ResolvedRefs", CONDITION_FALSE, build->unresolved);
    else
        conditions_set(conditions, arena, "ResolvedRefs", CONDITION_TRUE, "ResolvedRefs",
                       TEXT("All references are resolved."));
    if (build->dropped_count > 0 && parent->refused.reason == NULL &&
        build->unsupported.reason == NULL)
        set(piece, conditions, "PartiallyInvalid", CONDITION_TRUE, build->dropped);
}

struct piece *route_finish(struct route_build *build)
{
    struct piece *piece = build->piece;
    struct object_status *status = piece_status(piece, build->object, build->t->controller);
    if (build->dropped_count > 0 && build->dropped_count >= build->rule_count &&
        build->unsupported.reason == NULL)
        build->unsupported = build->dropped;
    if (build->unsupported.reason == NULL) {
        attach_all(build);
        drop_refused(build);
        if (build->unsupported.reason != NULL)
            piece->attached_count = piece->want_count = 0;
    }
    status->parents = arena_array(&piece->arena, struct status_parent, build->parent_count);
    status->parent_count = build->parent_count;
    for (size_t i = 0; i < build->parent_count; i++)
        add_parent_status(build, &build->parents[i], &status->parents[i]);
    return piece;
}

struct piece *route_piece(struct translation *t, const struct kind_object *object)
{
    struct route_build build;
    static const struct kind_texts NO_HOSTNAMES = {NULL, 0};
    if (object->id == KIND_HTTP_ROUTE)
        route_begin(&build, t, object, &object->http_route->parents,
                    &object->http_route->hostnames);
    else if (object->id == KIND_GRPC_ROUTE)
        route_begin(&build, t, object, &object->grpc_route->parents,
                    &object->grpc_route->hostnames);
    else
        route_begin(&build, t, object, &object->l4_route->parents,
                    object->id == KIND_TLS_ROUTE ? &object->l4_route->hostnames : &NO_HOSTNAMES);
    policies_check(&build);
    switch (object->id) {
    case KIND_HTTP_ROUTE:
        http_route_rules(&build);
        break;
    case KIND_GRPC_ROUTE:
        grpc_route_rules(&build);
        break;
    default:
        l4_route_rules(&build);
        break;
    }
    return route_finish(&build);
}
