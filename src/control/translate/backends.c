/* From backendRefs to Backend resources. Every cross-namespace question goes to grants.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/backends.h"

#include "base/memory.h"
#include "control/kind/service.h"
#include "control/kind/x_backend.h"
#include "control/store/grants.h"
#include "control/translate/endpoints.h"
#include "control/translate/service_policy.h"

static const char *const SUFFIXES[] = {"", ";h2c", ";tcp", ";udp"};

struct text backends_name(struct arena *arena, struct store_key service, int32_t port)
{
    return arena_printf(arena, TEXT_FMT ":%d", TEXT_ARG(sharing_path(arena, service)), (int)port);
}

const struct kind_service_port *backends_port(const struct kind_service *service, int32_t port,
                                              bool is_udp)
{
    for (size_t i = 0; i < service->port_count; i++) {
        if (service->ports[i].port == port && text_is(service->ports[i].protocol, "UDP") == is_udp)
            return &service->ports[i];
    }
    return NULL;
}

static bool is_h2c(const struct kind_service_port *port)
{
    return port != NULL && text_is(port->app_protocol, "kubernetes.io/h2c");
}

static const char *fail(struct route_build *build, const char *reason,
                        const struct route_spot *spot, struct text message)
{
    route_unresolved(build, reason, spot, message);
    return reason;
}

static const char *check_port(struct route_build *build, const struct kind_object *object,
                              const struct kind_backend_ref *ref, enum backends_protocol protocol,
                              const struct route_spot *spot)
{
    struct arena *arena = &build->t->scratch;
    const struct kind_service *service = object->service;
    bool is_udp = protocol == BACKENDS_UDP;
    if (ref->port < 1 || ref->port > 65535)
        return fail(build, "BackendNotFound", spot, TEXT("a reference to a Service needs a port."));
    const struct kind_service_port *port = backends_port(service, ref->port, is_udp);
    if (port == NULL && text_is(service->type, "ExternalName"))
        return NULL;
    if (port == NULL && backends_port(service, ref->port, !is_udp) != NULL)
        return fail(build, "UnsupportedProtocol", spot,
                    arena_printf(arena,
                                 "port %d of the Service " TEXT_FMT "/" TEXT_FMT " is not %s.",
                                 (int)ref->port, TEXT_ARG(object->meta.namespace),
                                 TEXT_ARG(object->meta.name), is_udp ? "UDP" : "TCP"));
    if (port == NULL)
        return fail(build, "BackendNotFound", spot,
                    arena_printf(arena, "the Service " TEXT_FMT "/" TEXT_FMT " has no port %d.",
                                 TEXT_ARG(object->meta.namespace), TEXT_ARG(object->meta.name),
                                 (int)ref->port));
    bool is_http = protocol == BACKENDS_AS_HINTED || protocol == BACKENDS_H2C;
    bool cannot = text_is(port->app_protocol, "kubernetes.io/wss") ||
                  (is_h2c(port) && !translation_can(build->t, CAPABILITY_BACKEND_H2C));
    if (is_http && cannot)
        return fail(build, "UnsupportedProtocol", spot,
                    arena_printf(arena,
                                 "the appProtocol " TEXT_FMT " of port %d of the Service " TEXT_FMT
                                 "/" TEXT_FMT " is not supported by this data plane.",
                                 TEXT_ARG(port->app_protocol), (int)ref->port,
                                 TEXT_ARG(object->meta.namespace), TEXT_ARG(object->meta.name)));
    return NULL;
}

static const char *check_x(struct route_build *build, const struct kind_object *object,
                           const struct route_spot *spot, enum backends_protocol *protocol)
{
    struct verdict verdict = x_backend_check(build->t, object, *protocol, protocol);
    return verdict.reason == NULL ? NULL : fail(build, verdict.reason, spot, verdict.message);
}

struct text backends_client_name(struct arena *arena, struct text name, struct store_key client)
{
    return arena_printf(arena, TEXT_FMT ";client=" TEXT_FMT "/" TEXT_FMT, TEXT_ARG(name),
                        TEXT_ARG(client.namespace), TEXT_ARG(client.name));
}

static void add_want(struct route_build *build, struct text name, struct store_key service,
                     int32_t port, enum backends_protocol protocol)
{
    for (size_t i = 0; i < build->want_count; i++) {
        if (text_equal(build->wants[i].resource, name))
            return;
    }
    if (build->want_count == build->want_cap) {
        size_t cap = build->want_cap == 0 ? 4 : build->want_cap * 2;
        struct piece_want *wants = arena_array(&build->t->scratch, struct piece_want, cap);
        if (build->want_count > 0)
            memcpy(wants, build->wants, build->want_count * sizeof(*wants));
        build->wants = wants;
        build->want_cap = cap;
    }
    build->wants[build->want_count++] = (struct piece_want){
        .type = RESOURCE_BACKEND,
        .resource = name,
        .object = service,
        .port = port,
        .protocol = protocol,
    };
}

const char *backends_resolve(struct route_build *build, const struct kind_backend_ref *ref,
                             enum backends_protocol protocol, const struct route_spot *spot,
                             struct text *ret_name)
{
    struct translation *t = build->t;
    struct arena *arena = &t->scratch;
    enum kind_id kind = kind_find(ref->group, ref->kind);
    if (kind != KIND_SERVICE && kind != KIND_X_BACKEND)
        return fail(build, "InvalidKind", spot,
                    arena_printf(arena,
                                 "the kind " TEXT_FMT " of the group \"" TEXT_FMT
                                 "\" cannot be a backend; only Service and XBackend can.",
                                 TEXT_ARG(ref->kind), TEXT_ARG(ref->group)));
    struct text own = build->object->meta.namespace;
    struct store_key key = {kind, ref->namespace.len > 0 ? ref->namespace : own, ref->name};
    if (!text_equal(key.namespace, own))
        piece_add_foreign(build->piece, key.namespace);
    struct grants_reference reference = {build->object->id, own,           ref->group,
                                         ref->kind,         key.namespace, key.name};
    if (!grants_permit(t->store, &reference))
        return fail(build, "RefNotPermitted", spot,
                    arena_printf(arena,
                                 "the %s " TEXT_FMT "/" TEXT_FMT
                                 " is in another namespace and no ReferenceGrant permits it.",
                                 kind_name(kind), TEXT_ARG(key.namespace), TEXT_ARG(key.name)));
    const struct kind_object *object = store_get(t->store, kind, key.namespace, key.name);
    if (object == NULL)
        return fail(build, "BackendNotFound", spot,
                    arena_printf(arena, "the %s " TEXT_FMT "/" TEXT_FMT " does not exist.",
                                 kind_name(kind), TEXT_ARG(key.namespace), TEXT_ARG(key.name)));
    const char *reason = kind == KIND_SERVICE ? check_port(build, object, ref, protocol, spot)
                                              : check_x(build, object, spot, &protocol);
    if (reason != NULL && kind == KIND_SERVICE)
        return reason;
    int32_t port = kind == KIND_SERVICE ? ref->port : object->x_backend->port;
    if (kind == KIND_SERVICE && protocol == BACKENDS_H2C &&
        is_h2c(backends_port(object->service, port, false)))
        protocol = BACKENDS_AS_HINTED;
    *ret_name = arena_printf(arena, TEXT_FMT "%s", TEXT_ARG(backends_name(arena, key, port)),
                             SUFFIXES[protocol]);
    add_want(build, *ret_name, key, port, protocol); /* an XBackend says to whom it is of no use */
    return reason;
}

