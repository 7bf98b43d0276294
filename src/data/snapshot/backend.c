/* Backends, counted, and the persistent vector of them: setting one copies the index and a chunk.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/snapshot/backend.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/shared_budget.h"
#include "base/shared_counter.h"
#include "base/shared_room.h"
#include "net/tls.h"

/* About the square root of the largest table, so that index and chunk cost alike. */
#define CHUNK 256u

struct chunk {
    _Atomic uint32_t refs;
    struct backend *backends[CHUNK]; /* shares; NULL: empty */
};

struct backend_table {
    _Atomic uint32_t refs;
    uint32_t chunk_count;
    struct chunk *chunks[]; /* shares; NULL: all empty */
};

struct backend *backend_ref(struct backend *backend)
{
    if (backend != NULL)
        atomic_fetch_add_explicit(&backend->refs, 1, memory_order_relaxed);
    return backend;
}

void backend_unref(struct backend *backend)
{
    if (backend == NULL || atomic_fetch_sub_explicit(&backend->refs, 1, memory_order_acq_rel) > 1)
        return;
    tls_context_unref(backend->tls);
    shared_room_unref(backend->room);
    shared_gauge_unref(backend->pending);
    shared_gauge_unref(backend->requests);
    shared_budget_unref(backend->retries);
    struct arena arena = backend->arena; /* the backend stands in it */
    arena_fini(&arena);
}

const struct endpoint *backend_endpoint(const struct backend *backend, uint64_t id)
{
    uint32_t low = 0, high = backend->by_id == NULL ? 0 : backend->endpoint_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct endpoint *endpoint = &backend->endpoints[backend->by_id[middle]];
        if (endpoint->id == id)
            return endpoint;
        if (endpoint->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static struct backend_table *table_new(uint32_t chunk_count)
{
    struct backend_table *table =
        memory_alloc(sizeof(*table) + sizeof(struct chunk *) * chunk_count);
    atomic_init(&table->refs, 1);
    table->chunk_count = chunk_count;
    return table;
}

struct backend_table *backend_table_new(void)
{
    return table_new(0);
}

struct backend_table *backend_table_ref(struct backend_table *table)
{
    atomic_fetch_add_explicit(&table->refs, 1, memory_order_relaxed);
    return table;
}

static struct chunk *chunk_ref(struct chunk *chunk)
{
    if (chunk != NULL)
        atomic_fetch_add_explicit(&chunk->refs, 1, memory_order_relaxed);
    return chunk;
}

static void chunk_unref(struct chunk *chunk)
{
    if (chunk == NULL || atomic_fetch_sub_explicit(&chunk->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (uint32_t i = 0; i < CHUNK; i++)
        backend_unref(chunk->backends[i]);
    free(chunk);
}

void backend_table_unref(struct backend_table *table)
{
    if (table == NULL || atomic_fetch_sub_explicit(&table->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (uint32_t i = 0; i < table->chunk_count; i++)
        chunk_unref(table->chunks[i]);
    free(table);
}

uint32_t backend_table_slots(const struct backend_table *table)
{
    return table->chunk_count * CHUNK;
}

struct backend *backend_table_get(const struct backend_table *table, uint32_t slot)
{
    uint32_t at = slot / CHUNK;
    if (at >= table->chunk_count || table->chunks[at] == NULL)
        return NULL;
    return table->chunks[at]->backends[slot % CHUNK];
}

static struct chunk *chunk_copy(const struct chunk *old)
{
    struct chunk *chunk = memory_new(struct chunk);
    atomic_init(&chunk->refs, 1);
    for (uint32_t i = 0; old != NULL && i < CHUNK; i++)
        chunk->backends[i] = backend_ref(old->backends[i]);
    return chunk;
}

struct backend_table *backend_table_edit(const struct backend_table *table,
                                         const struct backend_edit *edits, size_t count)
{
    uint32_t chunk_count = table->chunk_count;
    for (size_t i = 0; i < count; i++)
        chunk_count = MAX(chunk_count, edits[i].slot / CHUNK + 1);
    struct backend_table *made = table_new(chunk_count);
    for (uint32_t i = 0; i < table->chunk_count; i++)
        made->chunks[i] = chunk_ref(table->chunks[i]);
    for (size_t i = 0; i < count; i++) {
        uint32_t at = edits[i].slot / CHUNK;
        struct chunk *old = at < table->chunk_count ? table->chunks[at] : NULL;
        if (made->chunks[at] == old) { /* not ours yet */
            made->chunks[at] = chunk_copy(old);
            chunk_unref(old);
        }
        struct backend **place = &made->chunks[at]->backends[edits[i].slot % CHUNK];
        struct backend *before = *place;
        *place = backend_ref(edits[i].backend);
        backend_unref(before);
    }
    return made;
}
