/* What to write of a status, given what stands there and what translation says: ours replaced,
 * everything else kept as it is. Pure. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "base/value.h"

/* `live` is the object's status now (NULL: none), `wanted` the status as conditions_status_json
 * writes it (NULL: we have nothing to say any more, so our entries go). `now` is RFC 3339.
 *
 * The answer holds the members of the status that differ, whole, for a merge patch; NULL: nothing
 * differs. Conditions are merged by type: those of others are kept, a condition whose status stays
 * keeps its lastTransitionTime, one of a type that we write and do not want any more goes. While
 * Programmed is Pending, it stays True if it was of this generation, and so do the addresses.
 * Entries of parents and ancestors are ours by `controller`; those of others keep their places. In
 * `arena`, with views into `live` and `wanted`. */
struct value *merge_status(const struct value *live, const struct value *wanted,
                           struct text controller, struct text now, struct arena *arena);
