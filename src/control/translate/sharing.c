/* Reference counts between pieces. An entry without users stays until the sweep at the end of the
 * run, so that moving a reference from one route to another does not remove and add it again. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "control/translate/outcome_internal.h"
#include "control/translate/view.h"

static struct text own(struct text text)
{
    return text_from(memory_string(text), text.len);
}

static void give_up(struct text text)
{
    free((void *)(uintptr_t)text.data);
}

struct text sharing_path(struct arena *arena, struct store_key key)
{
    if (key.kind == KIND_SERVICE)
        return piece_path(arena, key.namespace, key.name);
    return piece_key(arena, key);
}

const struct service_entry *outcome_service(const struct outcome *outcome, struct text path)
{
    return map_get(&outcome->services, path);
}

static struct service_entry *need_service(struct outcome *outcome, struct text path)
{
    struct service_entry *service = map_get(&outcome->services, path);
    if (service != NULL)
        return service;
    service = memory_new(struct service_entry);
    service->path = own(path);
    map_put(&outcome->services, service->path, service);
    return service;
}

static void drop_service(struct outcome *outcome, struct service_entry *service)
{
    if (service->backends != NULL || service->slices != NULL)
        return;
    map_remove(&outcome->services, service->path);
    give_up(service->path);
    free(service);
}

/* attached routes */

uint32_t outcome_attached_count(const struct outcome *outcome, struct text listener)
{
    const struct attached_entry *entry = map_get(&outcome->attached, listener);
    return entry == NULL ? 0 : entry->count;
}

/* The Gateway of a Listener resource is the first two parts of its name. */
static void touch_gateway(struct outcome *outcome, struct text listener)
{
    size_t slash = text_find(listener, '/', 0);
    slash = text_find(listener, '/', slash + 1);
    struct gateway_entry *gateway = outcome_gateway(outcome, text_slice(listener, 0, slash));
    if (gateway != NULL)
        gateway->view->is_dirty = true;
}

static void attach(struct outcome *outcome, struct text listener)
{
    struct attached_entry *entry = map_get(&outcome->attached, listener);
    if (entry == NULL) {
        entry = memory_new(struct attached_entry);
        entry->resource = own(listener);
        map_put(&outcome->attached, entry->resource, entry);
    }
    entry->count++;
    touch_gateway(outcome, listener);
}

static void detach(struct outcome *outcome, struct text listener)
{
    struct attached_entry *entry = map_get(&outcome->attached, listener);
    CHECK(entry != NULL && entry->count > 0);
    touch_gateway(outcome, listener);
    if (--entry->count > 0)
        return;
    map_remove(&outcome->attached, entry->resource);
    give_up(entry->resource);
    free(entry);
}

/* backends */

static struct store_key own_key(struct store_key key)
{
    return (struct store_key){key.kind, own(key.namespace), own(key.name)};
}

static struct backend_entry *need_backend(struct outcome *outcome, const struct piece_want *want)
{
    struct backend_entry *entry = map_get(&outcome->backends, want->resource);
    if (entry != NULL)
        return entry;
    struct arena arena;
    arena_init(&arena, 0);
    struct service_entry *service = need_service(outcome, sharing_path(&arena, want->object));
    arena_fini(&arena);
    entry = memory_new(struct backend_entry);
    entry->name = own(want->resource);
    entry->service = own_key(want->object);
    entry->port = want->port;
    entry->protocol = want->protocol;
    entry->client = own_key(want->client);
    entry->is_dirty = true;
    entry->next = service->backends;
    service->backends = entry;
    entry->next_new = outcome->new_backends;
    outcome->new_backends = entry;
    map_put(&outcome->backends, entry->name, entry);
    return entry;
}

struct backend_entry *sharing_next_new(struct outcome *outcome)
{
    struct backend_entry *entry = outcome->new_backends;
    if (entry != NULL)
        outcome->new_backends = entry->next_new;
    return entry;
}

static void use(struct outcome *outcome, struct backend_entry *entry, struct text gateway)
{
    for (size_t i = 0; i < entry->use_count; i++) {
        if (text_equal(entry->uses[i].gateway, gateway)) {
            entry->uses[i].count++;
            return;
        }
    }
    entry->uses = memory_grow(entry->uses, entry->use_count, &entry->use_cap, sizeof(*entry->uses));
    entry->uses[entry->use_count++] = (struct backend_use){own(gateway), 1};
    outcome->has_new_uses = true;
}

