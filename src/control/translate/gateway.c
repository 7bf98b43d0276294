/* Gateways at the end of a run: Listener resources and statuses. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/gateway.h"

#include "control/translate/gateway_class.h"
#include "control/translate/outcome_internal.h"
#include "control/translate/secrets.h"
#include "nantian/config/v1/listener.pb-c.h"

static const struct status_kind ROUTE_KINDS[] = {
    [KIND_HTTP_ROUTE] = {KIND_GROUP_GATEWAY, "HTTPRoute"},
    [KIND_GRPC_ROUTE] = {KIND_GROUP_GATEWAY, "GRPCRoute"},
    [KIND_TLS_ROUTE] = {KIND_GROUP_GATEWAY, "TLSRoute"},
    [KIND_TCP_ROUTE] = {KIND_GROUP_GATEWAY, "TCPRoute"},
    [KIND_UDP_ROUTE] = {KIND_GROUP_GATEWAY, "UDPRoute"},
};

static Nantian__Config__V1__Listener__Protocol protocol_of(enum kind_protocol protocol)
{
    switch (protocol) {
    case KIND_PROTOCOL_HTTP:
        return NANTIAN__CONFIG__V1__LISTENER__PROTOCOL__HTTP;
    case KIND_PROTOCOL_HTTPS:
        return NANTIAN__CONFIG__V1__LISTENER__PROTOCOL__HTTPS;
    case KIND_PROTOCOL_TLS:
        return NANTIAN__CONFIG__V1__LISTENER__PROTOCOL__TLS;
    case KIND_PROTOCOL_TCP:
        return NANTIAN__CONFIG__V1__LISTENER__PROTOCOL__TCP;
    case KIND_PROTOCOL_UDP:
        return NANTIAN__CONFIG__V1__LISTENER__PROTOCOL__UDP;
    case KIND_PROTOCOL_UNKNOWN:
        break;
    }
    return NANTIAN__CONFIG__V1__LISTENER__PROTOCOL__PROTOCOL_UNSPECIFIED;
}

static Nantian__Config__V1__Listener__Tls *tls_of(struct arena *arena,
                                                  const struct listener_view *listener)
{
    if (listener->protocol != KIND_PROTOCOL_HTTPS && listener->protocol != KIND_PROTOCOL_TLS)
        return NULL;
    Nantian__Config__V1__Listener__Tls *tls = arena_new(arena, Nantian__Config__V1__Listener__Tls);
    nantian__config__v1__listener__tls__init(tls);
    tls->passthrough = !listener->is_terminated;
    tls->n_secrets = listener->secret_count;
    tls->secrets = arena_array(arena, char *, listener->secret_count);
    for (size_t i = 0; i < listener->secret_count; i++)
        tls->secrets[i] = arena_string(arena, secrets_resource_name(arena, listener->secrets[i]));
    tls->n_client_ca_secrets = listener->client_ca_count;
    tls->client_ca_secrets = arena_array(arena, char *, listener->client_ca_count);
    for (size_t i = 0; i < listener->client_ca_count; i++)
        tls->client_ca_secrets[i] =
            arena_string(arena, secrets_resource_name(arena, listener->client_cas[i]));
    tls->client_optional = listener->is_insecure;
    return tls;
}

static void add_listener(struct arena *arena, const struct gateway_view *view,
                         const struct listener_view *listener, struct piece *piece)
{
    Nantian__Config__V1__Listener message = NANTIAN__CONFIG__V1__LISTENER__INIT;
    message.gateway = arena_string(arena, view->path);
    message.name = arena_string(arena, listener->name);
    message.n_addresses = view->is_fronted ? 0 : view->address_count;
    message.addresses = arena_array(arena, char *, message.n_addresses);
    for (size_t i = 0; i < message.n_addresses; i++)
        message.addresses[i] = arena_string(arena, view->addresses[i].value);
    message.port = (uint32_t)listener->port;
    message.protocol = protocol_of(listener->protocol);
    message.hostname = arena_string(arena, listener->hostname);
    message.tls = tls_of(arena, listener);
    message.proxy_protocol = listener->is_proxied;
    struct text owner =
        arena_printf(arena, "%s " TEXT_FMT "/" TEXT_FMT, kind_name(listener->owner.kind),
                     TEXT_ARG(listener->owner.namespace), TEXT_ARG(listener->owner.name));
    message.owner = arena_string(arena, owner);
    piece_add_resource(piece, RESOURCE_LISTENER, listener->resource, &message, arena);
}

struct text gateway_refusal(struct translation *t, const struct gateway_view *view,
                            const struct listener_view *listener)
{
    if (t->outcome->refusals.count == 0 || !view_is_usable(listener))
        return TEXT_NONE;
    struct piece *trial = piece_new(view->key);
    add_listener(&t->scratch, view, listener, trial);
    struct text why = outcome_refusal(t->outcome, RESOURCE_LISTENER, listener->resource,
                                      trial->resources[0].digest);
    piece_free(trial);
    return why;
}

void gateway_add_resources(struct translation *t, const struct gateway_view *view,
                           struct piece *piece, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        const struct listener_view *listener = &view->listeners[i];
        if (!view_is_served(listener))
            continue;
        add_listener(&t->scratch, view, listener, piece);
        for (size_t k = 0; k < listener->secret_count; k++)
            secrets_add_want(t, piece, listener->secrets[k]);
        for (size_t k = 0; k < listener->client_ca_count; k++)
            secrets_add_want(t, piece, listener->client_cas[k]);
    }
}

static void set(struct piece *piece, struct conditions *conditions, const char *type,
                enum condition_state state, struct verdict verdict)
{
    conditions_set(conditions, &piece->arena, type, state, verdict.reason,
                   arena_text(&piece->arena, verdict.message));
}

static struct verdict good(const char *reason, const char *message)
{
    return (struct verdict){reason, text_of(message)};
}

/* With another of its Gateway, or of one that has the same data planes and comes first. */
static struct verdict conflict_of(struct translation *t, const struct listener_view *listener)
{
    if (listener->conflict.reason != NULL || listener->blocked_why == NULL)
        return listener->conflict;
    bool is_protocol = strcmp(listener->blocked_why, "ProtocolConflict") == 0;
    return (struct verdict){listener->blocked_why,
                            arena_printf(&t->scratch,
                                         "The %s on port %d %s one of the Gateway " TEXT_FMT
                                         ", which comes first and has the same data planes.",
                                         is_protocol ? "protocol" : "hostname", (int)listener->port,
                                         is_protocol ? "conflicts with that of" : "is that of",
                                         TEXT_ARG(listener->blocked_by))};
}

