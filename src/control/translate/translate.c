/* The driver. Gateways first, as routes see them; then routes, then what they need, then the
 * statuses of Gateways, which count their routes. Each part is made at most once a run. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/translate.h"

#include <stdlib.h>

#include "base/memory.h"
#include "control/translate/backends.h"
#include "control/translate/gateway_class.h"
#include "control/translate/listener_set.h"
#include "control/translate/policies.h"
#include "control/translate/run.h"
#include "control/translate/secrets.h"
#include "control/translate/service_policy.h"

static const struct kind_object *find(const struct run *run, struct store_key key)
{
    return store_get(run->t.store, key.kind, key.namespace, key.name);
}

/* The keys of a set in a fixed order, so that faults and edits come in the same order always. */
static struct store_key **sorted(const struct map *set, size_t *ret_count)
{
    return (struct store_key **)map_sorted(set, ret_count);
}

static void make_classes(struct run *run)
{
    size_t count;
    struct store_key **keys = sorted(&run->classes, &count);
    for (size_t i = 0; i < count; i++) {
        const struct kind_object *object = find(run, *keys[i]);
        outcome_put_piece(run->t.outcome, *keys[i],
                          object == NULL ? NULL : gateway_class_piece(&run->t, object));
        arena_reset(&run->t.scratch);
    }
    free(keys);
}

static void mark_attached(struct run *run, const struct gateway_view *view)
{
    run_mark_routes_of(run, view->key);
    for (size_t i = 0; i < view->set_count; i++)
        run_mark_routes_of(run, view->sets[i].key);
}

static struct text shared_fleet(const struct gateway_view *view)
{
    return view != NULL && view_is_shared(view) ? view->fleet : TEXT_NONE;
}

static void leave(struct run *run, struct gateway_entry *entry)
{
    if (entry->left != NULL)
        outcome_note_move(run->t.outcome, entry->path, text_of(entry->left), false);
    free(entry->left);
    entry->left = NULL;
}

/* What it had serves it until what it gets does; what the former said is not what the latter will.
 */
static void note_move(struct run *run, struct gateway_entry *entry, const struct gateway_view *view)
{
    struct text before = shared_fleet(entry->view), after = shared_fleet(view);
    if (text_equal(before, after))
        return;
    if (entry->left == NULL || !text_is(after, entry->left)) {
        leave(run, entry);
        if (after.len > 0)
            outcome_note_move(run->t.outcome, view->path, after, true);
    }
    free(entry->left);
    entry->left = before.len > 0 ? memory_string(before) : NULL;
    free(entry->taken);
    entry->taken = NULL; /* the names that it has by now are others */
    run->t.outcome->edits.has_moved = true;
    run->t.outcome->has_edits = true;
    entry->changed = run->t.outcome->revision + 1;
    entry->is_confirmed = false;
}

static void forget_gateway(struct run *run, struct gateway_entry *entry)
{
    note_move(run, entry, NULL);
    leave(run, entry);
    map_remove(&run->t.outcome->gateways, entry->path);
    mark_attached(run, entry->view);
    for (size_t i = 0; i < entry->view->set_count; i++)
        run_mark(run, &run->sets, entry->view->sets[i].key);
    view_free(entry->view);
    free(entry->refused);
    free(entry->taken);
    free(entry);
}

/* The sets of the old view and those of the new one get their pieces again. */
static void replace_view(struct run *run, struct store_key key, struct gateway_view *view)
{
    struct outcome *outcome = run->t.outcome;
    struct gateway_entry *entry =
        outcome_gateway(outcome, piece_path(&run->t.run, key.namespace, key.name));
    if (entry == NULL && view == NULL) {
        run_mark_routes_of(run, key); /* it may exist now, or not, and still be nobody's */
        return;
    }
    if (view == NULL) {
        forget_gateway(run, entry);
        return;
    }
    if (entry == NULL) {
        entry = memory_new(struct gateway_entry);
        entry->changed = outcome->revision + 1;
        note_move(run, entry, view);
    } else {
        note_move(run, entry, view);
        for (size_t i = 0; i < entry->view->set_count; i++)
            run_mark(run, &run->sets, entry->view->sets[i].key);
        entry->before = entry->view;
    }
    for (size_t i = 0; i < view->set_count; i++)
        run_mark(run, &run->sets, view->sets[i].key);
    view->is_dirty = true;
    entry->view = view;
    entry->path = view->path;
    map_put(&outcome->gateways, entry->path, entry);
}

