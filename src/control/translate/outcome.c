/* Keeping an outcome: exchanging pieces, counting what they share, noting what changed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "control/translate/outcome_internal.h"
#include "control/translate/terms/capability.h"
#include "control/translate/terms/conditions.h"
#include "control/translate/view.h"
#include "schema/digest.h"

struct outcome *outcome_new(const struct translate_options *options)
{
    struct outcome *outcome = memory_new(struct outcome);
    outcome->options = *options;
    if (options->bundle.data != NULL)
        outcome->bundle = memory_string(options->bundle);
    outcome->controller =
        options->controller.len > 0 ? options->controller : TEXT(TRANSLATE_CONTROLLER);
    outcome->capabilities =
        options->capabilities != 0 ? options->capabilities : capability_default();
    struct map *maps[] = {&outcome->pieces,   &outcome->gateways, &outcome->attached,
                          &outcome->backends, &outcome->services, &outcome->secrets,
                          &outcome->slices,   &outcome->refusals};
    for (size_t i = 0; i < ARRAY_LEN(maps); i++)
        map_init(maps[i]);
    arena_init(&outcome->edits.arena, 0);
    outcome->run = 1;
    return outcome;
}

static void edits_fini(struct outcome_edits *edits)
{
    free(edits->resources);
    free(edits->statuses);
    free(edits->withdrawn);
    free(edits->moves);
    arena_fini(&edits->arena);
}

void outcome_begin(struct outcome *outcome)
{
    edits_fini(&outcome->edits);
    outcome->edits = (struct outcome_edits){0};
    arena_init(&outcome->edits.arena, 0);
    outcome->has_edits = false;
    outcome->run++;
}

void outcome_free(struct outcome *outcome)
{
    if (outcome == NULL)
        return;
    struct map_entry *entry;
    for (size_t at = 0; map_next(&outcome->pieces, &at, &entry);)
        piece_free(entry->value);
    for (size_t at = 0; map_next(&outcome->gateways, &at, &entry);) {
        struct gateway_entry *gateway = entry->value;
        view_free(gateway->view);
        free(gateway->refused);
        free(gateway->taken);
        free(gateway->left);
        free(gateway);
    }
    sharing_free(outcome);
    struct map *maps[] = {&outcome->pieces, &outcome->gateways, &outcome->refusals};
    for (size_t at = 0; map_next(&outcome->refusals, &at, &entry);) {
        struct refusal_entry *refusal = entry->value;
        arena_fini(&refusal->arena);
        free(refusal);
    }
    for (size_t i = 0; i < ARRAY_LEN(maps); i++)
        map_fini(maps[i]);
    piece_free(outcome->notes);
    free(outcome->bundle);
    edits_fini(&outcome->edits);
    free(outcome);
}

static int compare_resources(const void *a, const void *b)
{
    const struct outcome_resource *x = a, *y = b;
    if (x->type != y->type)
        return x->type < y->type ? -1 : 1;
    return text_compare(x->name, y->name);
}

static void note_resource(struct outcome *outcome, const struct outcome_resource *resource,
                          bool is_gone)
{
    struct outcome_edits *edits = &outcome->edits;
    edits->resources = memory_grow(edits->resources, edits->resource_count, &edits->resource_cap,
                                   sizeof(*edits->resources));
    struct outcome_resource *edit = &edits->resources[edits->resource_count++];
    *edit = *resource;
    edit->owner = NULL;
    outcome->has_edits = true;
    if (!is_gone)
        return;
    edit->name = arena_text(&edits->arena, resource->name);
    edit->bytes = TEXT_NONE;
    edit->digest = (struct digest){0};
}

static void count_resource(struct outcome *outcome, const struct outcome_resource *resource,
                           bool is_gone)
{
    struct digest *sum = &outcome->sums[resource->type];
    if (is_gone)
        schema_digest_remove(sum, resource->digest);
    else
        schema_digest_add(sum, resource->digest);
    outcome->counts[resource->type] += is_gone ? UINT64_MAX : 1;
}

static void add_resource(struct outcome *outcome, const struct outcome_resource *resource)
{
    count_resource(outcome, resource, false);
    note_resource(outcome, resource, false);
}

static void remove_resource(struct outcome *outcome, const struct outcome_resource *resource)
{
    count_resource(outcome, resource, true);
    note_resource(outcome, resource, true);
}

/* Both are sorted; walks them side by side. */
static bool exchange_resources(struct outcome *outcome, const struct piece *old,
                               const struct piece *piece)
{
    size_t i = 0, k = 0, before = outcome->edits.resource_count;
    size_t old_count = old == NULL ? 0 : old->resource_count;
    size_t count = piece == NULL ? 0 : piece->resource_count;
    while (i < old_count || k < count) {
        int order;
        if (i == old_count)
            order = 1;
        else if (k == count)
            order = -1;
        else
            order = compare_resources(&old->resources[i], &piece->resources[k]);
        if (order < 0) {
            remove_resource(outcome, &old->resources[i++]);
        } else if (order > 0) {
            add_resource(outcome, &piece->resources[k++]);
        } else {
            if (!digest_equal(old->resources[i].digest, piece->resources[k].digest)) {
                count_resource(outcome, &old->resources[i], true);
                add_resource(outcome, &piece->resources[k]);
            }
            i++;
            k++;
        }
    }
    return outcome->edits.resource_count != before;
}