/* The policies on a Service. */
static void apply_policies(struct translation *t, const struct backend_entry *entry,
                           const struct kind_service_port *port, struct piece *piece,
                           Nantian__Config__V1__Backend *message)
{
    struct text port_name = port == NULL ? TEXT_NONE : port->name;
    const struct kind_object *tls =
        service_policy_choose(t, KIND_BACKEND_TLS_POLICY, entry->service, port_name);
    if (tls != NULL && entry->protocol != BACKENDS_UDP)
        backend_tls_apply(t, tls, tls->backend_tls_policy, entry->client, piece, message);
    const struct kind_object *lb =
        service_policy_choose(t, KIND_BACKEND_LB_POLICY, entry->service, port_name);
    if (lb != NULL)
        backend_lb_apply(t, lb, entry->name, message);
    const struct kind_object *traffic =
        service_policy_choose(t, KIND_BACKEND_TRAFFIC_POLICY, entry->service, port_name);
    if (traffic != NULL)
        backend_lb_apply_traffic(t, traffic, entry->name, message);
}

static void add_backend(struct translation *t, const struct backend_entry *entry,
                        const struct kind_object *object, const struct kind_service_port *port,
                        struct piece *piece)
{
    struct arena *arena = &t->scratch;
    Nantian__Config__V1__Backend message = NANTIAN__CONFIG__V1__BACKEND__INIT;
    message.endpoints = arena_string(arena, entry->name);
    message.owner = arena_string(arena, kind_describe(object, arena));
    bool is_hinted_h2c = entry->protocol == BACKENDS_AS_HINTED && is_h2c(port);
    if (is_hinted_h2c || entry->protocol == BACKENDS_H2C)
        message.protocol = NANTIAN__CONFIG__V1__BACKEND__PROTOCOL__H2C;
    else if (entry->protocol == BACKENDS_TCP)
        message.protocol = NANTIAN__CONFIG__V1__BACKEND__PROTOCOL__TCP;
    else if (entry->protocol == BACKENDS_UDP)
        message.protocol = NANTIAN__CONFIG__V1__BACKEND__PROTOCOL__UDP;
    if (object->id == KIND_X_BACKEND)
        x_backend_apply(t, object, piece, &message);
    else
        apply_policies(t, entry, port, piece, &message);
    piece_add_resource(piece, RESOURCE_BACKEND, entry->name, &message, arena);
    struct outcome_resource *resource = &piece->resources[piece->resource_count - 1];
    if (outcome_refusal(t->outcome, RESOURCE_BACKEND, entry->name, resource->digest).len == 0)
        return;
    /* A data plane refused it: the smallest one that can be named stands in and fails. */
    Nantian__Config__V1__Backend failing = NANTIAN__CONFIG__V1__BACKEND__INIT;
    failing.endpoints = message.endpoints;
    failing.owner = message.owner;
    failing.fail_status = 503;
    piece->resource_count--;
    piece_add_resource(piece, RESOURCE_BACKEND, entry->name, &failing, arena);
}

struct piece *backends_piece(struct translation *t, const struct backend_entry *entry)
{
    struct store_key key = entry->service;
    const struct kind_object *object = store_get(t->store, key.kind, key.namespace, key.name);
    if (object == NULL)
        return NULL;
    struct piece *piece = piece_new(key);
    if (key.kind == KIND_X_BACKEND) {
        const struct kind_x_backend_host *host = object->x_backend->host;
        add_backend(t, entry, object, NULL, piece);
        endpoints_add_name(t, host == NULL ? TEXT_NONE : host->hostname, entry, piece);
        return piece;
    }
    bool is_udp = entry->protocol == BACKENDS_UDP;
    const struct kind_service_port *port = backends_port(object->service, entry->port, is_udp);
    add_backend(t, entry, object, port, piece);
    endpoints_add(t, object, port, entry, piece);
    return piece;
}
