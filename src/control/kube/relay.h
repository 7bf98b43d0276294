/* The replicas' word to one another. Every one of them serves data planes, and one writes statuses:
 * what the others hear (who runs what, who refused what) they state in a Lease of their own, which
 * all of them watch. A statement is whole each time, so that nothing depends on who heard the one
 * before; it is renewed every LIMIT_RELAY_MS, and at once when there is news. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"
#include "control/kube/client.h"
#include "control/kube/statement.h"

struct relay;

struct relay_events {
    /* What another replica states; all of it is gone after the call. */
    void (*on_statement)(void *owner, const struct statement *statement);
    /* About us: for what we state ourselves. */
    uint64_t (*nodes)(void *owner);
    const struct snapshot_version *(*claim)(void *owner); /* NULL: none */
    bool (*is_there)(void *owner, struct text gateway);   /* it still has data planes */
    bool (*leads)(void *owner);                           /* then we tidy up as well */
};

struct relay_options {
    struct loop *loop;
    struct client *client;           /* borrows */
    struct text namespace, identity; /* as the election's; borrowed for good */
    const struct relay_events *events;
    void *owner;
};

struct relay *relay_new(const struct relay_options *options);
void relay_free(struct relay *relay);
void relay_start(struct relay *relay);

/* A data plane of `gateway` (or "/class"; empty: of all) runs the state with this digest, whole up
 * to `seen`. */
void relay_applied(struct relay *relay, struct text gateway, const struct snapshot_version *seen,
                   struct digest digest);
void relay_refused(struct relay *relay, const struct statement_refusal *refusal);
/* There is news, or somebody new who should hear it all. */
void relay_hurry(struct relay *relay);
/* What the others state is asked for anew. */
void relay_relist(struct relay *relay);
/* Tells once more what each of the others stated last. */
void relay_retell(struct relay *relay);
/* An array with one object a replica. */
void relay_json(const struct relay *relay, struct text leader, struct json *json);
