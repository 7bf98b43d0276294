/* How an outcome is kept: maps of pieces and of what several pieces share. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/map.h"
#include "control/translate/piece.h"
#include "control/translate/translate.h"

struct gateway_view;

/* A Gateway of ours, from the first run that saw it to the one that does not. */
struct gateway_entry {
    struct text path;            /* "namespace/name"; in the view */
    struct gateway_view *view;   /* owns */
    struct gateway_view *before; /* owns; during a run, what it replaces */
    uint64_t changed, confirmed; /* revisions; programmed if confirmed >= changed */
    bool is_confirmed;
    char *refused; /* owns; see outcome_set_refused; NULL: nothing */
    char *taken;   /* owns; see outcome_set_taken; NULL: nothing */
    char *left;    /* owns; the shared fleet that serves it until its new data planes do; or NULL */
};

/* How many routes count on a listener. */
struct attached_entry {
    struct text resource; /* owns its bytes */
    uint32_t count;
};

/* A Gateway that sends requests to a backend, by so many wants. */
struct backend_use {
    struct text gateway; /* owns its bytes */
    uint32_t count;
};

struct backend_entry {
    struct text name;         /* Backend resource; owns its bytes */
    struct store_key service; /* or XBackend */
    int32_t port;
    uint32_t protocol;
    struct store_key client;  /* owns its bytes; kind NONE: no certificate is shown */
    struct backend_use *uses; /* owns */
    size_t use_count, use_cap;
    struct piece *piece;        /* owns; Backend, and Endpoints if it is the plain one */
    struct backend_entry *next; /* of the same Service */
    struct backend_entry *next_unused, *next_new;
    uint64_t made; /* the run that made its piece last */
    bool is_dirty, is_unused;
};

/* An EndpointSlice, listed with the Service that it belongs to. */
struct slice_entry {
    struct text path;     /* "namespace/name"; owns its bytes */
    struct store_key key; /* in path */
    struct service_entry *service;
    struct slice_entry *next; /* of the same Service */
};

/* Also an XBackend, which has no slices. */
struct service_entry {
    struct text path; /* see sharing_path; owns its bytes */
    struct backend_entry *backends;
    struct slice_entry *slices;
};

struct secret_entry {
    struct text name; /* Secret resource; owns its bytes */
    struct store_key object;
    uint32_t count;
    struct piece *piece; /* owns */
    struct secret_entry *next_unused;
    bool is_dirty, is_unused;
};

struct refusal_entry {
    struct arena arena; /* owns the texts */
    struct text key;    /* "type name" */
    enum resource_type type;
    struct text name, why;
    struct digest digest;
    bool is_over; /* it counts no more */
    bool is_seen; /* a run has taken up that it is, or that it is over */
};

struct outcome {
    struct translate_options options;
    struct text controller;
    uint64_t capabilities;
    struct map pieces;   /* piece_key -> struct piece: one an object */
    struct map gateways; /* path -> struct gateway_entry */
    struct map attached; /* Listener resource -> struct attached_entry */
    struct map backends; /* Backend resource -> struct backend_entry */
    struct map services; /* path -> struct service_entry */
    struct map secrets;  /* Secret resource -> struct secret_entry */
    struct map slices;   /* path -> struct slice_entry */
    struct map refusals; /* "type name" -> struct refusal_entry */
    struct piece *notes; /* owns; faults of no single object */
    struct digest sums[RESOURCE_TYPES];
    uint64_t counts[RESOURCE_TYPES];
    struct outcome_edits edits;
    uint64_t revision;
    uint64_t run;                       /* how many runs there were */
    bool has_edits;                     /* a resource changed in this run */
    struct backend_entry *new_backends; /* appeared in this run and not made yet */
    /* Lost their last user in this run; they may have found another one since. */
    struct backend_entry *unused_backends;
    struct secret_entry *unused_secrets;
    bool has_new_uses; /* a backend is used by other Gateways than before */
    bool has_refusals; /* a refusal came that no run has seen */
    char *bundle;      /* owns; see outcome_set_bundle; NULL: not known */
    bool has_bundle;   /* another one, that no run has seen */
};

struct outcome *outcome_new(const struct translate_options *options);
void outcome_begin(struct outcome *outcome);

/* Notes what differs between two pieces of the same object (either may be NULL) as edits, and
 * frees the old one. True: a resource differs. */
bool outcome_exchange(struct outcome *outcome, struct piece *old, struct piece *piece);
/* True if the exchange would change a resource. */
bool outcome_differs(const struct piece *old, struct piece *piece);
/* The same as outcome_exchange for the piece in the map of pieces. */
bool outcome_put_piece(struct outcome *outcome, struct store_key key, struct piece *piece);
struct piece *outcome_piece(const struct outcome *outcome, struct store_key key);

void outcome_note_move(struct outcome *outcome, struct text gateway, struct text fleet, bool joins);

const struct service_entry *outcome_service(const struct outcome *outcome, struct text path);
static inline struct gateway_entry *outcome_gateway(const struct outcome *outcome, struct text path)
{
    return map_get(&outcome->gateways, path);
}
/* "Listener default/web/http" */
struct text outcome_refusal_key(struct arena *arena, enum resource_type type, struct text name);
uint32_t outcome_attached_count(const struct outcome *outcome, struct text listener);
/* What a resource of this name is, or would be, a part of; NULL: nothing. */
const struct piece *outcome_owner_piece(const struct outcome *outcome, enum resource_type type,
                                        struct text name);
/* Empty: it was not refused with these bytes. */
struct text outcome_refusal(const struct outcome *outcome, enum resource_type type,
                            struct text name, struct digest digest);

/* sharing.c: what several pieces share and nobody owns alone: counts of attached routes, backends,
 * secrets, and which EndpointSlices a Service has. Made for the first who needs it. */
void sharing_free(struct outcome *outcome);

/* Counts what a piece needs; either may be NULL. New entries are dirty. */
void sharing_take(struct outcome *outcome, const struct piece *piece);
void sharing_give_back(struct outcome *outcome, const struct piece *piece);

/* The path of a Service, or of an XBackend, among the services of an outcome. */
struct text sharing_path(struct arena *arena, struct store_key key);

/* Backends that appeared in this run, one after the other; NULL: no more. */
struct backend_entry *sharing_next_new(struct outcome *outcome);

/* An EndpointSlice belongs to this Service now (path empty: to none), wherever it was before.
 * Returns the path of the Service it was with before, in `arena`, or an empty text. */
struct text sharing_place_slice(struct outcome *outcome, struct store_key slice,
                                struct text service, struct arena *arena);

/* Takes out an entry that nobody needs any more; *ret_piece (may be NULL) is the caller's, and may
 * be the last to need something else. False: there is none. */
bool sharing_next_unused(struct outcome *outcome, struct piece **ret_piece);
