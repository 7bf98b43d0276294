/* ListenerSets: order, status. Their listeners are judged with those of the Gateway. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/listener_set.h"

#include <stdlib.h>

#include "control/kind/listener_set.h"
#include "control/translate/outcome_internal.h"

struct store_key listener_set_parent(const struct kind_object *set)
{
    const struct kind_parent_ref *parent = &set->listener_set->parent;
    if (kind_find(parent->group, parent->kind) != KIND_GATEWAY)
        return (struct store_key){0};
    return (struct store_key){KIND_GATEWAY,
                              parent->namespace.len > 0 ? parent->namespace : set->meta.namespace,
                              parent->name};
}

static int by_precedence(const void *a, const void *b)
{
    const struct kind_object *x = *(const struct kind_object *const *)a;
    const struct kind_object *y = *(const struct kind_object *const *)b;
    if (x->meta.created != y->meta.created)
        return x->meta.created < y->meta.created ? -1 : 1;
    return piece_keys_compare(piece_key_of(x), piece_key_of(y));
}

const struct kind_object **listener_set_list(struct translation *t, struct store_key gateway,
                                             size_t *ret_count)
{
    struct store_list all = store_list(t->store, KIND_LISTENER_SET);
    const struct kind_object **found =
        arena_array(&t->scratch, const struct kind_object *, all.count);
    size_t count = 0;
    for (size_t i = 0; i < all.count; i++) {
        struct store_key parent = listener_set_parent(all.items[i]);
        if (parent.kind == KIND_GATEWAY && piece_keys_equal(parent, gateway))
            found[count++] = all.items[i];
    }
    if (count > 1)
        qsort(found, count, sizeof(*found), by_precedence);
    *ret_count = count;
    return found;
}

static void set_both(struct piece *piece, struct conditions *conditions, const char *accepted,
                     const char *programmed, struct text message)
{
    message = arena_text(&piece->arena, message);
    conditions_set(conditions, &piece->arena, "Accepted", CONDITION_FALSE, accepted, message);
    conditions_set(conditions, &piece->arena, "Programmed", CONDITION_FALSE, programmed, message);
}

static void judge(const struct gateway_facts *facts, const struct set_view *set,
                  struct piece *piece, struct conditions *conditions)
{
    size_t valid = view_count_valid(facts->view, set), served = 0;
    for (size_t i = set->first; i < set->first + set->count; i++)
        served += view_is_served(&facts->view->listeners[i]);
    if (valid == 0) {
        set_both(piece, conditions, "ListenersNotValid", "ListenersNotValid",
                 TEXT("None of its listeners is valid."));
        return;
    }
    bool is_whole = valid == set->count;
    conditions_set(conditions, &piece->arena, "Accepted", CONDITION_TRUE,
                   is_whole ? "Accepted" : "ListenersNotValid",
                   is_whole ? TEXT("The ListenerSet is valid.")
                            : TEXT("Some listeners are not valid and are left out."));
    if (served == 0)
        conditions_set(conditions, &piece->arena, "Programmed", CONDITION_FALSE, "PortUnavailable",
                       TEXT("None of its listeners can be served."));
    else if (facts->is_programmed)
        conditions_set(conditions, &piece->arena, "Programmed", CONDITION_TRUE, "Programmed",
                       TEXT("A data plane serves this ListenerSet."));
    else
        conditions_set(conditions, &piece->arena, "Programmed", CONDITION_FALSE, "Pending",
                       TEXT("Waiting for a data plane to confirm it."));
}

struct piece *listener_set_piece(struct translation *t, const struct gateway_facts *facts,
                                 const struct set_view *set)
{
    const struct kind_object *object =
        store_get(t->store, KIND_LISTENER_SET, set->key.namespace, set->key.name);
    struct piece *piece = piece_new(set->key);
    piece_add_target(piece, facts->view->key);
    gateway_add_resources(t, facts->view, piece, set->first, set->count);
    struct object_status *status = piece_status(piece, object, t->controller);
    if (set->accepted.reason == NULL) {
        judge(facts, set, piece, &status->conditions);
    } else {
        bool is_parent = strcmp(set->accepted.reason, "ParentNotAccepted") == 0;
        set_both(piece, &status->conditions, set->accepted.reason,
                 is_parent ? "ParentNotProgrammed" : set->accepted.reason, set->accepted.message);
    }
    gateway_listener_statuses(t, facts, piece, status, set->first, set->count);
    return piece;
}

struct piece *listener_set_stranger_piece(struct translation *t, const struct kind_object *object)
{
    struct store_key parent = listener_set_parent(object);
    struct piece *piece = piece_new(piece_key_of(object));
    const struct kind_parent_ref *ref = &object->listener_set->parent;
    struct piece_spot spot = {FAULT_ERROR, "ParentNotFound", ref->place, TEXT("spec.parentRef"),
                              TEXT("Name a Gateway that exists.")};
    if (parent.kind == KIND_NONE) {
        piece_fault(piece, object, &spot, TEXT("The parent of a ListenerSet must be a Gateway."));
        return piece;
    }
    piece_add_target(piece, parent);
    if (store_get(t->store, parent.kind, parent.namespace, parent.name) == NULL)
        piece_fault(piece, object, &spot,
                    arena_printf(&t->scratch,
                                 "The Gateway " TEXT_FMT "/" TEXT_FMT " does not exist.",
                                 TEXT_ARG(parent.namespace), TEXT_ARG(parent.name)));
    return piece;
}