/* Views, then who has which address, then the routes of all whose listeners look different. */
static void make_views(struct run *run)
{
    struct outcome *outcome = run->t.outcome;
    size_t count;
    struct store_key **keys = sorted(&run->gateways, &count);
    for (size_t i = 0; i < count; i++) {
        const struct kind_object *object = find(run, *keys[i]);
        replace_view(run, *keys[i], object == NULL ? NULL : view_new(&run->t, object));
        arena_reset(&run->t.scratch);
    }
    free(keys);
    if (count > 0)
        claims_settle(&run->t);
    struct map_entry *at_entry;
    for (size_t at = 0; map_next(&outcome->gateways, &at, &at_entry);) {
        struct gateway_entry *entry = at_entry->value;
        if (!entry->view->is_dirty)
            continue;
        struct digest before = entry->view->digest;
        if (entry->before != NULL)
            before = entry->before->digest;
        view_update_digest(entry->view);
        if (digest_equal(before, entry->view->digest))
            continue;
        mark_attached(run, entry->view);
        if (entry->before != NULL)
            mark_attached(run, entry->before);
    }
    for (size_t at = 0; map_next(&outcome->gateways, &at, &at_entry);) {
        struct gateway_entry *entry = at_entry->value;
        view_free(entry->before);
        entry->before = NULL;
    }
}

static void make_routes(struct run *run)
{
    size_t count;
    struct store_key **keys = sorted(&run->routes, &count);
    for (size_t i = 0; i < count; i++) {
        const struct kind_object *object = find(run, *keys[i]);
        outcome_put_piece(run->t.outcome, *keys[i],
                          object == NULL ? NULL : route_piece(&run->t, object));
        arena_reset(&run->t.scratch);
    }
    free(keys);
}

static void make_backend(struct run *run, struct backend_entry *entry)
{
    struct piece *piece = backends_piece(&run->t, entry);
    struct piece *old = entry->piece;
    entry->piece = piece;
    entry->is_dirty = false;
    entry->made = run->t.outcome->run;
    outcome_exchange(run->t.outcome, old, piece);
    arena_reset(&run->t.scratch);
}

static bool is_marked(const struct run *run, const struct map *set, struct text namespace)
{
    char key[512];
    const char prefix[] = "Namespace//";
    size_t len = sizeof(prefix) - 1 + namespace.len;
    if (set->count == 0 || len > sizeof(key))
        return false;
    (void)run;
    memcpy(key, prefix, sizeof(prefix) - 1);
    memcpy(key + sizeof(prefix) - 1, namespace.data, namespace.len);
    return map_get(set, text_from(key, len)) != NULL;
}

static void make_backends(struct run *run)
{
    struct outcome *outcome = run->t.outcome;
    struct map_entry *entry;
    for (size_t at = 0; map_next(&run->services, &at, &entry);) {
        const struct service_entry *service = outcome_service(outcome, entry->key);
        struct backend_entry *backend = service == NULL ? NULL : service->backends;
        for (; backend != NULL; backend = backend->next) {
            if (backend->use_count > 0)
                make_backend(run, backend);
        }
    }
    struct backend_entry *fresh;
    while ((fresh = sharing_next_new(outcome)) != NULL) {
        if (fresh->is_dirty && fresh->use_count > 0)
            make_backend(run, fresh);
    }
    if (run->backends.count == 0)
        return;
    for (size_t at = 0; map_next(&outcome->backends, &at, &entry);) {
        struct backend_entry *backend = entry->value;
        if (backend->use_count > 0 && backend->made != outcome->run &&
            is_marked(run, &run->backends, backend->service.namespace))
            make_backend(run, backend);
    }
}

/* The Gateway's piece, then those of its sets; in the scratch arena. */
static struct piece **gateway_pieces(struct run *run, const struct gateway_facts *facts)
{
    size_t sets = facts->view->set_count;
    struct piece **pieces = arena_array(&run->t.scratch, struct piece *, sets + 1);
    pieces[0] = gateway_piece(&run->t, facts);
    for (size_t i = 0; i < sets; i++)
        pieces[i + 1] = listener_set_piece(&run->t, facts, &facts->view->sets[i]);
    return pieces;
}