/* Why a listener is not with the data planes; reason NULL: it is meant to be. */
static struct verdict unserved(struct translation *t, const struct listener_view *listener)
{
    struct verdict conflict = conflict_of(t, listener);
    if (conflict.reason != NULL)
        return conflict;
    if (listener->accepted.reason != NULL)
        return (struct verdict){"Invalid", listener->accepted.message};
    if (listener->is_withheld)
        return good("Invalid", "The Gateway is not accepted.");
    if (!view_is_usable(listener)) /* no certificate, or no kind of route */
        return (struct verdict){"Invalid", listener->resolved.message};
    if (listener->blocked_by.len > 0)
        return (struct verdict){
            "Invalid", arena_printf(&t->scratch,
                                    "Port %d of the same address belongs to the Gateway " TEXT_FMT
                                    ", which comes first.",
                                    (int)listener->port, TEXT_ARG(listener->blocked_by))};
    if (listener->refused.len > 0)
        return (struct verdict){"Invalid",
                                arena_printf(&t->scratch, "A data plane refused it: " TEXT_FMT,
                                             TEXT_ARG(listener->refused))};
    return (struct verdict){0};
}

static const char WAITING[] = "Waiting for a data plane to confirm it.";
static const char MOVING[] =
    "The data planes that it had serve it until somebody is ready behind its new Service.";

