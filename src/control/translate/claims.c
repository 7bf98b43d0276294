/* Gateways on one address, or with the same data planes: each listener claims its address and port,
 * oldest Gateway first. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory.h"
#include "control/translate/listeners.h"
#include "control/translate/outcome_internal.h"
#include "control/translate/view.h"

/* A listener that holds an address and port; several that do not conflict may. */
struct claim {
    const struct gateway_view *view;
    const struct listener_view *listener;
    struct claim *next;
};

struct claims {
    struct claim *first;
};

static int by_age(const void *a, const void *b)
{
    const struct gateway_view *x = (*(struct gateway_entry *const *)a)->view;
    const struct gateway_view *y = (*(struct gateway_entry *const *)b)->view;
    if (x->created != y->created)
        return x->created < y->created ? -1 : 1;
    return piece_keys_compare(x->key, y->key);
}

/* Who stands in the way at this address, or NULL after the claim was put down. */
static const struct claim *claim(struct arena *arena, struct map *all,
                                 const struct gateway_view *view,
                                 const struct listener_view *listener, struct text address)
{
    struct text key = arena_printf(arena, TEXT_FMT "|%d", TEXT_ARG(address), (int)listener->port);
    struct claims *claims = map_get(all, key);
    if (claims == NULL) {
        claims = arena_new(arena, struct claims);
        map_put(all, key, claims);
    }
    for (const struct claim *at = claims->first; at != NULL; at = at->next) {
        if (at->view != view && listeners_conflict(listener, at->listener) != NULL)
            return at;
    }
    struct claim *new = arena_new(arena, struct claim);
    *new = (struct claim){view, listener, claims->first};
    claims->first = new;
    return NULL;
}

static void settle_listener(struct arena *arena, struct map *all, struct gateway_view *view,
                            struct listener_view *listener)
{
    const struct claim *winner = NULL;
    bool is_shared = view_is_shared(view);
    if (!view_is_usable(listener) || listener->is_withheld) {
        winner = NULL;
    } else if (is_shared) {
        winner = claim(arena, all, view, listener, view->fleet);
    } else {
        for (size_t i = 0; i < view->address_count && winner == NULL; i++)
            winner = claim(arena, all, view, listener, view->addresses[i].value);
        if (view->address_count == 0)
            winner = claim(arena, all, view, listener, TEXT(""));
    }
    struct text by = winner == NULL ? TEXT_NONE : winner->view->path;
    const char *why =
        winner == NULL || !is_shared ? NULL : listeners_conflict(listener, winner->listener);
    if (text_equal(by, listener->blocked_by) && why == listener->blocked_why)
        return;
    listener->blocked_by = arena_text(&view->arena, by);
    listener->blocked_why = why;
    view->is_dirty = true;
}

void claims_settle(struct translation *t)
{
    struct gateway_entry **entries =
        memory_alloc((t->outcome->gateways.count + 1) * sizeof(struct gateway_entry *));
    struct map_entry *item;
    size_t count = 0;
    for (size_t at = 0; map_next(&t->outcome->gateways, &at, &item);) {
        struct gateway_entry *entry = item->value;
        /* In a cluster the others have addresses of their own. */
        if (t->options->standalone || view_is_shared(entry->view))
            entries[count++] = entry;
    }
    if (count > 1)
        qsort(entries, count, sizeof(*entries), by_age);
    struct map all;
    map_init(&all);
    for (size_t i = 0; i < count; i++) {
        struct gateway_view *view = entries[i]->view;
        for (size_t k = 0; k < view->listener_count; k++)
            settle_listener(&t->scratch, &all, view, &view->listeners[k]);
    }
    map_fini(&all);
    free(entries);
    arena_reset(&t->scratch);
}
