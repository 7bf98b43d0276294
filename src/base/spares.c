/* A stack of one kind at a time: see spares.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spares.h"

#include <stddef.h>

void spares_fini(struct spares *spares)
{
    while (spares->count > 0)
        spares->drop(spares->items[--spares->count]);
}

void *spares_take(struct spares *spares, void (*drop)(void *piece))
{
    return spares->count > 0 && spares->drop == drop ? spares->items[--spares->count] : NULL;
}

void spares_give(struct spares *spares, void *piece, void (*drop)(void *piece))
{
#ifdef ARENA_PIECES_APART
    (void)spares; /* the emulator build: what is used after it was given back shows */
    drop(piece);
#else
    if (spares->count == LIMIT_SPARES || (spares->count > 0 && spares->drop != drop)) {
        drop(piece);
        return;
    }
    spares->drop = drop;
    spares->items[spares->count++] = piece;
#endif
}