static void listener_conditions(struct translation *t, const struct gateway_facts *facts,
                                struct piece *piece, const struct listener_view *listener,
                                struct conditions *out)
{
    struct verdict no = unserved(t, listener);
    struct verdict conflict = conflict_of(t, listener);
    bool is_conflicted = conflict.reason != NULL;
    if (is_conflicted || listener->accepted.reason != NULL)
        set(piece, out, "Accepted", CONDITION_FALSE, is_conflicted ? conflict : listener->accepted);
    else
        set(piece, out, "Accepted", CONDITION_TRUE, good("Accepted", "The listener is valid."));
    if (no.reason != NULL)
        set(piece, out, "Programmed", CONDITION_FALSE, no);
    else if (facts->is_programmed)
        set(piece, out, "Programmed", CONDITION_TRUE,
            good("Programmed", "A data plane serves this listener."));
    else
        set(piece, out, "Programmed", CONDITION_FALSE, good("Pending", WAITING));
    if (listener->resolved.reason != NULL)
        set(piece, out, "ResolvedRefs", CONDITION_FALSE, listener->resolved);
    else
        set(piece, out, "ResolvedRefs", CONDITION_TRUE,
            good("ResolvedRefs", "All references are resolved."));
    if (is_conflicted)
        set(piece, out, "Conflicted", CONDITION_TRUE, conflict);
    else
        set(piece, out, "Conflicted", CONDITION_FALSE,
            good("NoConflicts", "No other listener has the same port and hostname."));
    if ((listener->is_overlapping || listener->is_overlapping_others) &&
        listener->blocked_by.len == 0)
        set(piece, out, "OverlappingTLSConfig", CONDITION_TRUE,
            good("OverlappingHostnames",
                 "Another listener on this port has an overlapping hostname; a connection may be "
                 "reused for both."));
}

void gateway_listener_statuses(struct translation *t, const struct gateway_facts *facts,
                               struct piece *piece, struct object_status *status, size_t first,
                               size_t count)
{
    status->listeners = arena_array(&piece->arena, struct status_listener, count);
    status->listener_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct listener_view *listener = &facts->view->listeners[first + i];
        struct status_listener *out = &status->listeners[i];
        out->name = arena_text(&piece->arena, listener->name);
        out->attached_routes = outcome_attached_count(t->outcome, listener->resource);
        out->kinds = arena_array(&piece->arena, struct status_kind, 5);
        for (uint32_t kind = KIND_HTTP_ROUTE; kind <= KIND_UDP_ROUTE; kind++) {
            if ((listener->kinds >> kind & 1) != 0)
                out->kinds[out->kind_count++] = ROUTE_KINDS[kind];
        }
        listener_conditions(t, facts, piece, listener, &out->conditions);
    }
}

static bool is_blocked(const struct gateway_view *view, struct text *ret_by, int32_t *ret_port)
{
    for (size_t i = 0; i < view->listener_count; i++) {
        if (view->listeners[i].blocked_by.len > 0 && view->listeners[i].blocked_why == NULL) {
            *ret_by = view->listeners[i].blocked_by;
            *ret_port = view->listeners[i].port;
            return true;
        }
    }
    return false;
}

static bool serves_anything(const struct gateway_view *view)
{
    for (size_t i = 0; i < view->listener_count; i++) {
        if (view_is_served(&view->listeners[i]))
            return true;
    }
    return false;
}

bool gateway_wants_programmed(const struct gateway_view *view)
{
    struct text by;
    int32_t port;
    return view->accepted.reason == NULL && !is_blocked(view, &by, &port) && serves_anything(view);
}

