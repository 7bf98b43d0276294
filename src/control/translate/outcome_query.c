/* Reading an outcome, and telling it what data planes refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "control/translate/gateway.h"
#include "control/translate/outcome_internal.h"

/* Calls `each` with every piece there is. */
static void each_piece(const struct outcome *outcome,
                       void (*each)(void *owner, const struct piece *piece), void *owner)
{
    struct map_entry *entry;
    for (size_t at = 0; map_next(&outcome->pieces, &at, &entry);)
        each(owner, entry->value);
    for (size_t at = 0; map_next(&outcome->backends, &at, &entry);) {
        const struct backend_entry *backend = entry->value;
        if (backend->piece != NULL)
            each(owner, backend->piece);
    }
    for (size_t at = 0; map_next(&outcome->secrets, &at, &entry);) {
        const struct secret_entry *secret = entry->value;
        if (secret->piece != NULL)
            each(owner, secret->piece);
    }
    if (outcome->notes != NULL)
        each(owner, outcome->notes);
}

struct collection {
    struct arena *arena;
    const void **items;
    struct outcome_resource *resources;
    size_t count;
};

static void count_resources(void *owner, const struct piece *piece)
{
    ((struct collection *)owner)->count += piece->resource_count;
}

static void add_resources(void *owner, const struct piece *piece)
{
    struct collection *all = owner;
    if (piece->resource_count > 0)
        memcpy(&all->resources[all->count], piece->resources,
               piece->resource_count * sizeof(*piece->resources));
    all->count += piece->resource_count;
}

static int compare_resources(const void *a, const void *b)
{
    const struct outcome_resource *x = a, *y = b;
    if (x->type != y->type)
        return x->type < y->type ? -1 : 1;
    return text_compare(x->name, y->name);
}

struct outcome_resource *outcome_resources(const struct outcome *outcome, struct arena *arena,
                                           size_t *ret_count)
{
    struct collection all = {.arena = arena};
    each_piece(outcome, count_resources, &all);
    all.resources = arena_array(arena, struct outcome_resource, all.count);
    all.count = 0;
    each_piece(outcome, add_resources, &all);
    if (all.count > 1)
        qsort(all.resources, all.count, sizeof(*all.resources), compare_resources);
    *ret_count = all.count;
    return all.resources;
}

static int compare_statuses(const void *a, const void *b)
{
    const struct object_status *x = *(const struct object_status *const *)a;
    const struct object_status *y = *(const struct object_status *const *)b;
    return piece_keys_compare(x->key, y->key);
}

const struct object_status **outcome_statuses(const struct outcome *outcome, struct arena *arena,
                                              size_t *ret_count)
{
    const struct object_status **all =
        arena_array(arena, const struct object_status *, outcome->pieces.count);
    size_t count = 0;
    struct map_entry *entry;
    for (size_t at = 0; map_next(&outcome->pieces, &at, &entry);) {
        const struct piece *piece = entry->value;
        if (piece->status != NULL)
            all[count++] = piece->status;
    }
    if (count > 1)
        qsort(all, count, sizeof(*all), compare_statuses);
    *ret_count = count;
    return all;
}

static void count_faults(void *owner, const struct piece *piece)
{
    ((struct collection *)owner)->count += piece->faults.count;
}

static void add_faults(void *owner, const struct piece *piece)
{
    struct collection *all = owner;
    for (size_t i = 0; i < piece->faults.count; i++)
        all->items[all->count++] = &piece->faults.items[i];
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a == b ? 0 : a < b ? -1 : 1;
}

static int compare_faults(const void *a, const void *b)
{
    const struct fault *x = *(const struct fault *const *)a;
    const struct fault *y = *(const struct fault *const *)b;
    int orders[] = {text_compare(x->file, y->file),        compare_numbers(x->line, y->line),
                    compare_numbers(x->column, y->column), text_compare(x->where, y->where),
                    text_compare(x->field, y->field),      strcmp(x->code, y->code),
                    text_compare(x->what, y->what)};
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        if (orders[i] != 0)
            return orders[i];
    }
    return 0;
}

const struct fault **outcome_faults(const struct outcome *outcome, struct arena *arena,
                                    size_t *ret_count)
{
    struct collection all = {.arena = arena};
    each_piece(outcome, count_faults, &all);
    const struct fault **faults = arena_array(arena, const struct fault *, all.count);
    all.items = (const void **)faults;
    all.count = 0;
    each_piece(outcome, add_faults, &all);
    if (all.count > 1)
        qsort(faults, all.count, sizeof(*faults), compare_faults);
    *ret_count = all.count;
    return faults;
}

/* "<listener>|<kind>/<namespace>/<name>/<rule>" */
static const struct piece *route_owner(const struct outcome *outcome, struct text name)
{
    struct text rest = text_slice(name, text_find(name, '|', 0) + 1, name.len);
    struct text kind, namespace, route;
    if (!text_split(&rest, '/', &kind) || !text_split(&rest, '/', &namespace) ||
        !text_split(&rest, '/', &route))
        return NULL;
    struct store_key key = {kind_find(TEXT(KIND_GROUP_GATEWAY), kind), namespace, route};
    return key.kind == KIND_NONE ? NULL : outcome_piece(outcome, key);
}

/* "<namespace>/<gateway>/<listener>", or with "<namespace>/<set>" before the last part. */
static const struct piece *listener_owner(const struct outcome *outcome, struct text name)
{
    struct text parts[5];
    size_t count = 0;
    while (count < ARRAY_LEN(parts) && text_split(&name, '/', &parts[count]))
        count++;
    if (count == 3)
        return outcome_piece(outcome, (struct store_key){KIND_GATEWAY, parts[0], parts[1]});
    if (count == 5)
        return outcome_piece(outcome, (struct store_key){KIND_LISTENER_SET, parts[2], parts[3]});
    return NULL;
}

