/* What the files of the delta server share: the log of changes, streams, plans. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdlib.h>

#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "xds/delta_server.h"

/* One change of one resource; both share, so that a stream's sums can follow. */
struct delta_change {
    uint64_t generation;
    struct resource *before, *after;
};

/* A published state, as long as a stream or node refers to it. */
struct delta_commit {
    uint32_t refs;
    uint64_t generation;
    struct snapshot_version version;
};

struct delta_server {
    struct loop *loop;
    const struct delta_server_events *events;
    void *owner;
    struct resource_set set;
    uint64_t generation;          /* 0: nothing published */
    struct delta_commit *commit;  /* shares */
    struct delta_change *changes; /* owns; oldest at changes_first */
    size_t changes_first, changes_count, changes_cap;
    uint64_t changes_since; /* the log holds every change after this generation */
    struct delta_stream *streams;
    size_t stream_count;
    struct delta_node **nodes; /* owns; sorted by id */
    size_t node_count, node_cap;
    struct delta_counters counters;
    struct timer returns; /* who was there until now may have come back by then */
};

/* What a stream lacks, decided at once and then sent piece by piece. */
struct delta_plan_item {
    enum resource_type type;
    struct resource *resource; /* shares; NULL: the name was removed */
    char *removed;             /* owns */
};
struct delta_plan {
    struct delta_plan_item *items; /* owns; in push order */
    size_t count, cap, sent;
    struct delta_commit *commit; /* shares; what it leads to */
};

/* One type on one stream. */
struct delta_interest {
    bool known; /* a first request came */
    bool wildcard;
    bool everything;  /* owed: all of the set */
    struct map names; /* subscribed one by one; key and value are the same owned string */
    char **owed;      /* owns; names to look up and send, or to tell as removed */
    size_t owed_count, owed_cap;
    uint64_t base; /* generation that the client has, but for what is owed */
};

struct delta_early {
    char *bytes; /* owns */
    size_t len;
};

struct delta_stream {
    struct delta_stream *next, **slot; /* of the server */
    struct delta_server *server;
    struct grpc_call *call;
    struct delta_node *node; /* borrows; NULL before the first request */
    struct delta_interest types[RESOURCE_TYPES];
    struct delta_plan plan;
    uint64_t nonce;                        /* of the last response */
    bool sending;                          /* the last response waits in the connection */
    char stated[RESOURCE_VERSION_MAX + 1]; /* version of the commit record it has */
    bool stated_itself;                    /* by its own word, not by what was sent */
    struct delta_commit *offered;          /* shares; of the last commit record sent; NULL: none */
    uint64_t offered_nonce, offered_ns;
    bool awaiting; /* no answer to it yet: nothing else is pushed meanwhile */
    bool acked;
    bool refused;              /* its newest answer: it runs something else */
    struct resource_sums sums; /* of what it sees; kept only if the owner filters */
    bool sums_stale;
    bool takes_changes;             /* it reads records that name only what changed */
    struct resource_sums told_sums; /* of the last commit record; its version is in `offered` */
    struct delta_early *early;      /* owns; requests before the first publish */
    size_t early_count, early_cap, early_bytes;
    const char *end_why; /* set: the call ends at the end of this turn */
    enum grpc_status end_status;
    struct timer patience;
    struct defer work;
};

/* delta_stream.c */
void delta_stream_open(struct delta_server *server, struct grpc_call *call);
void delta_stream_wake(struct delta_stream *stream); /* something may be to send */
void delta_stream_end(struct delta_stream *stream, enum grpc_status status, const char *why);
void delta_stream_free(struct delta_stream *stream); /* the call hears of it no more */
/* It runs what was offered last, or may do so: it has not answered yet. */
bool delta_stream_runs(const struct delta_stream *stream);
/* For who refused while others ran it: there may be room for it now, or else nobody runs it. */
void delta_stream_ask_again(struct delta_server *server);

/* delta_plan.c */
void delta_interest_fini(struct delta_interest *interest);
/* The first request of a type: compares what the client has with what it should have. Both return
 * false when these are more names than one stream may have. */
bool delta_plan_first(struct delta_stream *stream, enum resource_type type,
                      const Envoy__Service__Discovery__V3__DeltaDiscoveryRequest *request);
/* Later ones: subscribe and unsubscribe. */
bool delta_plan_subscribe(struct delta_stream *stream, enum resource_type type,
                          const Envoy__Service__Discovery__V3__DeltaDiscoveryRequest *request);
/* Whether the stream sees a resource is another matter from now on. */
void delta_plan_turn(struct delta_stream *stream, enum resource_type type, struct text name);
/* Takes out the faults of resources that changed after `generation`, which was refused: what is
 * there now is offered next, and was not judged. */
void delta_plan_drop_stale(const struct delta_server *server, uint64_t generation,
                           Nantian__Config__V1__Refusal *refusal);
/* Fills the empty plan with all that is lacking. False: the log does not reach back that far. */
bool delta_plan_make(struct delta_stream *stream);
/* Drops what was sent. */
void delta_plan_clear(struct delta_plan *plan);

/* delta_node.c */
struct delta_node *delta_node_join(struct delta_server *server,
                                   const Envoy__Service__Discovery__V3__Node *message,
                                   const char *identity);
void delta_node_leave(struct delta_server *server, struct delta_node *node);
/* It is gone, but not for long, and ran what there was. */
bool delta_node_may_return(const struct delta_server *server, const struct delta_node *node);
void delta_node_acked(struct delta_server *server, struct delta_node *node,
                      const struct snapshot_version *version, uint64_t apply_us);
/* `version` may be NULL: not a commit record. */
void delta_node_nacked(struct delta_server *server, struct delta_node *node,
                       const struct snapshot_version *version, struct text words);
void delta_node_free(struct delta_node *node);

static inline struct delta_commit *delta_commit_ref(struct delta_commit *commit)
{
    commit->refs++;
    return commit;
}
static inline void delta_commit_unref(struct delta_commit *commit)
{
    if (commit != NULL && --commit->refs == 0)
        free(commit);
}
