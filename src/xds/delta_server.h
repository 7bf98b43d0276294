/* The control plane's end of delta xDS: one current set of resources, many streams, each of which
 * gets only what it lacks, in push order, the commit record last. A slow stream holds the newest
 * state only: nothing is queued but one response. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "grpc/grpc.h"
#include "schema/version.h"
#include "xds/delta_client.h" /* DELTA_METHOD */
#include "xds/resource_set.h"

struct delta_counters {
    uint64_t pushes;             /* rounds: everything lacking, once */
    uint64_t responses, bytes;   /* sent */
    uint64_t resources, removed; /* sent, the commit records not counted */
    uint64_t snapshots;          /* commit records sent */
    uint64_t acks, refusals;     /* of commit records, and refusals of any response */
    uint64_t resyncs;            /* streams ended because they were too far behind */
};

/* A data plane as `nantian nodes` lists it; kept for a while after it left. */
struct delta_node {
    char *id, *cluster, *product, *product_version; /* owns */
    uint32_t streams;                               /* 0: gone */
    uint64_t joined_ms;                             /* wall clock of the last coming or going */
    char *applied;       /* owns; version of the last snapshot it took, or NULL */
    uint64_t applied_ms; /* wall clock */
    uint64_t apply_us;   /* from its sending to the ACK */
    bool refusing;       /* the newest answer was a refusal */
    char *refused;       /* owns; version refused, or NULL */
    char *refusal;       /* owns; the words of it, or NULL */
    uint64_t left_ms;    /* loop's clock; of one that is gone */
    struct delta_counters counters;
};

struct delta_server_events {
    /* All may be NULL. A node's first stream opened, or its last one ended. */
    void (*on_node)(void *owner, const struct delta_node *node, bool joined);
    /* It runs this version now; `apply_us` from sending the commit record to the answer. */
    void (*on_ack)(void *owner, const struct delta_node *node,
                   const struct snapshot_version *version, uint64_t apply_us);
    /* A response was refused. `refusal` is NULL from a stock client, which says only `words`. */
    void (*on_nack)(void *owner, const struct delta_node *node, struct text type_url,
                    struct text words, const Nantian__Config__V1__Refusal *refusal);
    void (*on_unknown_type)(void *owner, const struct delta_node *node, struct text type_url);
    /* Is this resource any business of the node? NULL: everything is everybody's. When the answer
     * changes while the node has a stream: delta_server_turn. */
    bool (*visible)(void *owner, const struct delta_node *node, enum resource_type type,
                    struct text name);
};

struct delta_server;
struct delta_server *delta_server_new(struct loop *loop, const struct delta_server_events *events,
                                      void *owner);
/* Ends every stream. */
void delta_server_free(struct delta_server *server);

/* For the method table of a grpc_server: a call of DELTA_METHOD. */
void delta_server_call(struct delta_server *server, struct grpc_call *call);

struct delta_edit {
    enum resource_type type;
    struct text name;
    struct text bytes;
    bool removed;
};
/* Applies the edits (those that change nothing cost nothing), writes a commit record of this
 * version and pushes. Before the first call streams wait and nothing is sent. */
void delta_server_publish(struct delta_server *server, const struct delta_edit *edits, size_t count,
                          const struct snapshot_version *version);

/* The nodes of a cluster (what they say of themselves) see a resource from now on, or do so no
 * more: it is sent, or told as removed, with the next delta_server_publish, which must follow. */
void delta_server_turn(struct delta_server *server, struct text cluster, enum resource_type type,
                       struct text name);

/* Some data plane that sees the resource runs it, or has yet to answer, or ran what there was and
 * may come back within LIMIT_XDS_RETURN_MS: that another one cannot is its own matter, a port of
 * its machine for one. Who refuses is asked again once that one ends, and when its time is over. */
MUST_USE bool delta_server_runs(const struct delta_server *server, enum resource_type type,
                                struct text name);

const struct resource_set *delta_server_set(const struct delta_server *server);
const struct snapshot_version *
delta_server_version(const struct delta_server *server); /* or NULL */
const struct delta_counters *delta_server_counters(const struct delta_server *server);
/* Sorted by id; NULL beyond the last. Valid until the loop's next turn. */
const struct delta_node *delta_server_node(const struct delta_server *server, size_t at);
size_t delta_server_streams(const struct delta_server *server);
