/* Who has a port of an address: of one Gateway's listeners the older object first, and of Gateways
 * on one address, or with the same data planes, the oldest. Claims are kept by address, port and
 * hostname; who was first on a port stands there without one: its protocol is that of all others.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory.h"
#include "control/translate/outcome_internal.h"
#include "control/translate/view.h"

/* What shares a port: cleartext HTTP; everything with a server name; TCP alone; UDP apart. */
static int family_of(const struct listener_view *listener)
{
    switch (listener->protocol) {
    case KIND_PROTOCOL_HTTP:
        return 1;
    case KIND_PROTOCOL_HTTPS:
    case KIND_PROTOCOL_TLS:
        return 2;
    case KIND_PROTOCOL_TCP:
        return 3;
    case KIND_PROTOCOL_UDP:
        return 4;
    case KIND_PROTOCOL_UNKNOWN:
        break;
    }
    return 0;
}

const char *claims_conflict(const struct listener_view *a, const struct listener_view *b)
{
    int family = family_of(a), other = family_of(b);
    if (a->port != b->port || family == 0 || other == 0)
        return NULL;
    if (family != other)
        return family == 4 || other == 4 ? NULL : "ProtocolConflict";
    if (family >= 3 || a->is_proxied != b->is_proxied)
        return "ProtocolConflict";
    return text_equal(a->hostname, b->hostname) ? "HostnameConflict" : NULL;
}

void claims_init(struct claims *claims, struct arena *arena)
{
    claims->arena = arena;
    map_init(&claims->holders);
}

void claims_fini(struct claims *claims)
{
    map_fini(&claims->holders);
}

static struct text first_key(const struct claims *claims, struct text address,
                             const struct listener_view *listener)
{
    const char *transport = family_of(listener) == 4 ? "udp" : "tcp";
    return arena_printf(claims->arena, TEXT_FMT "|%d|%s", TEXT_ARG(address), (int)listener->port,
                        transport);
}

static struct text host_key(const struct claims *claims, struct text address, int32_t port,
                            struct text hostname)
{
    return arena_printf(claims->arena, TEXT_FMT "|%d|=" TEXT_FMT, TEXT_ARG(address), (int)port,
                        TEXT_ARG(hostname));
}

const struct claim *claims_blocker(const struct claims *claims, struct text address,
                                   const struct listener_view *listener)
{
    const struct claim *first = map_get(&claims->holders, first_key(claims, address, listener));
    if (first == NULL || claims_conflict(first->listener, listener) != NULL)
        return first;
    const struct claim *same =
        map_get(&claims->holders, host_key(claims, address, listener->port, listener->hostname));
    return same != NULL && claims_conflict(same->listener, listener) != NULL ? same : NULL;
}

void claims_take(struct claims *claims, struct text address, struct claim holder)
{
    const struct listener_view *listener = holder.listener;
    if (family_of(listener) == 0)
        return;
    struct claim *own = arena_new(claims->arena, struct claim);
    *own = holder;
    struct text first = first_key(claims, address, listener);
    if (map_get(&claims->holders, first) == NULL)
        map_put(&claims->holders, first, own);
    if (family_of(listener) <= 2)
        map_put(&claims->holders, host_key(claims, address, listener->port, listener->hostname),
                own);
}

/* ---- overlaps ---- */

static bool may_overlap(const struct listener_view *listener)
{
    return family_of(listener) == 2 && listener->conflict.reason == NULL;
}

static bool is_marked(const struct map *marked, const struct listener_view *listener)
{
    return map_get(marked, listener->resource) != NULL;
}

static void mark_both(const struct claims *claims, struct text address,
                      const struct listener_view *listener, struct text hostname,
                      struct map *marked)
{
    struct claim *other =
        map_get(&claims->holders, host_key(claims, address, listener->port, hostname));
    if (other == NULL || !may_overlap(other->listener) || other->listener->blocked_by.len > 0)
        return;
    map_put(marked, listener->resource, other);
    map_put(marked, other->listener->resource, other);
}

/* With those that hold its hostname: any host, and the wildcards above it. */
static void find_above(const struct claims *claims, struct text address,
                       const struct listener_view *listener, struct map *marked)
{
    struct text name = listener->hostname;
    if (name.len == 0)
        return;
    mark_both(claims, address, listener, TEXT(""), marked);
    for (size_t dot = text_find(name, '.', 0); dot < name.len;
         dot = text_find(name, '.', dot + 1)) {
        struct text above =
            arena_printf(claims->arena, "*" TEXT_FMT, TEXT_ARG(text_slice(name, dot, name.len)));
        if (!text_equal(above, name))
            mark_both(claims, address, listener, above, marked);
    }
}

