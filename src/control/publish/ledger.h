/* The version counter of a standalone control plane, kept over restarts: the same content keeps the
 * same version, so that a restart resends nothing. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/hash.h"
#include "schema/version.h"

struct ledger {
    char *path; /* owns */
    uint64_t epoch, revision;
    struct digest digest; /* of the content that `revision` names */
};

/* Reads "DIR/version", or starts a new epoch (the time now, so that it is above any before). */
void ledger_open(struct ledger *ledger, struct text directory, uint64_t now_s);
void ledger_close(struct ledger *ledger);
/* The content now: a new revision if it differs. False: it could not be written (errno); the
 * counter goes on in memory. */
bool ledger_advance(struct ledger *ledger, struct digest digest);
/* A data plane holds `held`, which is not ours to call older: go above it. */
void ledger_overtake(struct ledger *ledger, const struct snapshot_version *held);
struct snapshot_version ledger_version(const struct ledger *ledger);