static void exchange_status(struct outcome *outcome, const struct piece *old,
                            const struct piece *piece)
{
    struct outcome_edits *edits = &outcome->edits;
    const struct object_status *status = piece == NULL ? NULL : piece->status;
    if (status == NULL && old != NULL && old->status != NULL) {
        edits->withdrawn = memory_grow(edits->withdrawn, edits->withdrawn_count,
                                       &edits->withdrawn_cap, sizeof(*edits->withdrawn));
        edits->withdrawn[edits->withdrawn_count++] =
            (struct store_key){old->key.kind, arena_text(&edits->arena, old->key.namespace),
                               arena_text(&edits->arena, old->key.name)};
    }
    if (status == NULL || conditions_status_equal(old == NULL ? NULL : old->status, status))
        return;
    edits->statuses = memory_grow(edits->statuses, edits->status_count, &edits->status_cap,
                                  sizeof(*edits->statuses));
    edits->statuses[edits->status_count++] = status;
}

void outcome_note_move(struct outcome *outcome, struct text gateway, struct text fleet, bool joins)
{
    struct outcome_edits *edits = &outcome->edits;
    edits->moves =
        memory_grow(edits->moves, edits->move_count, &edits->move_cap, sizeof(*edits->moves));
    edits->moves[edits->move_count++] = (struct outcome_move){
        arena_text(&edits->arena, gateway), arena_text(&edits->arena, fleet), joins};
}

static void sort(struct piece *piece)
{
    if (piece->resource_count > 1)
        qsort(piece->resources, piece->resource_count, sizeof(*piece->resources),
              compare_resources);
}

bool outcome_differs(const struct piece *old, struct piece *piece)
{
    sort(piece);
    if (old == NULL || old->resource_count != piece->resource_count)
        return old != NULL || piece->resource_count > 0;
    for (size_t i = 0; i < piece->resource_count; i++) {
        if (compare_resources(&old->resources[i], &piece->resources[i]) != 0 ||
            !digest_equal(old->resources[i].digest, piece->resources[i].digest))
            return true;
    }
    return false;
}

bool outcome_exchange(struct outcome *outcome, struct piece *old, struct piece *piece)
{
    if (piece != NULL) {
        outcome->edits.translated++;
        sort(piece);
    }
    bool is_changed = exchange_resources(outcome, old, piece);
    exchange_status(outcome, old, piece);
    /* First the new counts, so that what both need does not vanish in between. */
    sharing_take(outcome, piece);
    sharing_give_back(outcome, old);
    piece_free(old);
    return is_changed;
}

struct piece *outcome_piece(const struct outcome *outcome, struct store_key key)
{
    char bytes[1024];
    const char *kind = kind_name(key.kind);
    size_t kind_len = strlen(kind);
    size_t len = kind_len + key.namespace.len + key.name.len + 2;
    if (len > sizeof(bytes))
        return NULL;
    memcpy(bytes, kind, kind_len);
    bytes[kind_len] = '/';
    if (key.namespace.len > 0)
        memcpy(bytes + kind_len + 1, key.namespace.data, key.namespace.len);
    bytes[kind_len + 1 + key.namespace.len] = '/';
    memcpy(bytes + kind_len + key.namespace.len + 2, key.name.data, key.name.len);
    return map_get(&outcome->pieces, text_from(bytes, len));
}

bool outcome_put_piece(struct outcome *outcome, struct store_key key, struct piece *piece)
{
    struct piece *old = outcome_piece(outcome, key);
    if (piece != NULL)
        map_put(&outcome->pieces, piece_key(&piece->arena, key), piece);
    else if (old != NULL)
        map_remove(&outcome->pieces, piece_key(&old->arena, key));
    return outcome_exchange(outcome, old, piece);
}

const struct outcome_edits *outcome_edits(const struct outcome *outcome)
{
    return &outcome->edits;
}

uint64_t outcome_revision(const struct outcome *outcome)
{
    return outcome->revision;
}

size_t outcome_piece_count(const struct outcome *outcome)
{
    return outcome->pieces.count + outcome->backends.count + outcome->secrets.count;
}

struct digest outcome_digest(const struct outcome *outcome, enum resource_type type,
                             uint64_t *ret_count)
{
    *ret_count = outcome->counts[type];
    return outcome->sums[type];
}

const struct object_status *outcome_status(const struct outcome *outcome, struct store_key key)
{
    const struct piece *piece = outcome_piece(outcome, key);
    return piece == NULL ? NULL : piece->status;
}
