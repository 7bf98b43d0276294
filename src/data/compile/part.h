/* What the compiler keeps of each resource: the compiled form that is published, and while a change
 * is under way the one that will take its place. Inside data/compile only. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/map.h"
#include "data/compile/compile.h"
#include "data/filter/chain.h"
#include "nantian/config/v1/filter.pb-c.h"
#include "nantian/config/v1/session.pb-c.h"
#include "schema/unpack.h"

#define SLOT_NONE UINT32_MAX

struct part {
    enum resource_type type;
    uint32_t slot;     /* SLOT_NONE: has none */
    bool present;      /* published */
    bool next_present; /* the same after this change, if staged */
    bool staged;       /* something of it changes */
    bool edited;       /* the change names it */
    bool slot_is_new;
    int32_t users_delta;
    uint32_t users;           /* parts that refer to it */
    void *value, *next;       /* owns; by type, see below */
    char *bytes, *next_bytes; /* owns; of types that are compiled again when others change */
    size_t bytes_len, next_bytes_len;
    struct text name; /* behind the struct */
};

/* RESOURCE_ROUTE: struct route. RESOURCE_SECRET, _LISTENER, _BACKEND: */
struct part_secret {
    struct tls_certificate *certificate; /* shares; NULL: none */
    struct text ca;                      /* owns */
};

struct part_listener {
    struct listener_config *config; /* shares; routes is NULL until a change is complete */
    struct address *addresses;      /* owns */
    uint32_t address_count;
    struct part **secrets; /* owns; borrowed parts: `users` keeps them */
    uint32_t secret_count;
    struct part **client_cas; /* owns; borrowed parts too */
    uint32_t client_ca_count;
};

struct part_backend {
    struct backend *backend; /* shares */
    struct part *endpoints;
    struct part **cas; /* owns; borrowed parts */
    uint32_t ca_count;
    struct part *client;      /* NULL: none */
    struct address *resolved; /* owns: of dns_name */
    size_t resolved_count;
    uint64_t *down; /* owns: ids of endpoints that the health check calls down */
    size_t down_count;
};

/* RESOURCE_ENDPOINTS, _POLICY: bytes alone. */

struct slots {
    uint32_t count; /* given out so far, ever */
    struct slot_freed {
        uint32_t slot;
        uint64_t number; /* of the first snapshot without it */
    } * freed;           /* owns; oldest first, from freed_first on */
    size_t freed_first, freed_count, freed_cap;
};

struct snapshot_lives {
    struct {
        uint64_t number;
        struct snapshot_life *life;
    } * items; /* owns */
    size_t count, cap;
};

struct compile {
    struct compile_options options;
    struct arena arena;        /* of the options */
    struct address *addresses; /* owns; the defaults */
    size_t address_count;
    struct map parts[RESOURCE_TYPES]; /* own their parts */
    struct slots slots[RESOURCE_TYPES];
    struct backend_table *backends; /* shares */
    struct binding **bindings;      /* share; owns the array */
    uint32_t binding_count;
    uint64_t number;
    struct snapshot_lives lives;
    struct tls_tickets *tickets; /* shares */
    /* What listeners ask of a handshake: one context for all that ask the same. */
    struct compile_rules {
        struct digest spec;
        struct tls_context *context; /* shares */
    } * rules;                       /* owns */
    size_t rules_count, rules_cap;
    struct part **dns_dirty; /* owns */
    size_t dns_count, dns_cap;
};

/* One call of compile_apply. */
struct change {
    struct compile *compile;
    struct faults *faults;
    struct arena scratch;  /* of the message at hand */
    struct part **touched; /* owns the array */
    size_t touched_count, touched_cap;
    bool listeners_changed;       /* other than by their routes */
    struct compile_group *groups; /* owns; listeners by socket, if listeners_changed */
    size_t group_count, group_cap;
    struct binding **bindings; /* of the next snapshot; share; owns the array */
    uint32_t binding_count;
};

