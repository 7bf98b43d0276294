/* What changed since the state file was written whole: <dir>/snapshot.log, so that one change among
 * many costs the disk one change. An entry is a snapshot: its edits and its commit record. Entries
 * are synced before they count, and chained by digests from the state file on: what is torn or
 * damaged ends the log, and the snapshot before it stands.
 *
 * Header: magic (8), format (4), zero (4), digest of the state file (16), digest of those 32 (16).
 * Entry: bytes behind this front (8), digest (16) of the digest before, that number and those
 * bytes; then records (state_record.h). */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "xds/state_record.h"

#define STATE_LOG_HEADER 48
#define STATE_LOG_FRONT  24

/* ---- writing: one thread ---- */

struct state_log {
    struct digest base;  /* of the state file that it continues */
    struct digest chain; /* of the last entry */
    int fd;              /* -1: not begun */
    bool usable;         /* there is a state file, and nothing failed behind it */
};

void state_log_init(struct state_log *log);
void state_log_fini(struct state_log *log);
/* A state file of this digest was written: the next entry begins a log of its own. */
void state_log_restart(struct state_log *log, struct digest base);

/* Opens an entry at the end of `out`; returns where, for state_log_close. */
size_t state_log_open(struct builder *out);
void state_log_close(struct builder *out, size_t entry);
/* Writes and syncs entries, whose digests are filled in here. NULL, or static words: then the log
 * is of no more use until a restart. Blocks. */
const char *state_log_append(struct state_log *log, const char *directory, struct builder *entries);

/* ---- reading ---- */

/* Is this a log of the state file of that digest? */
bool state_log_continues(struct text bytes, struct digest base);
/* Applies every entry that is whole to what the state file holds. NULL, or static words for what
 * ended the log early. */
const char *state_log_replay(struct text bytes, struct resource_set *set);
