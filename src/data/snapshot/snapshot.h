/* Compiled configuration: immutable once published, shared by all workers, built from parts that
 * are shared with the snapshot before it. Workers reach it through a lease (lease.h).
 *
 *   snapshot -> bindings (a socket each) -> listeners by host name -> route table -> routes
 *            -> backends, by slot: a route names a slot, so that changed endpoints touch no route
 */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "base/hash.h"
#include "base/text.h"
#include "data/snapshot/backend.h"
#include "data/snapshot/route.h"
#include "data/snapshot/route_table.h"
#include "net/address.h"

struct tls_context;
struct tls_certificate;
struct host_table; /* host name -> listener or virtual host, exact and by suffix: host_table.h */

enum listener_protocol {
    LISTENER_HTTP = 1,
    LISTENER_HTTPS,
    LISTENER_TLS,
    LISTENER_TCP,
    LISTENER_UDP,
};

/* What policies say of a listener; 0: the default of base/limits.h. */
struct listener_limits {
    uint32_t header_ms, idle_ms, body_ms;
    uint64_t body_bytes_max;
};

/* One listener of one Gateway. Immutable, counted; the table changes by a new config. */
struct listener_config {
    _Atomic uint32_t refs;
    struct arena arena;
    struct text resource; /* "default/web/http" */
    struct text gateway;  /* "default/web" */
    struct text name;     /* "http" */
    enum listener_protocol protocol;
    uint16_t port;
    struct text hostname; /* "", exact, or "*.example.com" */
    uint32_t slot;        /* index of its counters; stable while the resource lives */
    struct listener_limits limits;
    bool passthrough;                      /* TLS: not ended here */
    bool proxy_protocol;                   /* its header comes first */
    struct tls_context *tls;               /* shares; NULL: TLS does not end here */
    struct tls_certificate **certificates; /* shares; first is the default */
    uint32_t certificate_count;
    const char *unusable;       /* static words when it must refuse (no certificate): else NULL */
    struct route_table *routes; /* shares; never NULL, may be empty */
};

/* One socket to bind, and the listeners that share it. */
struct binding {
    _Atomic uint32_t refs;
    struct address address;
    enum listener_protocol protocol; /* HTTP, or HTTPS when TLS comes first, ... */
    bool peeks; /* the server name is read before it is known who ends TLS, and what is in it */
    struct tls_context *tls;            /* shares; NULL when plain */
    struct listener_config **listeners; /* shares */
    uint32_t listener_count;
    struct host_table *by_host; /* owns; -> listener_config */
};

/* Told when a snapshot ends, on whatever thread that happens: shared with the compiler, which gives
 * a slot to another resource only when no snapshot before the change lives. */
struct snapshot_life {
    _Atomic uint32_t refs;
    _Atomic bool ended;
};

struct snapshot {
    _Atomic uint32_t refs;
    uint64_t number;     /* counts up in this process */
    struct text version; /* "epoch.hold.revision" for logs, in `arena` */
    struct digest digest;
    struct arena arena;
    struct binding **bindings; /* shares */
    uint32_t binding_count;
    struct backend_table *backends;                      /* shares */
    uint32_t route_slots, listener_slots, backend_slots; /* slot counts, for per-worker arrays */
    uint32_t
        *gone_routes; /* slots whose route was in the snapshot before, and is in this no more */
    size_t gone_count;
    struct snapshot_life *life; /* shares; may be NULL */
};

struct listener_config *listener_config_ref(struct listener_config *listener);
void listener_config_unref(struct listener_config *listener);
struct binding *binding_ref(struct binding *binding);
void binding_unref(struct binding *binding);
/* Copies `old` (NULL: an empty one) with its listeners replaced by host name. Each edit's listener
 * (NULL: removed) is borrowed. */
struct binding_edit {
    struct text hostname;
    struct listener_config *listener;
};
struct binding *binding_edit(const struct binding *old, const struct binding_edit *edits,
                             size_t count);
struct snapshot_life *snapshot_life_new(void);
void snapshot_life_unref(struct snapshot_life *life);
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot);
/* The binding of this local address, of UDP or of TCP, or NULL. */
const struct binding *snapshot_binding(const struct snapshot *snapshot,
                                       const struct address *address, bool is_udp);
/* The most specific listener for a host name (lower case, no port), or NULL: Gateway API listener
 * isolation. An empty host asks for the listener without a host name. */
struct listener_config *binding_listener(const struct binding *binding, struct text host);