struct part *part_find(const struct compile *compile, enum resource_type type, struct text name);
/* Finds or makes it. */
struct part *part_take(struct change *change, enum resource_type type, struct text name);
/* Puts it on the list of the change; next_present starts as `present`. */
void part_touch(struct change *change, struct part *part);
bool part_will_be(const struct part *part);      /* present after this change; NULL is not */
struct text part_bytes(const struct part *part); /* after this change */
/* Counts a reference that comes (1) or goes (-1) with this change. */
void part_use(struct change *change, struct part *part, int32_t delta);
void part_slot(struct change *change, struct part *part);
/* Frees the compiled form of one type. */
void part_drop_value(enum resource_type type, void *value);
void part_commit(struct change *change);
void part_abort(struct change *change);
void part_free(struct part *part);
void part_lives_add(struct compile *compile, uint64_t number, struct snapshot_life *life);

/* The start of a fault: `field` may be NULL or words in the scratch arena. */
struct fault part_fault(struct change *change, const struct part *part, const char *code,
                        struct text field);

/* The part's bytes as a message in the scratch arena, which is emptied first; NULL: a fault was
 * added. */
void *part_message(struct change *change, const struct part *part,
                   const ProtobufCMessageDescriptor *type, struct text bytes);

/* One a type: makes part->next, or adds faults. */
void compile_secret(struct change *change, struct part *part);
void compile_endpoints(struct change *change, struct part *part);
void compile_policy(struct change *change, struct part *part);
void compile_listener(struct change *change, struct part *part);
void compile_backend(struct change *change, struct part *part);
void compile_route(struct change *change, struct part *part, struct text bytes);
/* `arena`: of the rule or backend. NULL: none, or faults were added. */
const struct session_config *compile_session(struct change *change, const struct part *part,
                                             const Nantian__Config__V1__Session *message,
                                             struct arena *arena);
/* Counts what the route refers to: 1 when it comes, -1 when it goes. */
void compile_route_uses(struct change *change, const struct route *route, int32_t delta);
void compile_backend_uses(struct change *change, const struct part_backend *backend, int32_t delta);
void compile_listener_uses(struct change *change, const struct part_listener *listener,
                           int32_t delta);

/* The Gateway API's idea of a host name: lower case, "*." at the front at most. */
bool compile_hostname_is_valid(struct text hostname);
struct compile_filter_list {
    Nantian__Config__V1__Filter *const *items;
    size_t count;
    const char *field; /* "filters", "backends[2].filters" */
};
/* A chain from the wire in `arena`, or NULL: none, or faults were added. */
struct filter_chain *compile_filters(struct change *change, const struct part *part,
                                     struct arena *arena, const struct compile_filter_list *list);
/* Counts the backends that its filters send to. NULL is fine. */
void compile_filters_uses(struct change *change, const struct filter_chain *chain, int32_t delta);
/* What a listener's TLS asks of clients, or NULL: the library refused, *ret_why says why. Shared by
 * all that ask the same; `ca_pem` empty: no client certificate. */
struct compile_demand {
    bool is_http; /* offers HTTP by ALPN */
    bool client_required;
    struct text ca_pem;
};
struct tls_context *compile_rules(struct compile *compile, const struct compile_demand *demand,
                                  const char **ret_why);
/* Forgets those that nobody shares any more. */
void compile_rules_sweep(struct compile *compile);
/* The parts that these names stand for, into an array of the caller's; faults for those that are
 * not there. Returns how many there are. */
struct compile_names {
    char *const *items;
    size_t count;
    const char *field; /* "tls.secrets" */
};
uint32_t compile_find_secrets(struct change *change, const struct part *part,
                              const struct compile_names *names, struct part **out);
/* Their bundles one after the other, in the scratch arena; a fault for one that has none. */
struct text compile_join_cas(struct change *change, const struct part *part,
                             struct part *const *secrets, uint32_t count, const char *field);
static inline const struct part_secret *part_secret_next(const struct part *part)
{
    return part->next != NULL ? part->next : part->value;
}
/* Sockets and who shares them, from the listeners as they will be. Adds faults where they cannot
 * share. */
void compile_groups(struct change *change);
/* The change is good: the route tables of listeners whose routes change. */
void compile_tables(struct change *change);
/* And the bindings of the next snapshot, after the tables. */
void compile_bindings(struct change *change);
void compile_bindings_free(struct binding **bindings, uint32_t count);
void compile_groups_free(struct change *change);
struct listener_config *compile_listener_copy(const struct listener_config *from,
                                              struct route_table *routes);
/* The form of a listener after this change. */
static inline const struct part_listener *part_listener_next(const struct part *part)
{
    return part->next != NULL ? part->next : part->value;
}
