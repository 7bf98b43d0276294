/* Host names looked up again and again, off the loop's thread: the main thread's answer to
 * ExternalName. The system's resolver is asked, so hosts files and search lists count, and the
 * name servers, for how long. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "event/loop.h"
#include "net/address.h"

/* Told when an answer differs from the one before; never with none: the last good one stays. Ports
 * are 0. */
typedef void (*resolve_answer)(void *owner, struct text key, const struct address *addresses,
                               size_t count);

struct resolve;

/* NULL: the kernel refused. */
struct resolve *resolve_new(struct loop *loop, resolve_answer on_answer, void *owner);
void resolve_free(struct resolve *resolve);

/* Between begin and commit everything that is still wanted is named; the rest is forgotten. */
void resolve_begin(struct resolve *resolve);
void resolve_want(struct resolve *resolve, struct text key, struct text host);
void resolve_commit(struct resolve *resolve);
