/* One object's share of an outcome: its resources, its status, its faults, and what it needs of
 * others. Made whole, compared with its predecessor, never changed in place. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/outcome.h"

/* A resource made elsewhere that this piece's resources name. */
struct piece_want {
    enum resource_type type; /* RESOURCE_BACKEND or RESOURCE_SECRET */
    struct text resource;
    struct store_key object; /* Service, Secret, ConfigMap */
    int32_t port;            /* backends */
    uint32_t protocol;       /* backends: enum of backend.proto */
    struct text gateway;     /* backends: "<namespace>/<name>" of the Gateway that uses it */
    struct store_key client; /* backends: the certificate to show; kind NONE: none */
};

struct piece {
    struct arena arena; /* owns all below but the arrays of `faults` */
    struct store_key key;
    struct outcome_resource *resources; /* sorted by type and name once committed */
    size_t resource_count, resource_cap;
    struct object_status *status; /* NULL: none */
    struct faults faults;
    struct piece_want *wants;
    size_t want_count, want_cap;
    struct text *attached; /* Listener resource names this route counts on */
    size_t attached_count;
    struct text *foreign; /* namespaces it refers to, where a grant may matter */
    size_t foreign_count;
    struct store_key *targets; /* policies: what they target; EndpointSlices: their Service;
                                * ListenerSets: their Gateway. Found again when it changes. */
    size_t target_count;
};

struct piece *piece_new(struct store_key key);
void piece_free(struct piece *piece);

/* Packs `message` (a generated struct); `name` is copied. */
void piece_add_resource(struct piece *piece, enum resource_type type, struct text name,
                        const void *message, struct arena *scratch);
/* The status to fill in, made with its key and generation on first use. */
struct object_status *piece_status(struct piece *piece, const struct kind_object *object,
                                   struct text controller);
void piece_add_want(struct piece *piece, const struct piece_want *want);
void piece_add_foreign(struct piece *piece, struct text namespace);
void piece_add_target(struct piece *piece, struct store_key target);

/* A fault at a place of the object's file. `field` may be empty. */
struct piece_spot {
    enum fault_level level;
    const char *code;
    struct kind_place place;
    struct text field;
    struct text hint;
};
void piece_fault(struct piece *piece, const struct kind_object *object,
                 const struct piece_spot *spot, struct text what);
/* Those of another piece, as this one's. */
void piece_take_faults(struct piece *piece, const struct piece *from);

/* "Kind/namespace/name": the key of a piece in maps. */
struct text piece_key(struct arena *arena, struct store_key key);
/* "namespace/name". */
struct text piece_path(struct arena *arena, struct text namespace, struct text name);
struct store_key piece_key_of(const struct kind_object *object);
struct store_key piece_key_copy(struct arena *arena, struct store_key key);
bool piece_keys_equal(struct store_key a, struct store_key b);
int piece_keys_compare(struct store_key a, struct store_key b);
