/* Backend references: kind, grant, existence, port, protocol; and the Backend resource itself. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/outcome_internal.h"
#include "control/translate/route.h"
#include "nantian/config/v1/backend.pb-c.h"

/* What the route speaks; part of the Backend's name unless the port's own hint says the same. */
enum backends_protocol {
    BACKENDS_AS_HINTED, /* HTTP/1.1, or h2c where the Service's port says so */
    BACKENDS_H2C,
    BACKENDS_TCP,
    BACKENDS_UDP,
};

struct backends_list {
    const struct kind_backend_ref *items;
    size_t count;
    struct text field; /* "spec.rules[1]" */
    enum backends_protocol protocol;
};

/* rule->backends, no_backends, and the wants. */
void backends_of_rule(struct route_build *build, const struct backends_list *list,
                      Nantian__Config__V1__Route *rule);
/* One reference. Returns the reason ("BackendNotFound", ...) or NULL and the resource's name. */
const char *backends_resolve(struct route_build *build, const struct kind_backend_ref *ref,
                             enum backends_protocol protocol, const struct route_spot *spot,
                             struct text *ret_name);

/* The name of the same Backend for Gateways that show it this client certificate. */
struct text backends_client_name(struct arena *arena, struct text name, struct store_key client);
/* The Backend resource of an entry, and its Endpoints, which bear the same name. */
struct piece *backends_piece(struct translation *t, const struct backend_entry *entry);

/* "namespace/service:port", the name of the plain Backend. */
struct text backends_name(struct arena *arena, struct store_key service, int32_t port);
const struct kind_service_port *backends_port(const struct kind_service *service, int32_t port,
                                              bool is_udp);

/* x_backend.c: what an XBackend is to routes that name it, and its status. Of its two types
 * ExternalHostname is there; what cannot be had is said in both statuses. */
/* Which protocol it is asked in when a route speaks `asked`; or why it cannot be. */
struct verdict x_backend_check(struct translation *t, const struct kind_object *object,
                               enum backends_protocol asked, enum backends_protocol *ret_protocol);
/* Its TLS; what cannot be obeyed makes the backend fail, never plain text. */
void x_backend_apply(struct translation *t, const struct kind_object *object, struct piece *piece,
                     Nantian__Config__V1__Backend *message);
struct piece *x_backend_piece(struct translation *t, const struct kind_object *object);
