/* What the statuses of all kinds are made of, as Kubernetes has them. Immutable once in a piece;
 * times of transition are the writer's business, since translation knows no clock. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "control/store/store.h"

enum condition_state { CONDITION_FALSE, CONDITION_TRUE, CONDITION_UNKNOWN };

struct condition {
    const char *type;   /* static: "Accepted" */
    const char *reason; /* static: "NoMatchingParent" */
    struct text message;
    enum condition_state state;
};

/* At most eight, each type once; observedGeneration is that of the object for all of them. */
struct conditions {
    struct condition *items; /* in the arena they were set with */
    uint32_t count, cap;
};

struct status_kind {
    const char *group, *kind; /* static */
};

struct status_address {
    const char *type; /* static: "IPAddress" */
    struct text value;
};

struct status_listener {
    struct text name;
    struct status_kind *kinds;
    size_t kind_count;
    uint32_t attached_routes;
    struct conditions conditions;
};

/* A parentRef or ancestorRef with its defaults filled in. */
struct status_ref {
    struct text group, kind, namespace, name;
    struct text section_name; /* may be empty */
    int32_t port;             /* 0: absent */
};

/* status.parents[] of a route, status.ancestors[] of a policy. */
struct status_parent {
    struct status_ref ref;
    struct conditions conditions;
};

struct object_status {
    struct store_key key; /* texts in the same arena */
    int64_t generation;   /* processed: observedGeneration of every condition */
    struct text controller;

    struct conditions conditions; /* GatewayClass, Gateway, ListenerSet, our own policies */
    /* GatewayClass */
    const char *const *features;
    size_t feature_count;
    /* Gateway */
    struct status_address *addresses;
    size_t address_count;
    uint32_t attached_listener_sets;
    /* Gateway, ListenerSet */
    struct status_listener *listeners;
    size_t listener_count;
    /* routes, policies on Services */
    struct status_parent *parents;
    size_t parent_count;
};

/* Policies on Services: status.ancestors where routes have status.parents. */
static inline bool status_has_ancestors(enum kind_id kind)
{
    return kind == KIND_BACKEND_TLS_POLICY || kind == KIND_BACKEND_LB_POLICY ||
           kind == KIND_BACKEND_TRAFFIC_POLICY || kind == KIND_X_BACKEND;
}