static void accepted(const struct gateway_facts *facts, struct piece *piece,
                     struct conditions *conditions)
{
    const struct gateway_view *view = facts->view;
    struct verdict no = view->accepted;
    struct text why = view->no_parameters.len > 0 ? view->no_parameters : facts->refused;
    if (no.reason == NULL && why.len > 0)
        no = (struct verdict){"InvalidParameters", why};
    if (no.reason != NULL) {
        set(piece, conditions, "Accepted", CONDITION_FALSE, no);
        return;
    }
    size_t bad = 0;
    for (size_t i = 0; i < view->own_count; i++) {
        const struct listener_view *listener = &view->listeners[i];
        bad += listener->accepted.reason != NULL || listener->conflict.reason != NULL ||
               listener->blocked_why != NULL;
    }
    if (bad == 0)
        set(piece, conditions, "Accepted", CONDITION_TRUE,
            good("Accepted", "The Gateway is valid."));
    else if (bad < view->own_count)
        set(piece, conditions, "Accepted", CONDITION_TRUE,
            good("ListenersNotValid", "Some listeners are not valid and are left out."));
    else
        set(piece, conditions, "Accepted", CONDITION_FALSE,
            good("ListenersNotValid", "None of its listeners is valid."));
}

static void programmed(struct translation *t, const struct gateway_facts *facts,
                       struct piece *piece, struct conditions *conditions)
{
    const struct gateway_view *view = facts->view;
    struct text by;
    int32_t port;
    struct verdict no = {0};
    if (!conditions_are_true(conditions, "Accepted"))
        no = (struct verdict){"Invalid", conditions_get(conditions, "Accepted")->message};
    else if (is_blocked(view, &by, &port))
        no = (struct verdict){
            "AddressNotUsable",
            arena_printf(
                &t->scratch,
                "Port %d of the address is in use by the Gateway " TEXT_FMT
                ", which comes first; give this Gateway its own spec.addresses, or another "
                "port or hostname.",
                (int)port, TEXT_ARG(by))};
    else if (!serves_anything(view))
        no = good("Invalid", "None of its listeners can be served.");
    else if (facts->taken.len > 0)
        no = (struct verdict){"NoResources", facts->taken};
    else if (view->unusable.reason != NULL)
        no = view->unusable;
    else if (!facts->is_programmed)
        no = good("Pending", view->is_moving ? MOVING : WAITING);
    if (no.reason != NULL)
        set(piece, conditions, "Programmed", CONDITION_FALSE, no);
    else
        set(piece, conditions, "Programmed", CONDITION_TRUE,
            good("Programmed", "A data plane serves this Gateway."));
}

static void resolved(const struct gateway_view *view, struct piece *piece,
                     struct conditions *conditions)
{
    struct verdict no = view->resolved;
    for (size_t i = 0; i < view->own_count && no.reason == NULL; i++) {
        if (view->listeners[i].resolved.reason != NULL)
            no = good("ListenersNotResolved", "Some listeners have references not resolved.");
    }
    if (no.reason != NULL)
        set(piece, conditions, "ResolvedRefs", CONDITION_FALSE, no);
    else
        set(piece, conditions, "ResolvedRefs", CONDITION_TRUE,
            good("ResolvedRefs", "All references are resolved."));
}

static void report_block(struct translation *t, const struct gateway_view *view,
                         const struct kind_object *object, struct piece *piece)
{
    for (size_t i = 0; i < view->listener_count; i++) {
        const struct listener_view *listener = &view->listeners[i];
        if (listener->blocked_by.len == 0)
            continue;
        bool is_shared = listener->blocked_why != NULL;
        struct piece_spot spot = {
            FAULT_ERROR, is_shared ? listener->blocked_why : "AddressNotUsable", listener->place,
            arena_printf(&t->scratch, "spec.listeners[" TEXT_FMT "]", TEXT_ARG(listener->name)),
            is_shared
                ? TEXT("Give it another port or hostname.")
                : TEXT("Give each Gateway its own spec.addresses, or another port or hostname.")};
        piece_fault(piece, object, &spot, unserved(t, listener).message);
    }
}

