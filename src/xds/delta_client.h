/* The data plane's end of delta xDS: stages what arrives, checks it against the commit record, has
 * the owner adopt all of it or nothing, and says which with the reasons.
 *
 * Two sets of resources, both sharing: `accepted` is what the owner runs; `staged` is what the
 * server has sent. A refused snapshot leaves `staged` as the server knows it, so that the next push
 * is a small difference again. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/fault.h"
#include "schema/version.h"
#include "xds/link.h"
#include "xds/resource_set.h"

#define DELTA_METHOD                                                                               \
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

/* Among a node's client_features: it reads records that name only what changed. */
#define DELTA_FEATURE_CHANGES "nantian.record-changes"

/* A snapshot to adopt. All of it is borrowed: until the owner has answered, but `next` only during
 * the call. */
struct delta_offer {
    const struct resource_set *next;
    const struct resource_edits *edits; /* from what the owner runs to `next`; may be none */
    const struct snapshot_version *version;
    struct text version_text; /* "1.0.17" */
    struct digest digest;
};

struct delta_client_events {
    /* ERR_NONE: adopted already. ERR_AGAIN: delta_client_accept or _refuse will follow.
     * Else refused, and `faults` says why. */
    enum err (*on_snapshot)(void *owner, const struct delta_offer *offer, struct faults *faults);
    /* A stream to a control plane is up, or is gone and why. May be NULL. */
    void (*on_connected)(void *owner, bool connected, const char *why);
    /* A snapshot was refused, by the owner or before it was asked: for the log. May be NULL. */
    void (*on_refused)(void *owner, const char *reason, struct text words);
    /* Same content under a newer version: nothing to adopt. May be NULL. */
    void (*on_same)(void *owner, const struct snapshot_version *version);
};

struct delta_client_options {
    struct loop *loop;
    struct link *link; /* borrows */
    struct text node, cluster, product_version;
    const struct delta_client_events *events;
    void *owner;
};

struct delta_client_counters {
    uint64_t streams;          /* opened */
    uint64_t responses, bytes; /* received */
    uint64_t resources, removed;
    uint64_t snapshots; /* adopted */
    uint64_t same;      /* nothing to adopt */
    uint64_t refused, refused_older, refused_incomparable, refused_mismatch;
    uint64_t protocol_errors;
    uint64_t offered_ms, adopted_ms; /* loop time of the last */
};

struct delta_client;
struct delta_client *delta_client_new(const struct delta_client_options *options);
void delta_client_free(struct delta_client *client);

/* Before the link starts: what was read from disk, the commit record in it. Shares. */
MUST_USE bool delta_client_restore(struct delta_client *client, const struct resource_set *set);

/* The owner's answer after ERR_AGAIN. Fine too when the stream is gone meanwhile. */
void delta_client_accept(struct delta_client *client);
void delta_client_refuse(struct delta_client *client, const struct faults *faults);

/* What the owner is asked about and has not answered; else NULL. */
const struct resource_edits *delta_client_pending(const struct delta_client *client);

bool delta_client_connected(const struct delta_client *client);
/* What the owner runs, the commit record in it. */
const struct resource_set *delta_client_accepted(const struct delta_client *client);
/* NULL before the first snapshot. */
const struct snapshot_version *delta_client_version(const struct delta_client *client);
const struct delta_client_counters *delta_client_counters(const struct delta_client *client);
const char *delta_client_last_error(const struct delta_client *client); /* "" if none */
