/* The store as a mirror of the API server: one reflector a kind, decoded and put as they come. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"
#include "control/kube/reflector.h"
#include "control/store/store.h"
#include "schema/version.h"

struct mirror;

struct mirror_events {
    /* The store changed, and the burst is over. Told for the first time when every kind was listed
     * to its end, changed or not; what is in the store before is a part, to be shown to nobody. */
    void (*on_change)(void *owner);
    /* An object as the server has it, before it is decoded; for its status. May be NULL. */
    void (*on_object)(void *owner, enum kind_id kind, const struct value *object);
    /* It is gone. May be NULL. */
    void (*on_removed)(void *owner, struct store_key key);
    /* A kind was listed again, to its end. May be NULL. */
    void (*on_listed)(void *owner);
};

struct mirror_options {
    struct loop *loop;
    struct client *client; /* borrows, as the store */
    struct store *store;
    uint32_t relist_ms; /* see reflector.h */
    const struct mirror_events *events;
    void *owner;
};
struct mirror *mirror_new(const struct mirror_options *options);
void mirror_free(struct mirror *mirror);
void mirror_start(struct mirror *mirror);

/* The store is a cut: every kind was listed, and no list is half told. */
bool mirror_is_whole(const struct mirror *mirror);
/* What came last names a Secret that is still to come; on_change follows with it, or without it
 * when that takes too long. */
bool mirror_is_waiting(const struct mirror *mirror);
/* What the store is as of, a component a kind. `label`: when anything of the kind changed last, as
 * far as we can know (after a list: the list's revision). `seen`: up to where we were told all,
 * bookmarks included. Two replicas that hear the same events have the same labels; that one of them
 * saw a bookmark more makes no difference. */
void mirror_versions(const struct mirror *mirror, struct snapshot_version *ret_label,
                     struct snapshot_version *ret_seen);
/* Somebody holds a state with this label. True: we have seen as much; where we have not, `asks` has
 * the kind listed again. */
bool mirror_covers(struct mirror *mirror, const struct snapshot_version *held, bool asks);
/* What mirror_covers was true of: our label is not lower from now on. False: it was not before. */
bool mirror_raise(struct mirror *mirror, const struct snapshot_version *held);
/* Lists every kind again. */
void mirror_relist(struct mirror *mirror);
/* A list that mirror_covers or mirror_relist asked for is not there yet. */
bool mirror_is_asking(const struct mirror *mirror);
/* "v1": what is asked for; for paths. */
const char *mirror_api_version(const struct mirror *mirror, enum kind_id kind);
/* An array with one object a kind: how it is doing. */
void mirror_json(const struct mirror *mirror, struct json *json);