static void note_class(struct translation *t, const struct kind_object *object, struct piece *piece)
{
    if (gateway_class_standing(t, object->gateway->class_name) != GATEWAY_CLASS_IMPLIED)
        return;
    struct piece_spot spot = {FAULT_NOTE, "GatewayClassImplied", object->gateway->place,
                              TEXT("spec.gatewayClassName"), TEXT_NONE};
    piece_fault(piece, object, &spot,
                arena_printf(&t->scratch,
                             "There is no GatewayClass \"" TEXT_FMT
                             "\"; since there is none at all, this Gateway is served.",
                             TEXT_ARG(object->gateway->class_name)));
}

struct piece *gateway_piece(struct translation *t, const struct gateway_facts *facts)
{
    const struct gateway_view *view = facts->view;
    const struct kind_object *object =
        store_get(t->store, KIND_GATEWAY, view->key.namespace, view->key.name);
    struct piece *piece = piece_new(view->key);
    piece_take_faults(piece, view->draft);
    for (size_t i = 0; i < view->draft->foreign_count; i++)
        piece_add_foreign(piece, view->draft->foreign[i]);
    note_class(t, object, piece);
    report_block(t, view, object, piece);
    gateway_add_resources(t, view, piece, 0, view->own_count);

    struct object_status *status = piece_status(piece, object, t->controller);
    accepted(facts, piece, &status->conditions);
    programmed(t, facts, piece, &status->conditions);
    resolved(view, piece, &status->conditions);
    if (view->is_insecure)
        set(piece, &status->conditions, "InsecureFrontendValidationMode", CONDITION_TRUE,
            good("ConfigurationChanged", "Clients without a valid certificate are let in."));
    status->address_count = view->accepted.reason == NULL ? view->address_count : 0;
    status->addresses = arena_array(&piece->arena, struct status_address, view->address_count);
    for (size_t i = 0; i < status->address_count; i++)
        status->addresses[i] = (struct status_address){
            view->addresses[i].type, arena_text(&piece->arena, view->addresses[i].value)};
    for (size_t i = 0; i < view->set_count; i++)
        status->attached_listener_sets += view_count_valid(view, &view->sets[i]) > 0;
    gateway_listener_statuses(t, facts, piece, status, 0, view->own_count);
    return piece;
}

/* In a cluster a class of somebody else's is nothing to speak of. */
struct piece *gateway_stranger_piece(struct translation *t, const struct kind_object *object)
{
    struct text class = object->gateway->class_name;
    enum gateway_class_standing standing = gateway_class_standing(t, class);
    struct piece_spot spot = {FAULT_WARNING, "GatewayClassNotFound", object->gateway->place,
                              TEXT("spec.gatewayClassName"),
                              TEXT("Add the GatewayClass, or correct the name.")};
    struct text what = TEXT_NONE;
    if (standing == GATEWAY_CLASS_MISSING) {
        what = arena_printf(&t->scratch,
                            "The GatewayClass \"" TEXT_FMT
                            "\" does not exist, so nobody serves this Gateway.",
                            TEXT_ARG(class));
    } else if (standing == GATEWAY_CLASS_OTHER && t->options->standalone) {
        spot.code = "GatewayClassNotOurs";
        spot.hint = arena_printf(&t->scratch,
                                 "Set the controllerName of the class to " TEXT_FMT
                                 ", or take the class out: a Gateway without any is served.",
                                 TEXT_ARG(t->controller));
        what = arena_printf(&t->scratch,
                            "The GatewayClass \"" TEXT_FMT
                            "\" names another controller, so this Gateway is not served here.",
                            TEXT_ARG(class));
    } else {
        return NULL;
    }
    struct piece *piece = piece_new(piece_key_of(object));
    piece_fault(piece, object, &spot, what);
    return piece;
}