static void make_gateway(struct run *run, struct gateway_entry *entry)
{
    struct outcome *outcome = run->t.outcome;
    size_t count = entry->view->set_count + 1;
    struct gateway_facts facts = {
        .view = entry->view,
        .is_programmed = entry->is_confirmed && entry->confirmed >= entry->changed &&
                         entry->taken == NULL && !entry->view->is_moving,
        .refused = text_of(entry->refused == NULL ? "" : entry->refused),
        .taken = text_of(entry->taken == NULL ? "" : entry->taken),
    };
    struct piece **pieces = gateway_pieces(run, &facts);
    bool differs = false;
    for (size_t i = 0; i < count && !differs; i++)
        differs = outcome_differs(outcome_piece(outcome, pieces[i]->key), pieces[i]);
    if (differs) {
        entry->changed = outcome->revision + 1;
        if (facts.is_programmed) { /* what is served is no longer what is wanted */
            for (size_t i = 0; i < count; i++)
                piece_free(pieces[i]);
            facts.is_programmed = false;
            pieces = gateway_pieces(run, &facts);
        }
    }
    if (conditions_are_true(&pieces[0]->status->conditions, "Programmed"))
        leave(run, entry);
    for (size_t i = 0; i < count; i++)
        outcome_put_piece(outcome, pieces[i]->key, pieces[i]);
    entry->view->is_dirty = false;
    arena_reset(&run->t.scratch);
}

static void make_gateways(struct run *run)
{
    struct outcome *outcome = run->t.outcome;
    size_t count;
    struct gateway_entry **entries =
        (struct gateway_entry **)map_sorted(&outcome->gateways, &count);
    for (size_t i = 0; i < count; i++) {
        if (entries[i]->view->is_dirty)
            make_gateway(run, entries[i]);
    }
    free(entries);
    struct store_key **keys = sorted(&run->gateways, &count);
    for (size_t i = 0; i < count; i++) {
        const struct kind_object *object = find(run, *keys[i]);
        if (outcome_gateway(outcome,
                            piece_path(&run->t.scratch, keys[i]->namespace, keys[i]->name)) == NULL)
            outcome_put_piece(outcome, *keys[i],
                              object == NULL ? NULL : gateway_stranger_piece(&run->t, object));
        arena_reset(&run->t.scratch);
    }
    free(keys);
}

/* Sets that no Gateway of ours has taken up. */
static void make_strange_sets(struct run *run)
{
    size_t count;
    struct store_key **keys = sorted(&run->sets, &count);
    for (size_t i = 0; i < count; i++) {
        const struct kind_object *object = find(run, *keys[i]);
        struct store_key parent =
            object == NULL ? (struct store_key){0} : listener_set_parent(object);
        const struct gateway_entry *entry =
            parent.kind == KIND_NONE
                ? NULL
                : outcome_gateway(run->t.outcome,
                                  piece_path(&run->t.scratch, parent.namespace, parent.name));
        if (entry == NULL)
            outcome_put_piece(run->t.outcome, *keys[i],
                              object == NULL ? NULL : listener_set_stranger_piece(&run->t, object));
        arena_reset(&run->t.scratch);
    }
    free(keys);
}

static void make_secrets(struct run *run)
{
    struct map_entry *entry;
    for (size_t at = 0; map_next(&run->t.outcome->secrets, &at, &entry);) {
        struct secret_entry *secret = entry->value;
        if (secret->count == 0 ||
            (!secret->is_dirty && map_get(&run->secrets, secret->name) == NULL))
            continue;
        struct piece *old = secret->piece;
        secret->piece = secrets_piece(&run->t, secret->object);
        secret->is_dirty = false;
        outcome_exchange(run->t.outcome, old, secret->piece);
        arena_reset(&run->t.scratch);
    }
}

static struct piece *policy_piece(struct run *run, const struct kind_object *object)
{
    switch (object->id) {
    case KIND_BACKEND_TLS_POLICY:
        return backend_tls_piece(&run->t, object);
    case KIND_BACKEND_LB_POLICY:
        return backend_lb_piece(&run->t, object);
    case KIND_BACKEND_TRAFFIC_POLICY:
        return backend_lb_traffic_piece(&run->t, object);
    case KIND_X_BACKEND:
        return x_backend_piece(&run->t, object);
    default:
        return policies_piece(&run->t, object);
    }
}

