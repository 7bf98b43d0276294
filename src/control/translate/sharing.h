/* What several pieces share and nobody owns alone: counts of attached routes, backends, secrets,
 * and which EndpointSlices a Service has. Created by the first who needs it, gone with the last. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/outcome_internal.h"

void sharing_free(struct outcome *outcome);

/* Counts what a piece needs; either may be NULL. New entries are dirty. */
void sharing_take(struct outcome *outcome, const struct piece *piece);
void sharing_give_back(struct outcome *outcome, const struct piece *piece);

/* Backends that appeared in this run, one after the other; NULL: no more. */
struct backend_entry *sharing_next_new(struct outcome *outcome);

/* An EndpointSlice belongs to this Service now (path empty: to none), wherever it was before.
 * Returns the path of the Service it was with before, in `arena`, or an empty text. */
struct text sharing_place_slice(struct outcome *outcome, struct store_key slice,
                                struct text service, struct arena *arena);

/* Entries that nobody needs any more; their resources become edits. */
void sharing_sweep(struct outcome *outcome);