const struct piece *outcome_owner_piece(const struct outcome *outcome, enum resource_type type,
                                        struct text name)
{
    if (type == RESOURCE_ROUTE)
        return route_owner(outcome, name);
    if (type == RESOURCE_LISTENER)
        return listener_owner(outcome, name);
    if (type == RESOURCE_BACKEND || type == RESOURCE_ENDPOINTS) {
        const struct backend_entry *entry = map_get(&outcome->backends, name);
        return entry == NULL ? NULL : entry->piece;
    }
    if (type == RESOURCE_SECRET) {
        const struct secret_entry *entry = map_get(&outcome->secrets, name);
        return entry == NULL ? NULL : entry->piece;
    }
    return NULL;
}

static const struct outcome_resource *find_resource(const struct piece *piece,
                                                    enum resource_type type, struct text name)
{
    for (size_t i = 0; piece != NULL && i < piece->resource_count; i++) {
        if (piece->resources[i].type == type && text_equal(piece->resources[i].name, name))
            return &piece->resources[i];
    }
    return NULL;
}

const struct store_key *outcome_owner(const struct outcome *outcome, enum resource_type type,
                                      struct text name)
{
    const struct piece *piece = outcome_owner_piece(outcome, type, name);
    return find_resource(piece, type, name) == NULL ? NULL : &piece->key;
}

bool outcome_resource_digest(const struct outcome *outcome, enum resource_type type,
                             struct text name, struct digest *ret_digest)
{
    const struct outcome_resource *resource =
        find_resource(outcome_owner_piece(outcome, type, name), type, name);
    if (resource != NULL)
        *ret_digest = resource->digest;
    return resource != NULL;
}

bool outcome_refuse(struct outcome *outcome, enum resource_type type, struct text name,
                    struct text why, const struct digest *digest)
{
    const struct outcome_resource *resource =
        find_resource(outcome_owner_piece(outcome, type, name), type, name);
    if (resource == NULL || (digest != NULL && !digest_equal(*digest, resource->digest)))
        return false;
    struct refusal_entry *entry = memory_new(struct refusal_entry);
    arena_init(&entry->arena, 256);
    entry->key = outcome_refusal_key(&entry->arena, type, name);
    entry->type = type;
    entry->name = arena_text(&entry->arena, name);
    entry->why = arena_text(&entry->arena, why.len > 0 ? why : TEXT("no reason given"));
    entry->digest = resource->digest;
    struct refusal_entry *old = map_put(&outcome->refusals, entry->key, entry);
    if (old != NULL) {
        arena_fini(&old->arena);
        free(old);
    }
    outcome->has_refusals = true;
    return true;
}

bool outcome_forgive(struct outcome *outcome, enum resource_type type)
{
    struct map_entry *entry;
    bool is_any = false;
    for (size_t at = 0; map_next(&outcome->refusals, &at, &entry);) {
        struct refusal_entry *refusal = entry->value;
        if (refusal->type != type || refusal->is_over)
            continue;
        refusal->is_over = is_any = true;
        refusal->is_seen = false;
    }
    outcome->has_refusals |= is_any;
    return is_any;
}

void outcome_set_programmed(struct outcome *outcome, struct text namespace, struct text name,
                            uint64_t revision)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct gateway_entry *entry = outcome_gateway(outcome, piece_path(&arena, namespace, name));
    arena_fini(&arena);
    if (entry == NULL || (entry->is_confirmed && entry->confirmed >= revision))
        return;
    entry->confirmed = revision;
    entry->is_confirmed = true;
    entry->view->is_dirty = true;
}

static struct gateway_entry *find_gateway(const struct outcome *outcome, struct text namespace,
                                          struct text name)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct gateway_entry *entry = outcome_gateway(outcome, piece_path(&arena, namespace, name));
    arena_fini(&arena);
    return entry;
}

struct text outcome_fleet(const struct outcome *outcome, struct text namespace, struct text name)
{
    const struct gateway_entry *entry = find_gateway(outcome, namespace, name);
    return entry == NULL ? TEXT_NONE : entry->view->fleet;
}

bool outcome_serves(const struct outcome *outcome, struct text namespace, struct text name)
{
    const struct gateway_entry *entry = find_gateway(outcome, namespace, name);
    return entry != NULL && gateway_wants_programmed(entry->view);
}

bool outcome_wants_programmed(const struct outcome *outcome, struct text namespace,
                              struct text name)
{
    const struct gateway_entry *entry = find_gateway(outcome, namespace, name);
    return entry != NULL && gateway_wants_programmed(entry->view) &&
           !(entry->is_confirmed && entry->confirmed >= entry->changed);
}

static bool set_words(struct gateway_entry *entry, char **words, struct text why)
{
    if (text_is(why, *words == NULL ? "" : *words))
        return false;
    free(*words);
    *words = why.len == 0 ? NULL : memory_string(why);
    entry->view->is_dirty = true;
    return true;
}

bool outcome_set_refused(struct outcome *outcome, struct text namespace, struct text name,
                         struct text why)
{
    struct gateway_entry *entry = find_gateway(outcome, namespace, name);
    return entry != NULL && set_words(entry, &entry->refused, why);
}

bool outcome_set_taken(struct outcome *outcome, struct text namespace, struct text name,
                       struct text why)
{
    struct gateway_entry *entry = find_gateway(outcome, namespace, name);
    return entry != NULL && set_words(entry, &entry->taken, why);
}

void outcome_set_bundle(struct outcome *outcome, struct text version)
{
    free(outcome->bundle);
    outcome->bundle = version.data == NULL ? NULL : memory_string(version);
    outcome->has_bundle = true;
}
