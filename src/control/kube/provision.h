/* Sees to it that each Gateway of ours has its data planes, its own or those of its class: applies
 * what manifest.h makes, when it differs from what was applied, one object after the other. What is
 * left half done is done again: an apply of what is there already changes nothing. What a Gateway
 * had before it moved to others is taken away once these serve it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/client.h"
#include "control/kube/manifest.h"
#include "control/translate/outcome.h"

struct provision;

struct provision_options {
    struct loop *loop;
    struct client *client;
    struct store *store;               /* borrows */
    struct manifest_options manifests; /* texts are borrowed */
    bool (*may_write)(void *owner);
    /* The fleet ("namespace/name", "/class") cannot be as its parameters ask, so what is there
     * stays, or (`is_taken`) not at all, because another one's objects have the names of its;
     * `why` empty: it can. Told by every replica as far as it knows. */
    void (*on_refused)(void *owner, struct text fleet, struct text why, bool is_taken);
    void *owner;
};

struct provision *provision_new(const struct provision_options *options);
void provision_free(struct provision *provision);
/* After a run: `outcome` says which Gateways are ours. */
void provision_take(struct provision *provision, const struct outcome *outcome);
/* What was applied may be undone: the next run applies everything. */
void provision_set_back(struct provision *provision);
/* A data plane of this fleet runs what we serve. */
void provision_heard(struct provision *provision, struct text fleet);
/* We lead from now on: everything is applied, now and every LIMIT_KUBE_APPLY_MS. */
void provision_begin(struct provision *provision);
