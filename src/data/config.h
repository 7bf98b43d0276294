/* Configuration on the main thread: from disk first, then from a control plane; compiled, rolled
 * out to the workers, acknowledged, written to disk. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/options.h"
#include "data/worker/rollout.h"
#include "xds/delta_client.h"

struct config;

struct config_status {
    struct text version; /* "" before the first */
    struct digest digest;
    uint64_t number; /* of the snapshot in this process */
    uint64_t applied_wall_ms;
    uint64_t apply_us;        /* compile to adopted by every worker */
    uint64_t refused;         /* whole snapshots */
    bool is_unsaved;          /* not on disk: the last write failed */
    bool from_disk;           /* no control plane has said anything yet */
    bool is_connected;        /* to a control plane */
    const char *why_not;      /* "" if it is */
    struct text last_refusal; /* words; "" if none */
};

struct config_options {
    struct loop *loop;
    const struct options *options; /* borrows */
    void *owner;
    /* A snapshot is served by every worker. May be NULL. */
    void (*on_applied)(void *owner);
    void (*on_drained)(void *owner); /* after rollout_drain */
    struct handover *inherited;      /* as in rollout_options. With some, nothing is written to the
                                      * state directory before config_keep: another does */
};

/* NULL after words in the log: what cannot work is said at once. Starts the workers. */
struct config *config_new(const struct config_options *options);
void config_free(struct config *config);
/* Loads the state directory, then connects. */
void config_start(struct config *config);

/* Another process serves by this state directory from now on: nothing is asked of a control plane
 * and nothing is written any more; what is under way goes on. */
void config_retire(struct config *config);
/* Nobody else writes any more. */
void config_keep(struct config *config);

/* Endpoints that do not pass their health check. */
uint32_t config_unhealthy(const struct config *config);
struct rollout *config_rollout(const struct config *config);
struct config_status config_status(const struct config *config);
/* NULL before the first offer. */
const struct delta_client_counters *config_counters(const struct config *config);
const struct snapshot_version *config_version(const struct config *config);
struct link *config_link(const struct config *config); /* NULL until an address is known */
/* Told once a link is there, and at once if it is. */
void config_on_link(struct config *config, void *owner, void (*on_link)(void *owner));
