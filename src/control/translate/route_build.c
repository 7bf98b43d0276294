/* Building a route: what the files of the kinds add rules and complaints with. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/route.h"
#include "control/translate/service_policy.h"
#include "control/translate/terms/hostname.h"

/* Whether a data plane carries this kind at all. */
static enum capability need_of(enum kind_id kind)
{
    switch (kind) {
    case KIND_GRPC_ROUTE:
        return CAPABILITY_GRPC_ROUTE;
    case KIND_TLS_ROUTE:
        return CAPABILITY_TLS_ROUTE;
    case KIND_TCP_ROUTE:
        return CAPABILITY_TCP_ROUTE;
    case KIND_UDP_ROUTE:
        return CAPABILITY_UDP_ROUTE;
    default:
        return CAPABILITY_COUNT;
    }
}

static void check_annotations(struct route_build *build)
{
    const struct kind_object *object = build->object;
    struct text value = kind_pairs_get(&object->meta.annotations, KIND_ANNOTATION_ACCESS_LOG);
    if (value.data == NULL || text_is(value, "true") || text_is(value, "false"))
        return;
    struct piece_spot spot = {FAULT_WARNING, "InvalidAnnotation", object->meta.place,
                              TEXT("metadata.annotations"), TEXT("Write \"true\" or \"false\".")};
    piece_fault(build->piece, object, &spot,
                TEXT("The annotation " KIND_ANNOTATION_ACCESS_LOG
                     " is not \"false\"; the route is logged."));
}

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
    check_annotations(build);
    for (size_t i = 0; i < hostnames->count; i++)
        build->hostnames[i] = hostname_lower(&t->scratch, hostnames->items[i]);
    enum capability need = need_of(object->id);
    struct route_spot kind = {object->meta.place, TEXT("kind")};
    bool is_unsupported = need != CAPABILITY_COUNT && !route_needs(build, need, &kind);
    struct attach_route route = {object, parents, build->hostnames, build->hostname_count,
                                 is_unsupported};
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
    rule->no_access_log =
        text_is(kind_pairs_get(&meta->annotations, KIND_ANNOTATION_ACCESS_LOG), "false");
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
                      arena_printf(&build->t->scratch, "this data plane does not support %s.",
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

void route_session(struct route_build *build, const struct kind_session_persistence *from,
                   struct text field, Nantian__Config__V1__Route *rule)
{
    struct arena *arena = &build->t->scratch;
    if (from == NULL)
        return;
    struct route_spot spot = {from->place,
                              arena_printf(arena, TEXT_FMT ".sessionPersistence", TEXT_ARG(field))};
    if (!route_needs(build, CAPABILITY_SESSION_PERSISTENCE, &spot))
        return;
    struct text rule_name = text_of(rule->rule_name);
    if (rule_name.len == 0) /* a name stays when rules are moved */
        rule_name = arena_printf(arena, "%u", rule->rule);
    rule->session =
        session_message(build->t, from,
                        arena_printf(arena, "%s/%s/%s/" TEXT_FMT, rule->kind, rule->namespace_,
                                     rule->name, TEXT_ARG(rule_name)));
}
