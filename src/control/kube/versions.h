/* What snapshots of the cluster are called: the epoch of the Lease and a component a kind, so that
 * any replica may serve any data plane and none is ever moved back. A data plane that holds more
 * than we know makes us look again; that the API server itself went back (etcd was restored) is
 * believed after it has said so for LIMIT_KUBE_BACK_MS. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/mirror.h"

struct versions;

struct versions_events {
    /* All that was heard of the API server may be undone; lists of every kind follow. */
    void (*on_set_back)(void *owner);
    /* The store is called something higher from now on, or something at all. */
    void (*on_raised)(void *owner);
    /* A data plane holds what the API server does not know any more: a new epoch is due, above this
     * one. Told again as long as it is so. */
    void (*on_gone_back)(void *owner, uint64_t epoch);
};

struct versions *versions_new(struct loop *loop, struct mirror *mirror,
                              const struct versions_events *events, void *owner);
void versions_free(struct versions *versions);

/* The epoch as the Lease says it. The first one counts at once; a later one once every kind was
 * listed again, so that nothing from before it comes under its name. */
void versions_epoch(struct versions *versions, uint64_t epoch);
/* A data plane refused what we have because it holds this: on_raised follows in any case, for what
 * we are called may have risen since it was offered. */
void versions_refused(struct versions *versions, const struct snapshot_version *held);
/* Another replica's data planes hold this, which it says again and again. */
void versions_claimed(struct versions *versions, const struct snapshot_version *held);
/* The mirror has listed a kind again. */
void versions_listed(struct versions *versions);

/* False: there is nothing to publish yet, for the epoch is not known or the store is no cut. */
bool versions_are_known(const struct versions *versions);
/* See mirror_versions. */
void versions_get(const struct versions *versions, struct snapshot_version *ret_label,
                  struct snapshot_version *ret_seen);
/* What a data plane holds and we cannot come up to; NULL: nothing. */
const struct snapshot_version *versions_claim(const struct versions *versions);
