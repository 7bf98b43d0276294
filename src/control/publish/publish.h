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

struct publish_events {
    /* A data plane refused a snapshot because of these resources: leave them out and come again. */
    void (*on_refused)(void *owner, enum resource_type type, struct text name, struct text why);
    /* The refusal is told completely. */
    void (*on_refusals_end)(void *owner);
    /* A data plane runs what was published at this outcome_revision (or later). It is one of
     * `gateway` ("namespace/name"); empty: of all that there are. */
    void (*on_applied)(void *owner, struct text gateway, uint64_t revision);
    /* A data plane came, or its last stream ended; `gateway` as above. */
    void (*on_node)(void *owner, struct text gateway, struct text node, bool joined);
};

struct publish_options {
    struct loop *loop;
    struct text state_dir; /* of the version ledger */
    /* A data plane that says it is one of a Gateway gets what that one needs, and nothing else. */
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

/* Ends the streams of every data plane: each comes back, to whoever takes it then. */
void publish_drop(struct publish *publish);

/* Brings the data planes to what the outcome is after this run's edits. */
void publish_push(struct publish *publish, const struct outcome *outcome,
                  const struct outcome_edits *edits);

const struct reports *publish_reports(const struct publish *publish);
const struct delta_server *publish_server(const struct publish *publish);
/* "1763870000.0.17", in `arena`; empty before the first push. */
struct text publish_version(const struct publish *publish, struct arena *arena);
struct digest publish_digest(const struct publish *publish);