static void unuse(struct outcome *outcome, struct backend_entry *entry, struct text gateway)
{
    for (size_t i = 0; i < entry->use_count; i++) {
        if (!text_equal(entry->uses[i].gateway, gateway))
            continue;
        if (--entry->uses[i].count > 0)
            return;
        give_up(entry->uses[i].gateway);
        entry->uses[i] = entry->uses[--entry->use_count];
        outcome->has_new_uses = true;
        if (entry->use_count == 0 && !entry->is_unused) {
            entry->is_unused = true;
            entry->next_unused = outcome->unused_backends;
            outcome->unused_backends = entry;
        }
        return;
    }
    CHECK(false);
}

static void free_backend(struct backend_entry *entry)
{
    for (size_t i = 0; i < entry->use_count; i++)
        give_up(entry->uses[i].gateway);
    free(entry->uses);
    give_up(entry->name);
    give_up(entry->service.namespace);
    give_up(entry->service.name);
    give_up(entry->client.namespace);
    give_up(entry->client.name);
    piece_free(entry->piece);
    free(entry);
}

/* Takes an entry out and gives up all of it but its piece. */
static struct piece *drop_backend(struct outcome *outcome, struct backend_entry *entry)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct service_entry *service =
        map_get(&outcome->services, sharing_path(&arena, entry->service));
    arena_fini(&arena);
    struct backend_entry **at = &service->backends;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    drop_service(outcome, service);
    map_remove(&outcome->backends, entry->name);
    struct piece *piece = entry->piece;
    entry->piece = NULL;
    free_backend(entry);
    return piece;
}

/* secrets */

static void need_secret(struct outcome *outcome, const struct piece_want *want)
{
    struct secret_entry *entry = map_get(&outcome->secrets, want->resource);
    if (entry == NULL) {
        entry = memory_new(struct secret_entry);
        entry->name = own(want->resource);
        entry->object = own_key(want->object);
        entry->is_dirty = true;
        map_put(&outcome->secrets, entry->name, entry);
    }
    entry->count++;
}

static void unneed_secret(struct outcome *outcome, const struct piece_want *want)
{
    struct secret_entry *entry = map_get(&outcome->secrets, want->resource);
    CHECK(entry != NULL && entry->count > 0);
    if (--entry->count == 0 && !entry->is_unused) {
        entry->is_unused = true;
        entry->next_unused = outcome->unused_secrets;
        outcome->unused_secrets = entry;
    }
}

static void free_secret(struct secret_entry *entry)
{
    give_up(entry->name);
    give_up(entry->object.namespace);
    give_up(entry->object.name);
    piece_free(entry->piece);
    free(entry);
}

/* what data planes refused, by resource and digest */

struct text outcome_refusal_key(struct arena *arena, enum resource_type type, struct text name)
{
    return arena_printf(arena, "%s " TEXT_FMT, types_name(type), TEXT_ARG(name));
}

struct text outcome_refusal(const struct outcome *outcome, enum resource_type type,
                            struct text name, struct digest digest)
{
    if (outcome->refusals.count == 0)
        return TEXT_NONE;
    struct arena arena;
    arena_init(&arena, 0);
    const struct refusal_entry *entry =
        map_get(&outcome->refusals, outcome_refusal_key(&arena, type, name));
    arena_fini(&arena);
    return entry != NULL && !entry->is_over && digest_equal(entry->digest, digest) ? entry->why
                                                                                   : TEXT_NONE;
}

/* all of it */

void sharing_take(struct outcome *outcome, const struct piece *piece)
{
    if (piece == NULL)
        return;
    for (size_t i = 0; i < piece->attached_count; i++)
        attach(outcome, piece->attached[i]);
    for (size_t i = 0; i < piece->want_count; i++) {
        const struct piece_want *want = &piece->wants[i];
        if (want->type == RESOURCE_BACKEND)
            use(outcome, need_backend(outcome, want), want->gateway);
        else
            need_secret(outcome, want);
    }
}

