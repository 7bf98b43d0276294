/* The store as a mirror of the API server: one reflector a kind, decoded and put as they come. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"
#include "control/kube/reflector.h"
#include "control/store/store.h"

struct mirror;

struct mirror_events {
    /* The store changed, and the burst is over. Told for the first time when every kind was listed
     * to its end, changed or not; what is in the store before is a part, to be shown to nobody. */
    void (*on_change)(void *owner);
    /* An object as the server has it, before it is decoded; for its status. May be NULL. */
    void (*on_object)(void *owner, enum kind_id kind, const struct value *object);
    /* It is gone. May be NULL. */
    void (*on_removed)(void *owner, struct store_key key);
};

/* Borrows the client and the store. */
struct mirror *mirror_new(struct loop *loop, struct client *client, struct store *store,
                          const struct mirror_events *events, void *owner);
void mirror_free(struct mirror *mirror);
void mirror_start(struct mirror *mirror);

/* Every kind was listed: the store is whole. */
bool mirror_is_synced(const struct mirror *mirror);
/* The last resourceVersion told of a kind, bookmarks included; 0: none. */
uint64_t mirror_version(const struct mirror *mirror, enum kind_id kind);
/* "v1": what is asked for; for paths. */
const char *mirror_api_version(const struct mirror *mirror, enum kind_id kind);
/* An array with one object a kind: how it is doing. */
void mirror_json(const struct mirror *mirror, struct json *json);
