/* Routes of all kinds: attach, let the kind make its rules, then resources and status. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/route.h"

#include "control/kind/grpc_route.h"
#include "control/kind/http_route.h"
#include "control/kind/l4_route.h"
#include "control/translate/hostname.h"
#include "control/translate/outcome_internal.h"
#include "control/translate/policies.h"

void route_begin(struct route_build *build, struct translation *t, const struct kind_object *object,
                 const struct kind_parents *parents, const struct kind_texts *hostnames)
{
    *build = (struct route_build){
        .t = t,
        .object = object,
        .piece = piece_new(piece_key_of(object)),
        .hostnames = arena_array(&t->scratch, struct text, hostnames->count),
        .hostname_count = hostnames->count,
    };
    for (size_t i = 0; i < hostnames->count; i++)
        build->hostnames[i] = hostname_lower(&t->scratch, hostnames->items[i]);
    struct attach_route route = {object, parents, build->hostnames, build->hostname_count};
    build->parents = attach_parents(t, build->piece, &route, &build->parent_count);
    if (build->parent_count > 0)
        return;
    struct piece_spot spot = {FAULT_WARNING, "RouteNotAttached", object->meta.place,
                              TEXT("spec.parentRefs"), TEXT("Name a Gateway that is served here.")};
    piece_fault(build->piece, object, &spot,
                parents->use_default_gateways == KIND_DEFAULT_SCOPE_ALL
                    ? TEXT("useDefaultGateways is not supported; the route has no other parent "
                           "that is served here.")
                    : TEXT("The route has no parent that is served here."));
}

Nantian__Config__V1__Route *route_new_rule(struct route_build *build, size_t index,
                                           struct text name)
{
    struct arena *arena = &build->t->scratch;
    const struct kind_meta *meta = &build->object->meta;
    Nantian__Config__V1__Route *rule = arena_new(arena, Nantian__Config__V1__Route);
    nantian__config__v1__route__init(rule);
    rule->kind = arena_string(arena, text_of(kind_name(build->object->id)));
    rule->namespace_ = arena_string(arena, meta->namespace);
    rule->name = arena_string(arena, meta->name);
    rule->rule = (uint32_t)index;
    rule->rule_name = arena_string(arena, name);
    rule->created = meta->created;
    return rule;
}

void route_set_rule_count(struct route_build *build, size_t count)
{
    build->rule_count = count;
    build->rules = arena_array(&build->t->scratch, Nantian__Config__V1__Route *, count);
    build->own = arena_array(&build->t->scratch, struct route_own, count);
}

static void say(struct route_build *build, const char *code, const struct route_spot *spot,
                struct text message)
{
    struct piece_spot where = {FAULT_ERROR, code, spot->place, spot->field, TEXT_NONE};
    piece_fault(build->piece, build->object, &where, message);
}

void route_unsupported(struct route_build *build, const char *reason, const struct route_spot *spot,
                       struct text message)
{
    if (build->unsupported.reason == NULL)
        build->unsupported =
            (struct verdict){reason, arena_printf(&build->t->scratch, TEXT_FMT ": " TEXT_FMT,
                                                  TEXT_ARG(spot->field), TEXT_ARG(message))};
    say(build, reason, spot, message);
}

bool route_needs(struct route_build *build, enum capability capability,
                 const struct route_spot *spot)
{
    if (translation_can(build->t, capability))
        return true;
    route_unsupported(build, "UnsupportedValue", spot,
                      arena_printf(&build->t->scratch, "%s is not supported by this data plane.",
                                   capability_name(capability)));
    return false;
}

void route_unresolved(struct route_build *build, const char *reason, const struct route_spot *spot,
                      struct text message)
{
    if (build->unresolved.reason == NULL)
        build->unresolved =
            (struct verdict){reason, arena_printf(&build->t->scratch, TEXT_FMT ": " TEXT_FMT,
                                                  TEXT_ARG(spot->field), TEXT_ARG(message))};
    say(build, reason, spot, message);
}

void route_dropped(struct route_build *build, const struct route_spot *spot, struct text message)
{
    build->dropped_count++;
    if (build->dropped.reason == NULL)
        build->dropped = (struct verdict){"UnsupportedValue",
                                          arena_printf(&build->t->scratch,
                                                       "Dropped Rule " TEXT_FMT ": " TEXT_FMT,
                                                       TEXT_ARG(spot->field), TEXT_ARG(message))};
    say(build, "UnsupportedValue", spot, message);
}

Nantian__Config__V1__Route__SessionPersistence *
route_session(struct route_build *build, const struct kind_session_persistence *from)
{
    struct arena *arena = &build->t->scratch;
    Nantian__Config__V1__Route__SessionPersistence *session =
        arena_new(arena, Nantian__Config__V1__Route__SessionPersistence);
    nantian__config__v1__route__session_persistence__init(session);
    if (from->type == KIND_SESSION_HEADER) {
        session->header = arena_string(arena, from->header_name);
    } else {
        session->cookie = arena_string(arena, from->cookie_name.len > 0 ? from->cookie_name
                                                                        : TEXT("nantian-session"));
        session->path = arena_string(arena, from->cookie_path);
        session->permanent = from->lifetime == KIND_LIFETIME_PERMANENT;
    }
    session->absolute_timeout_s = (uint32_t)(MAX(from->absolute_timeout.ms, 0) / 1000);
    return session;
}

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

static void add_rules(struct route_build *build, const struct listener_view *listener,
                      const struct policies_effect *effect)
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
                add_rules(build, listener, &effect);
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

static bool needs_kind(struct route_build *build)
{
    static const enum capability NEEDS[] = {
        [KIND_GRPC_ROUTE] = CAPABILITY_GRPC_ROUTE,
        [KIND_TLS_ROUTE] = CAPABILITY_TLS_ROUTE,
        [KIND_TCP_ROUTE] = CAPABILITY_TCP_ROUTE,
        [KIND_UDP_ROUTE] = CAPABILITY_UDP_ROUTE,
    };
    if (build->object->id == KIND_HTTP_ROUTE)
        return true;
    struct route_spot spot = {build->object->meta.place, TEXT("kind")};
    if (route_needs(build, NEEDS[build->object->id], &spot))
        return true;
    /* By name, and not as a listener's refusal: it is not the listener that lacks something. */
    for (size_t i = 0; i < build->parent_count; i++) {
        const char *reason = build->parents[i].refused.reason;
        if (reason != NULL && strcmp(reason, "NoMatchingParent") != 0)
            build->parents[i].refused = (struct verdict){0};
    }
    return false;
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
    needs_kind(&build);
    policies_check(&build);
    switch (object->id) {
    case KIND_HTTP_ROUTE:
        http_route_rules(&build);
        break;
    case KIND_GRPC_ROUTE:
        grpc_route_rules(&build);
        break;
    case KIND_TLS_ROUTE:
        tls_route_rules(&build);
        break;
    default:
        l4_route_rules(&build);
        break;
    }
    return route_finish(&build);
}