void sharing_give_back(struct outcome *outcome, const struct piece *piece)
{
    if (piece == NULL)
        return;
    for (size_t i = 0; i < piece->attached_count; i++)
        detach(outcome, piece->attached[i]);
    for (size_t i = 0; i < piece->want_count; i++) {
        const struct piece_want *want = &piece->wants[i];
        if (want->type == RESOURCE_BACKEND)
            unuse(outcome, map_get(&outcome->backends, want->resource), want->gateway);
        else
            unneed_secret(outcome, want);
    }
}

static struct piece *drop_secret(struct outcome *outcome, struct secret_entry *entry)
{
    map_remove(&outcome->secrets, entry->name);
    struct piece *piece = entry->piece;
    entry->piece = NULL;
    free_secret(entry);
    return piece;
}

bool sharing_next_unused(struct outcome *outcome, struct piece **ret_piece)
{
    while (outcome->unused_backends != NULL) {
        struct backend_entry *entry = outcome->unused_backends;
        outcome->unused_backends = entry->next_unused;
        entry->is_unused = false;
        if (entry->use_count > 0)
            continue;
        *ret_piece = drop_backend(outcome, entry);
        return true;
    }
    while (outcome->unused_secrets != NULL) {
        struct secret_entry *entry = outcome->unused_secrets;
        outcome->unused_secrets = entry->next_unused;
        entry->is_unused = false;
        if (entry->count > 0)
            continue;
        *ret_piece = drop_secret(outcome, entry);
        return true;
    }
    return false;
}

/* EndpointSlices */

static struct text leave_service(struct outcome *outcome, struct slice_entry *slice,
                                 struct arena *arena)
{
    struct service_entry *service = slice->service;
    struct text path = arena_text(arena, service->path);
    struct slice_entry **at = &service->slices;
    while (*at != slice)
        at = &(*at)->next;
    *at = slice->next;
    drop_service(outcome, service);
    return path;
}

struct text sharing_place_slice(struct outcome *outcome, struct store_key key, struct text service,
                                struct arena *arena)
{
    struct text path = piece_path(arena, key.namespace, key.name);
    struct slice_entry *slice = map_get(&outcome->slices, path);
    struct text before = TEXT_NONE;
    if (slice != NULL) {
        if (service.len > 0 && text_equal(slice->service->path, service))
            return service;
        before = leave_service(outcome, slice, arena);
    }
    if (service.len == 0) {
        if (slice != NULL) {
            map_remove(&outcome->slices, slice->path);
            give_up(slice->path);
            free(slice);
        }
        return before;
    }
    if (slice == NULL) {
        slice = memory_new(struct slice_entry);
        slice->path = own(path);
        slice->key =
            (struct store_key){KIND_ENDPOINT_SLICE, text_slice(slice->path, 0, key.namespace.len),
                               text_slice(slice->path, key.namespace.len + 1, slice->path.len)};
        map_put(&outcome->slices, slice->path, slice);
    }
    slice->service = need_service(outcome, service);
    slice->next = slice->service->slices;
    slice->service->slices = slice;
    return before;
}

void sharing_free(struct outcome *outcome)
{
    struct map_entry *entry;
    for (size_t at = 0; map_next(&outcome->attached, &at, &entry);) {
        struct attached_entry *attached = entry->value;
        give_up(attached->resource);
        free(attached);
    }
    for (size_t at = 0; map_next(&outcome->backends, &at, &entry);)
        free_backend(entry->value);
    for (size_t at = 0; map_next(&outcome->secrets, &at, &entry);)
        free_secret(entry->value);
    for (size_t at = 0; map_next(&outcome->slices, &at, &entry);) {
        struct slice_entry *slice = entry->value;
        give_up(slice->path);
        free(slice);
    }
    for (size_t at = 0; map_next(&outcome->services, &at, &entry);) {
        struct service_entry *service = entry->value;
        give_up(service->path);
        free(service);
    }
    struct map *maps[] = {&outcome->attached, &outcome->backends, &outcome->services,
                          &outcome->secrets, &outcome->slices};
    for (size_t i = 0; i < ARRAY_LEN(maps); i++)
        map_fini(maps[i]);
}
