/* From an outcome to the data planes: the version, the delta server, the socket it listens on, and
 * what data planes answer. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/outcome.h"
#include "net/address.h"
#include "xds/delta_server.h"
#include "xds/guard.h"

struct reports;
struct tls_context;
struct publish;

/* A data plane runs what was published at this outcome_revision (or later). */
struct publish_applied {
    /* Whose it is: "namespace/name", a Gateway; "/class", all of the class; empty: all there are.
     */
    struct text fleet;
    uint64_t revision;
    struct snapshot_version seen; /* as publish_push was told */
    struct digest digest;         /* of all that was published, not only to this one */
};

struct publish_events {
    /* Data planes refused a snapshot because of these resources, which none runs: leave them out
     * and come again. `is_local`: for a reason of their machine, which may pass. */
    void (*on_refused)(void *owner, enum resource_type type, struct text name, struct text why,
                       bool is_local);
    /* The refusal is told completely. */
    void (*on_refusals_end)(void *owner);
    void (*on_applied)(void *owner, const struct publish_applied *applied);
    /* Of a cluster: a data plane refused what we have because it holds this, which is newer or
     * cannot be compared. */
    void (*on_behind)(void *owner, const struct snapshot_version *held);
    /* A data plane came, or its last stream ended; `fleet` as above. */
    void (*on_node)(void *owner, struct text fleet, struct text node, bool joined);
};

struct publish_options {
    struct loop *loop;
    struct text state_dir; /* of the version ledger; empty: versions are told with each push */
    /* A data plane that says it is one of a Gateway, or of those of a class, gets what these need,
     * and nothing else. */
    bool per_gateway;
    const struct publish_events *events;
    void *owner;
};

struct publish *publish_new(const struct publish_options *options);
void publish_free(struct publish *publish);

/* Data planes may come here from now on. A Unix socket takes our own user and root; TCP wants `tls`
 * with client certificates. NULL, or static words why not. */
MUST_USE const char *publish_listen(struct publish *publish, const struct address *address,
                                    struct tls_context *tls);

/* Who comes over TLS from now on is shown this certificate (shares). */
void publish_certify(struct publish *publish, struct tls_context *tls);

/* From now on data planes that come over TCP must bring a token that `ask` likes; see xds/guard.h.
 * Their identity, "namespace/name", is the Gateway that they serve. */
void publish_guard(struct publish *publish, guard_ask ask, void *owner);
void publish_answer(struct publish *publish, uint64_t ticket, struct text identity,
                    const char *why);

/* What an outcome is called that came from a cluster. */
struct publish_label {
    struct snapshot_version version;
    struct snapshot_version seen; /* it might be called as much as this */
    bool is_raised;               /* to be told even if nothing else changed */
};
/* Brings the data planes to what the outcome is after this run's edits. `label` is NULL when there
 * is a ledger. */
void publish_push(struct publish *publish, const struct outcome *outcome,
                  const struct outcome_edits *edits, const struct publish_label *label);
/* Some replica's data plane runs a state with this digest, which was whole up to `seen`: that is
 * no less than what was published here at *ret_revision of the outcome. False: nothing was. */
MUST_USE bool publish_covered(const struct publish *publish, const struct snapshot_version *seen,
                              struct digest digest, uint64_t *ret_revision);

/* A data plane of this Gateway ("namespace/name"; empty: of all there are) gets the resource. */
bool publish_sees(const struct publish *publish, struct text gateway, enum resource_type type,
                  struct text name);
const struct reports *publish_reports(const struct publish *publish);
const struct delta_server *publish_server(const struct publish *publish);
/* "1763870000.0.17", in `arena`; empty before the first push. */
struct text publish_version(const struct publish *publish, struct arena *arena);
struct digest publish_digest(const struct publish *publish);
