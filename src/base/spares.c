/* A stack for each of a few kinds: see spares.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spares.h"

#include <stddef.h>

void spares_fini(struct spares *spares)
{
    for (int i = 0; i < SPARES_KINDS; i++)
        while (spares->kinds[i].count > 0)
            spares->kinds[i].drop(spares->kinds[i].items[--spares->kinds[i].count]);
}

static struct spares_kind *find(struct spares *spares, void (*drop)(void *piece))
{
    for (int i = 0; i < SPARES_KINDS; i++)
        if (spares->kinds[i].drop == drop)
            return &spares->kinds[i];
    return NULL;
}

void *spares_take(struct spares *spares, void (*drop)(void *piece))
{
    struct spares_kind *kind = find(spares, drop);
    return kind != NULL && kind->count > 0 ? kind->items[--kind->count] : NULL;
}

void spares_give(struct spares *spares, void *piece, void (*drop)(void *piece))
{
#ifdef ARENA_PIECES_APART
    (void)spares; /* the emulator build: what is used after it was given back shows */
    (void)find;
    drop(piece);
#else
    struct spares_kind *kind = find(spares, drop);
    if (kind == NULL)
        kind = find(spares, NULL);
    if (kind == NULL || kind->count == LIMIT_SPARES) {
        drop(piece);
        return;
    }
    kind->drop = drop;
    kind->items[kind->count++] = piece;
#endif
}