void claims_find_overlaps(struct gateway_view *view, struct arena *arena)
{
    struct claims claims;
    struct map marked;
    claims_init(&claims, arena);
    map_init(&marked);
    for (size_t i = 0; i < view->listener_count; i++)
        if (may_overlap(&view->listeners[i]))
            claims_take(&claims, TEXT(""), (struct claim){view, &view->listeners[i]});
    for (size_t i = 0; i < view->listener_count; i++)
        if (may_overlap(&view->listeners[i]))
            find_above(&claims, TEXT(""), &view->listeners[i], &marked);
    for (size_t i = 0; i < view->listener_count; i++)
        view->listeners[i].is_overlapping = is_marked(&marked, &view->listeners[i]);
    map_fini(&marked);
    claims_fini(&claims);
}

/* ---- Gateways on one address ---- */

static int by_age(const void *a, const void *b)
{
    const struct gateway_view *x = (*(struct gateway_entry *const *)a)->view;
    const struct gateway_view *y = (*(struct gateway_entry *const *)b)->view;
    if (x->created != y->created)
        return x->created < y->created ? -1 : 1;
    return piece_keys_compare(x->key, y->key);
}

/* Where it has its ports: what shares data planes by its class has them there, whoever's the
 * addresses are. */
static size_t place_count(const struct gateway_view *view)
{
    return view_is_shared(view) || view->address_count == 0 ? 1 : view->address_count;
}

static struct text place_at(const struct gateway_view *view, size_t at)
{
    if (view_is_shared(view))
        return view->fleet;
    return view->address_count == 0 ? TEXT("") : view->addresses[at].value;
}

static bool takes_part(const struct listener_view *listener)
{
    return view_is_usable(listener) && !listener->is_withheld;
}

/* Who stands in the way at this address, or NULL after the claim was put down. */
static const struct claim *claim(struct claims *claims, const struct gateway_view *view,
                                 const struct listener_view *listener, struct text address)
{
    const struct claim *holder = claims_blocker(claims, address, listener);
    if (holder == NULL)
        claims_take(claims, address, (struct claim){view, listener});
    return holder;
}

static void settle_listener(struct claims *all, struct gateway_view *view,
                            struct listener_view *listener)
{
    const struct claim *winner = NULL;
    for (size_t i = 0; takes_part(listener) && i < place_count(view) && winner == NULL; i++)
        winner = claim(all, view, listener, place_at(view, i));
    struct text by = winner == NULL ? TEXT_NONE : winner->view->path;
    const char *why = winner == NULL || !view_is_shared(view)
                          ? NULL
                          : claims_conflict(listener, winner->listener);
    if (text_equal(by, listener->blocked_by) && why == listener->blocked_why)
        return;
    listener->blocked_by = arena_text(&view->arena, by);
    listener->blocked_why = why;
    view->is_dirty = true;
}

/* Once all that is served is known. */
static void settle_overlaps(const struct claims *all, struct gateway_entry *const *entries,
                            size_t count)
{
    struct map marked;
    map_init(&marked);
    for (size_t i = 0; i < count; i++) {
        const struct gateway_view *view = entries[i]->view;
        for (size_t k = 0; k < view->listener_count; k++) {
            const struct listener_view *listener = &view->listeners[k];
            if (!may_overlap(listener) || !takes_part(listener) || listener->blocked_by.len > 0)
                continue;
            for (size_t at = 0; at < place_count(view); at++)
                find_above(all, place_at(view, at), listener, &marked);
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct gateway_view *view = entries[i]->view;
        for (size_t k = 0; k < view->listener_count; k++) {
            struct listener_view *listener = &view->listeners[k];
            bool is_overlapping = is_marked(&marked, listener);
            view->is_dirty = view->is_dirty || is_overlapping != listener->is_overlapping_others;
            listener->is_overlapping_others = is_overlapping;
        }
    }
    map_fini(&marked);
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
    struct claims all;
    claims_init(&all, &t->scratch);
    for (size_t i = 0; i < count; i++) {
        struct gateway_view *view = entries[i]->view;
        for (size_t k = 0; k < view->listener_count; k++)
            settle_listener(&all, view, &view->listeners[k]);
    }
    settle_overlaps(&all, entries, count);
    claims_fini(&all);
    free(entries);
    arena_reset(&t->scratch);
}