static void make_policy(struct run *run, struct store_key key)
{
    const struct kind_object *object = find(run, key);
    outcome_put_piece(run->t.outcome, key, object == NULL ? NULL : policy_piece(run, object));
    arena_reset(&run->t.scratch);
}

/* Their ancestors are the Gateways that use the Service. */
static void mark_service_policies(struct run *run)
{
    for (enum kind_id kind = KIND_NONE; kind < KIND_COUNT; kind++) {
        if (!status_has_ancestors(kind))
            continue;
        struct store_list list = store_list(run->t.store, kind);
        for (size_t i = 0; i < list.count; i++) {
            if (run->t.outcome->has_new_uses ||
                is_marked(run, &run->backends, list.items[i]->meta.namespace))
                run_mark(run, &run->policies, piece_key_of(list.items[i]));
        }
    }
}

static void make_policies(struct run *run)
{
    struct outcome *outcome = run->t.outcome;
    size_t count;
    mark_service_policies(run);
    outcome->has_new_uses = false;
    struct store_key **keys = sorted(&run->policies, &count);
    for (size_t i = 0; i < count; i++)
        make_policy(run, *keys[i]);
    free(keys);
}

static size_t count_routes(const struct store *store)
{
    size_t count = 0;
    for (enum kind_id kind = KIND_HTTP_ROUTE; kind <= KIND_UDP_ROUTE; kind++)
        count += store_count(store, kind);
    return count;
}

static void make_notes(struct run *run)
{
    struct outcome *outcome = run->t.outcome;
    struct piece *piece = piece_new((struct store_key){KIND_NONE, TEXT_NONE, TEXT_NONE});
    size_t routes = count_routes(run->t.store);
    if (routes > 0 && store_count(run->t.store, KIND_GATEWAY) == 0)
        faults_add(&piece->faults,
                   &(struct fault){.level = FAULT_NOTE,
                                   .code = "NoGateway",
                                   .hint = TEXT("Add a Gateway that the routes name.")},
                   "There is no Gateway, so no route is served (of %zu).", routes);
    piece_free(outcome->notes);
    outcome->notes = piece;
}

/* Views that name a refused Listener, and everything else that a refusal touches. */
static void reach_refusals(struct run *run)
{
    struct map_entry *entry;
    if (!run->t.outcome->has_refusals)
        return;
    run->t.outcome->has_refusals = false;
    for (size_t at = 0; map_next(&run->t.outcome->refusals, &at, &entry);) {
        struct refusal_entry *refusal = entry->value;
        if (refusal->is_seen)
            continue;
        refusal->is_seen = true;
        const struct piece *owner =
            outcome_owner_piece(run->t.outcome, refusal->type, refusal->name);
        if (owner != NULL)
            run_reach(run,
                      &(struct store_changes){&(struct store_change){STORE_MOVED, owner->key}, 1});
    }
}

static void sweep(struct run *run)
{
    struct piece *piece;
    while (sharing_next_unused(run->t.outcome, &piece))
        outcome_exchange(run->t.outcome, piece, NULL);
}

static void execute(struct run *run)
{
    make_classes(run);
    make_views(run);
    make_routes(run);
    make_backends(run);
    make_gateways(run);
    make_strange_sets(run);
    make_policies(run);
    sweep(run);
    make_secrets(run);
    make_notes(run);
    if (run->t.outcome->has_edits)
        run->t.outcome->revision++;
}

struct outcome *translate(struct store *store, const struct translate_options *options)
{
    struct outcome *outcome = outcome_new(options);
    struct run run;
    run_init(&run, outcome, store);
    run_reach_all(&run);
    execute(&run);
    run_fini(&run);
    return outcome;
}

const struct outcome_edits *translate_apply(struct outcome *outcome, struct store *store,
                                            const struct store_changes *changes)
{
    outcome_begin(outcome);
    struct run run;
    run_init(&run, outcome, store);
    run_reach(&run, changes);
    reach_refusals(&run);
    if (outcome->has_bundle)
        run_reach_classes(&run);
    outcome->has_bundle = false;
    execute(&run);
    run_fini(&run);
    return outcome_edits(outcome);
}
