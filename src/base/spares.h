/* Pieces of memory that are dear to make, kept for whoever needs one next on the same thread, so
 * that what rests holds none. A stack a kind: the last that came is still in the cache. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/limits.h"

#define SPARES_KINDS 2 /* streams of HTTP/1 and of HTTP/2 */

struct spares {
    struct spares_kind {
        void *items[LIMIT_SPARES]; /* owns */
        void (*drop)(void *piece); /* how it ends; NULL: no kind yet */
        uint32_t count;
    } kinds[SPARES_KINDS];
};

/* Whatever is in it ends. */
void spares_fini(struct spares *spares);
/* Of the kind that `drop` ends; NULL: there is none, make one. */
void *spares_take(struct spares *spares, void (*drop)(void *piece));
/* Keeps it, or ends it when there are enough, or of too many kinds. */
void spares_give(struct spares *spares, void *piece, void (*drop)(void *piece));
