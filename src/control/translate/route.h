/* What all kinds of routes share: from rules made by the files of the kinds to resources, wants and
 * the status of each parent. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/attach.h"

/* A route being translated. The rule makers add to it; route_finish() turns it into the piece. */
struct route_build {
    struct translation *t;
    const struct kind_object *object;
    struct piece *piece;
    struct attach_parent *parents;
    size_t parent_count;
    struct text *hostnames; /* the route's own, lower case */
    size_t hostname_count;

    Nantian__Config__V1__Route **rules; /* NULL where a rule was dropped */
    size_t rule_count;
    struct route_own *own;    /* one a rule */
    struct piece_want *wants; /* backends of the rules; the gateway is filled in later */
    size_t want_count, want_cap;
    struct verdict unsupported; /* the whole route: Accepted False */
    struct verdict unresolved;  /* ResolvedRefs False */
    struct verdict dropped;     /* PartiallyInvalid, or Accepted False if nothing is left */
    size_t dropped_count;
};

/* What a rule says itself, so that no policy says it again. */
struct route_own {
    bool request_timeout, backend_timeout;
};

/* A place in the route that a complaint is about. */
struct route_spot {
    struct kind_place place;
    struct text field; /* "spec.rules[2].filters[0]" */
};

void route_begin(struct route_build *build, struct translation *t, const struct kind_object *object,
                 const struct kind_parents *parents, const struct kind_texts *hostnames);
/* A Route message with all that is the same in every rule. */
Nantian__Config__V1__Route *route_new_rule(struct route_build *build, size_t index,
                                           struct text name);
struct piece *route_finish(struct route_build *build);

/* The whole route is refused because the data plane lacks something. False if it does not. */
bool route_needs(struct route_build *build, enum capability capability,
                 const struct route_spot *spot);
void route_unsupported(struct route_build *build, const char *reason, const struct route_spot *spot,
                       struct text message);
void route_unresolved(struct route_build *build, const char *reason, const struct route_spot *spot,
                      struct text message);
/* The caller leaves the rule NULL. */
void route_dropped(struct route_build *build, const struct route_spot *spot, struct text message);
/* Room for that many rules; they start as NULL. */
void route_set_rule_count(struct route_build *build, size_t count);

/* rule->session; `from` NULL: none. The rule has its names already. */
void route_session(struct route_build *build, const struct kind_session_persistence *from,
                   struct text field, Nantian__Config__V1__Route *rule);

struct piece *route_piece(struct translation *t, const struct kind_object *object);

/* The kinds: each fills in build->rules. */
void http_route_rules(struct route_build *build);
void grpc_route_rules(struct route_build *build);
void l4_route_rules(struct route_build *build);
