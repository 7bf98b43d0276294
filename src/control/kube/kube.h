/* The cluster as a source of configuration and as the place where what came of it is said: the one
 * door of this folder for control/cycle.c and control/main.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"
#include "control/kube/statement.h"
#include "control/kube/viewers.h"
#include "control/translate/outcome.h"
#include "event/loop.h"

struct kube;

struct kube_events {
    /* The store is whole, and changed since, or is called something else now; the burst is over. */
    void (*on_change)(void *owner);
    /* After kube_stop: what had to be said to the API server is said. */
    void (*on_stopped)(void *owner);
    /* PEM, when xds_port is not 0: what data planes will know us by, from now on. `secret` is the
     * same for all replicas, always. */
    void (*on_credentials)(void *owner, struct text chain, struct text key, struct text secret);
    /* Before the first on_change, and when it is another one; see bundle.h. */
    void (*on_bundle)(void *owner, struct text version);
    /* We lead from now on. */
    void (*on_held)(void *owner);
    /* What another replica hears from its data planes. */
    void (*on_statement)(void *owner, const struct statement *statement);
    /* How many data planes have a stream to us. */
    uint64_t (*nodes)(void *owner);
    /* The data planes of "namespace/name" or "/class" cannot be as the parameters ask, or
     * (`is_taken`) not at all, for their names are another's; `why` empty: they can. */
    void (*on_refused)(void *owner, struct text fleet, struct text why, bool is_taken);
    /* The answer to kube_ask: "namespace/name" of the Gateway, or "/class"; empty: no, and `why`
     * says why. */
    void (*on_identity)(void *owner, uint64_t ticket, struct text fleet, const char *why);
};

struct kube_options {
    struct loop *loop;
    struct text kubeconfig;  /* a path; empty: we are in a pod */
    struct text context;     /* of the kubeconfig; empty: its current one */
    struct text controller;  /* whose entries in statuses are ours */
    struct text proxy_image; /* of data planes; empty: none are provisioned */
    uint32_t certificate_s;  /* life of our certificate; 0: as usual */
    uint32_t relist_ms;      /* see reflector.h */
    uint32_t lease_ms;       /* see election.h */
    uint16_t xds_port;       /* where they come, at the Service "nantian-control"; 0: nowhere */
    struct store *store;     /* borrows */
    const struct kube_events *events;
    void *owner;
};

/* Says why in the log and gives NULL when the kubeconfig is no good. */
struct kube *kube_new(const struct kube_options *options);
void kube_free(struct kube *kube);
void kube_start(struct kube *kube);
/* Gives up the lease; on_stopped follows, soon in any case. */
void kube_stop(struct kube *kube);

/* False: the store is nothing to translate now; on_change comes when it is. */
bool kube_is_ready(const struct kube *kube);
/* What the store is called, see mirror_versions; true: to be told even if nothing else changed,
 * once. */
bool kube_versions(struct kube *kube, struct snapshot_version *ret_label,
                   struct snapshot_version *ret_seen);
/* A data plane refused what is called like this, because it holds `held`. */
void kube_refused_older(struct kube *kube, const struct snapshot_version *held);

/* For the other replicas. `is_news`: perhaps they wait for it. */
void kube_applied(struct kube *kube, struct text fleet, const struct snapshot_version *seen,
                  struct digest digest, bool is_news);
void kube_refused(struct kube *kube, const struct statement_refusal *refusal);
/* on_statement follows for each of the others, with what it said last. */
void kube_retell(struct kube *kube);
/* The status of this object, as it stands in the cluster and was written for its newest
 * generation, says that the condition is True. */
bool kube_says(const struct kube *kube, struct store_key key, const char *condition);

/* What a run came to: its statuses are written while we lead. `outcome` is kept and asked until the
 * next call. */
void kube_take(struct kube *kube, const struct outcome *outcome, const struct outcome_edits *edits);

/* An Event, while we lead; `about` may be gone, then nobody is told. `reason` is static. */
void kube_tell(struct kube *kube, struct store_key about, bool is_warning, const char *reason,
               struct text note);

/* Whose data plane shows this token? on_identity follows, at once if the token is empty. */
void kube_ask(struct kube *kube, uint64_t ticket, struct text token);
/* Who may ask our API is judged by a token from now on (viewers.h); called once. */
void kube_guard(struct kube *kube, viewers_answer on_answer, void *owner);
void kube_admit(struct kube *kube, uint64_t ticket, const struct message *head);
/* We hold the lease. */
bool kube_is_leader(struct kube *kube);
/* An array with one object a watched kind: how it is doing. */
void kube_json(const struct kube *kube, struct json *json);
/* An array with one object a replica: who leads, how many data planes each has. */
void kube_replicas_json(const struct kube *kube, struct json *json);
