/* A Gateway as routes see it: its listeners and those of its ListenerSets, judged. Owns all that it
 * points to, so that it outlives the objects it was made from. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/map.h"
#include "control/kind/gateway.h"
#include "control/translate/translation.h"

struct listener_view {
    struct text resource; /* of its Listener resource */
    struct text name;     /* section name */
    struct text hostname; /* lower case; empty: any */
    int32_t port;
    enum kind_protocol protocol;
    bool is_terminated;
    bool is_proxied; /* a PROXY header comes first */
    uint32_t kinds;  /* one bit a kind_id: allowed and supported */
    struct kind_namespaces allowed;
    struct text namespace; /* of its owner: what Same means */
    struct store_key owner;
    struct kind_place place;
    struct text file;

    struct verdict accepted, resolved, conflict;
    /* OverlappingTLSConfig: with one of its own Gateway; with any that is served beside it by the
     * same data planes, which may be of another Gateway. */
    bool is_overlapping, is_overlapping_others;
    bool has_certificate;
    bool is_insecure; /* accepts clients without a good certificate */
    struct store_key *secrets;
    size_t secret_count;
    struct store_key *client_cas; /* none: no client certificate asked for */
    size_t client_ca_count;
    struct text blocked_by; /* the Gateway that has this address and port; empty: none */
    /* Both have the same data planes by their class: the reason of the Conflicted condition. NULL:
     * they have no more in common than an address. */
    const char *blocked_why;
    struct text refused; /* what a data plane said against it; empty: nothing */
    bool is_withheld;    /* the Gateway itself is not accepted */
};

struct set_view {
    struct store_key key;
    int64_t generation;
    struct verdict accepted;    /* reason NULL: its listeners count */
    size_t first, count;        /* in gateway_view.listeners; 0 if not accepted */
    struct text *section_names; /* what it lists, also if not accepted */
};

struct gateway_view {
    struct arena arena;
    struct store_key key;
    struct text path; /* "namespace/name" */
    /* Its data planes: its own, "namespace/name", or those of its class, "/class". */
    struct text fleet;
    int64_t generation, created;
    struct piece *draft; /* owns; collects faults and foreign namespaces for the real piece */
    struct verdict accepted, resolved, unusable;
    /* Why what data planes are to look like is not known: not accepted, but what stands goes on. */
    struct text no_parameters;
    struct store_key client_certificate; /* shown to backends; kind NONE: none */
    bool is_insecure;
    bool is_fronted; /* by a Service: its addresses are not the data planes' own */
    /* Its class changed its mind: nobody can be reached behind the new Service, and somebody still
     * can behind the old one. */
    bool is_moving;
    struct status_address *addresses;
    size_t address_count;
    struct listener_view *listeners; /* its own, then those of its sets in order of precedence */
    size_t own_count, listener_count;
    struct set_view *sets;
    size_t set_count;
    struct digest digest; /* of all that routes depend on */
    bool is_dirty;        /* its pieces are to be made again in this run */
};

/* NULL: the Gateway is not ours. */
struct gateway_view *view_new(struct translation *t, const struct kind_object *object);
void view_free(struct gateway_view *view);

/* Both accepted and with what it refers to: the data plane gets it unless blocked. */
static inline bool view_is_usable(const struct listener_view *listener)
{
    return listener->accepted.reason == NULL && listener->conflict.reason == NULL &&
           listener->kinds != 0 && (!listener->is_terminated || listener->has_certificate);
}
static inline bool view_is_served(const struct listener_view *listener)
{
    return view_is_usable(listener) && listener->blocked_by.len == 0 && !listener->is_withheld &&
           listener->refused.len == 0;
}
static inline bool view_is_shared(const struct gateway_view *view)
{
    return view->fleet.data[0] == '/';
}
/* To be called when listeners or blocks changed. */
void view_update_digest(struct gateway_view *view);
/* The Gateway is not accepted; the first reason stays. */
void view_reject(struct gateway_view *view, const struct kind_object *object,
                 struct kind_place place, const char *field, struct verdict verdict);
/* How many listeners of a ListenerSet are usable; 0: it is not attached. */
size_t view_count_valid(const struct gateway_view *view, const struct set_view *set);
const struct set_view *view_find_set(const struct gateway_view *view, struct store_key key);

/* What stands on a port does not conflict with one another, so that a look-up tells who stands in
 * the way, however many listeners share the port. */
struct claim {
    const struct gateway_view *view;
    const struct listener_view *listener;
};

/* Both outlive it. */
struct claims {
    struct arena *arena; /* borrows; for keys and holders */
    struct map holders;
};

void claims_init(struct claims *claims, struct arena *arena);
void claims_fini(struct claims *claims);
/* The reason why both cannot be on one address, or NULL. Static. */
const char *claims_conflict(const struct listener_view *a, const struct listener_view *b);
/* The oldest that conflicts with it; NULL: it can be put down. `address` may be empty. */
const struct claim *claims_blocker(const struct claims *claims, struct text address,
                                   const struct listener_view *listener);
/* Must not conflict with what stands there. */
void claims_take(struct claims *claims, struct text address, struct claim holder);
/* Marks HTTPS and TLS listeners of one port and Gateway whose hostnames overlap. */
void claims_find_overlaps(struct gateway_view *view, struct arena *arena);

/* Which Gateway has an address and port, or a port of data planes that several share: settles it
 * among all Gateways of the outcome, the older one first, and whose hostnames overlap there; views
 * whose standing changed become dirty. */
void claims_settle(struct translation *t);
