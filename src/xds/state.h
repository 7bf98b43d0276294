/* The last good snapshot on disk: how a data plane starts when every control plane is gone.
 *
 * <dir>/snapshot and <dir>/snapshot.1 (the one before), 0600 in a directory of 0700, ours. A file
 * is written whole beside, synced, and renamed. Its header carries a digest over all of it, and the
 * commit record in it must fit its resources: what is damaged is never loaded. Behind each there
 * may be a log of later snapshots (state_log.h), of which all are loaded that are whole. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "xds/resource_set.h"

#define STATE_FORMAT 1

/* Makes the directory if need be. NULL, or static words for why it cannot be used: also when others
 * may enter it or it belongs to somebody else. */
const char *state_prepare(const char *directory);

/* Writes `count` resources (the commit record among them). NULL, or static words. Blocks.
 * `ret_digest` may be NULL: what a log of the new file begins with. */
const char *state_write(const char *directory, struct resource *const *resources, size_t count,
                        struct digest *ret_digest);

struct state_loaded {
    bool loaded;
    bool fresh;               /* neither file is there: a first start */
    bool previous;            /* the current file was of no use */
    const char *why_current;  /* static words; NULL: it was loaded */
    const char *why_previous; /* NULL: loaded, or not looked at */
    const char *why_log;      /* NULL: the log was whole, or there was none; else its end is lost */
};
/* Into an empty set: the newest file that is whole. */
struct state_loaded state_load(const char *directory, struct resource_set *set);

/* One file's bytes into an empty set; NULL, or static words and the set stays empty. */
const char *state_decode(struct text bytes, struct resource_set *set);
