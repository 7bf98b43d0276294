/* Per-worker counters by slot, made when first used. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/observe/metrics.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"

#define MS UINT64_C(1000000)

static const uint64_t DURATION_BOUNDS_NS[METRICS_DURATIONS] = {
    5 * MS,   10 * MS,  25 * MS,   50 * MS,   75 * MS,   100 * MS,  250 * MS,
    500 * MS, 750 * MS, 1000 * MS, 2500 * MS, 5000 * MS, 7500 * MS, 10000 * MS,
};

static const uint64_t SIZE_BOUNDS[METRICS_SIZES] = {
    0, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000,
};

static void duration_add(struct metrics_duration *duration, uint64_t ns)
{
    uint32_t i = 0;
    while (i < METRICS_DURATIONS && ns > DURATION_BOUNDS_NS[i])
        i++;
    metrics_add(&duration->buckets[i], 1);
    metrics_add(&duration->sum_ns, ns);
}

static void size_add(struct metrics_size *size, uint64_t bytes)
{
    uint32_t i = 0;
    while (i < METRICS_SIZES && bytes > SIZE_BOUNDS[i])
        i++;
    metrics_add(&size->buckets[i], 1);
    metrics_add(&size->sum, bytes);
}

static struct text copy(struct text text)
{
    return (struct text){memory_string(text), text.len};
}

static void drop(struct text text)
{
    free((void *)(uintptr_t)text.data);
}

struct metrics *metrics_new(void)
{
    struct metrics *metrics = memory_new(struct metrics);
    metrics->overflow.gateway = copy(TEXT("_overflow"));
    metrics->overflow.listener = copy(TEXT("_overflow"));
    metrics->overflow.label = copy(TEXT("_overflow"));
    return metrics;
}

static void route_fini(struct metrics_route *route)
{
    drop(route->gateway);
    drop(route->listener);
    drop(route->label);
    drop(route->resource);
    for (int i = 0; i < METRICS_METHODS; i++)
        for (int j = 0; j < METRICS_CLASSES; j++)
            free(route->requests[i][j]);
    free(route->rpc);
    struct metrics_backend *backend = route->backends;
    while (backend != NULL) {
        struct metrics_backend *next = backend->next;
        for (int i = 0; i < METRICS_CLASSES; i++) {
            free(backend->tries[i][0]);
            free(backend->tries[i][1]);
        }
        drop(backend->name);
        free(backend);
        backend = next;
    }
}

static void route_free(struct metrics_route *route)
{
    route_fini(route);
    free(route);
}

static void limbo_free(struct metrics_route *limbo)
{
    while (limbo != NULL) {
        struct metrics_route *next = limbo->next_limbo;
        route_free(limbo);
        limbo = next;
    }
}

static void chunks_free(struct metrics *metrics, struct metrics_chunk *_Atomic *chunks)
{
    for (uint32_t i = 0; i < METRICS_CHUNKS; i++) {
        struct metrics_chunk *chunk = chunks[i];
        for (uint32_t j = 0; chunk != NULL && j < METRICS_CHUNK; j++)
            if (chunk->items[j] != NULL && chunk->items[j] != &metrics->overflow &&
                chunk->items[j] != &metrics->gone)
                route_free(chunk->items[j]);
        free(chunk);
    }
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    chunks_free(metrics, metrics->routes);
    chunks_free(metrics, metrics->listeners);
    limbo_free(metrics->limbo);
    limbo_free(metrics->limbo_old);
    route_fini(&metrics->overflow);
    route_fini(&metrics->gone);
    struct metrics_door *door = metrics->doors;
    while (door != NULL) {
        struct metrics_door *next = door->next;
        drop(door->address);
        free(door);
        door = next;
    }
    free(metrics);
}

/* -- entries -- */

struct text metrics_listener_label(const struct listener_config *listener)
{
    struct text resource = listener->resource, gateway = listener->gateway;
    if (text_starts_with(resource, gateway) && resource.len > gateway.len + 1)
        return text_slice(resource, gateway.len + 1, resource.len);
    return listener->name;
}

static struct metrics_route *entry_new(struct metrics *metrics,
                                       const struct listener_config *listener, struct text label,
                                       struct text resource)
{
    if (metrics->entries >= LIMIT_METRIC_ROUTES)
        return &metrics->overflow;
    struct metrics_route *entry = memory_aligned(METRICS_LINE, sizeof(struct metrics_route));
    metrics->entries++;
    entry->gateway = copy(listener->gateway);
    entry->listener = copy(metrics_listener_label(listener));
    entry->label = copy(label);
    entry->resource = copy(resource);
    return entry;
}

static struct metrics_route *_Atomic *place_of(struct metrics_chunk *_Atomic *chunks, uint32_t slot)
{
    CHECK(slot < METRICS_CHUNK * METRICS_CHUNKS);
    struct metrics_chunk *chunk =
        atomic_load_explicit(&chunks[slot / METRICS_CHUNK], memory_order_relaxed);
    if (UNLIKELY(chunk == NULL)) {
        chunk = memory_new(struct metrics_chunk);
        atomic_store_explicit(&chunks[slot / METRICS_CHUNK], chunk, memory_order_release);
    }
    return &chunk->items[slot % METRICS_CHUNK];
}

static void to_limbo(struct metrics *metrics, struct metrics_route *entry)
{
    entry->next_limbo = metrics->limbo;
    metrics->limbo = entry;
    metrics->entries--;
}

static void forget_route(struct metrics *metrics, uint32_t slot)
{
    struct metrics_route *_Atomic *place = place_of(metrics->routes, slot);
    struct metrics_route *entry = atomic_load_explicit(place, memory_order_relaxed);
    atomic_store_explicit(place, &metrics->gone, memory_order_release);
    if (entry != NULL && entry != &metrics->overflow && entry != &metrics->gone)
        to_limbo(metrics, entry);
}

/* What was found out about the entry and its backends is of this object in this snapshot. */
static void entry_is(const struct metrics *metrics, struct metrics_route *entry,
                     const void *identity)
{
    entry->identity = identity;
    entry->snapshot_number = metrics->snapshot_number;
    struct metrics_backend *backend = atomic_load_explicit(&entry->backends, memory_order_relaxed);
    for (; backend != NULL; backend = atomic_load_explicit(&backend->next, memory_order_relaxed))
        backend->identity = NULL;
}

void metrics_adopted(struct metrics *metrics, const struct snapshot *snapshot)
{
    limbo_free(metrics->limbo_old);
    metrics->limbo_old = metrics->limbo;
    metrics->limbo = NULL;
    metrics->snapshot_number = (uint32_t)snapshot->number;
    for (size_t i = 0; i < snapshot->gone_count; i++)
        forget_route(metrics, snapshot->gone_routes[i]);
    entry_is(metrics, &metrics->overflow, NULL);
    entry_is(metrics, &metrics->gone, NULL);
    metrics_add(&metrics->snapshots, 1);
}

/* Finds or makes the entry; one that belonged to another resource goes to limbo. `route`: NULL for
 * the listener's own. `is_old`: for a request of an earlier snapshot, whose route may be gone; its
 * slot has no new owner before the last of them ended. */
static struct metrics_route *entry_make(struct metrics *metrics,
                                        const struct listener_config *listener,
                                        const struct route *route, bool is_old)
{
    struct metrics_route *_Atomic *place = route == NULL
                                               ? place_of(metrics->listeners, listener->slot)
                                               : place_of(metrics->routes, route->slot);
    struct metrics_route *entry = atomic_load_explicit(place, memory_order_relaxed);
    if (UNLIKELY(entry == &metrics->gone)) {
        if (is_old)
            return entry;
        entry = NULL;
    }
    struct text resource = route == NULL ? listener->resource : route->resource;
    if (entry != NULL && !text_equal(entry->resource, resource)) {
        to_limbo(metrics, entry);
        entry = NULL;
    }
    if (entry == NULL) {
        entry = entry_new(metrics, listener, route == NULL ? TEXT("") : route->label, resource);
        atomic_store_explicit(place, entry, memory_order_release);
    }
    if (entry != &metrics->overflow)
        entry_is(metrics, entry, route == NULL ? (const void *)listener : route);
    return entry;
}

/* What stands at a slot; NULL: nothing yet. */
static inline struct metrics_route *entry_at(struct metrics_chunk *_Atomic *chunks, uint32_t slot)
{
    CHECK(slot < METRICS_CHUNK * METRICS_CHUNKS);
    struct metrics_chunk *chunk =
        atomic_load_explicit(&chunks[slot / METRICS_CHUNK], memory_order_relaxed);
    return UNLIKELY(chunk == NULL)
               ? NULL
               : atomic_load_explicit(&chunk->items[slot % METRICS_CHUNK], memory_order_relaxed);
}

static inline bool entry_fits(const struct metrics *metrics, const struct metrics_route *entry,
                              const void *identity)
{
    if (UNLIKELY(entry == NULL))
        return false;
    return LIKELY(entry->identity == identity &&
                  entry->snapshot_number == metrics->snapshot_number) ||
           entry == &metrics->overflow;
}

static inline struct metrics_route *listener_entry(struct metrics *metrics,
                                                   const struct listener_config *listener)
{
    struct metrics_route *entry = entry_at(metrics->listeners, listener->slot);
    return entry_fits(metrics, entry, listener) ? entry
                                                : entry_make(metrics, listener, NULL, false);
}

static inline struct metrics_route *exchange_entry(struct metrics *metrics,
                                                   const struct exchange *x)
{
    if (UNLIKELY(x->listener == NULL))
        return &metrics->overflow;
    if (UNLIKELY(x->hit.route == NULL))
        return listener_entry(metrics, x->listener);
    struct metrics_route *entry = entry_at(metrics->routes, x->hit.route->slot);
    return entry_fits(metrics, entry, x->hit.route)
               ? entry
               : entry_make(metrics, x->listener, x->hit.route,
                            x->snapshot_number != metrics->snapshot_number);
}

static struct metrics_duration *duration_of(struct metrics_duration *_Atomic *place)
{
    struct metrics_duration *duration = atomic_load_explicit(place, memory_order_relaxed);
    if (LIKELY(duration != NULL))
        return duration;
    duration = memory_aligned(METRICS_LINE, sizeof(struct metrics_duration));
    atomic_store_explicit(place, duration, memory_order_release);
    return duration;
}

static struct metrics_backend *backend_of(struct metrics_route *route,
                                          const struct weighted_backend *from)
{
    struct metrics_backend *backend = atomic_load_explicit(&route->backends, memory_order_relaxed);
    for (; backend != NULL; backend = atomic_load_explicit(&backend->next, memory_order_relaxed)) {
        if (backend->slot != from->slot)
            continue;
        if (LIKELY(backend->identity == from))
            return backend;
        if (text_equal(backend->name, from->name)) {
            backend->identity = from;
            return backend;
        }
    }
    backend = memory_aligned(METRICS_LINE, sizeof(struct metrics_backend));
    backend->name = copy(from->name);
    backend->slot = from->slot;
    backend->identity = from;
    atomic_store_explicit(&backend->next, route->backends, memory_order_relaxed);
    atomic_store_explicit(&route->backends, backend, memory_order_release);
    return backend;
}

/* -- doors -- */

struct metrics_door *metrics_door_of(struct metrics *metrics, struct text address)
{
    struct metrics_door *door = metrics->doors;
    for (; door != NULL; door = door->next)
        if (text_equal(door->address, address))
            return door;
    door = memory_new(struct metrics_door);
    door->address = copy(address);
    atomic_store_explicit(&door->next, metrics->doors, memory_order_relaxed);
    atomic_store_explicit(&metrics->doors, door, memory_order_release);
    return door;
}

static void count_reason(struct metrics_reason list[METRICS_REASONS], const char *reason)
{
    for (uint32_t i = 0; i < METRICS_REASONS; i++) {
        const char *known = atomic_load_explicit(&list[i].reason, memory_order_relaxed);
        bool is_last = i == METRICS_REASONS - 1;
        if (known == NULL)
            atomic_store_explicit(&list[i].reason, is_last ? "other" : reason,
                                  memory_order_release);
        if (known == NULL || is_last || strcmp(known, reason) == 0) {
            metrics_add(&list[i].count, 1);
            return;
        }
    }
}

void metrics_door_refused(struct metrics_door *door, const char *reason)
{
    count_reason(door->refused, reason);
}

void metrics_door_handshake(struct metrics_door *door, uint64_t took_ns, const char *reason)
{
    if (reason == NULL)
        duration_add(&door->handshakes, took_ns);
    else
        count_reason(door->failed_handshakes, reason);
}

/* -- what the proxy tells -- */

static uint32_t class_of(int status)
{
    return status < 100 || status > 599 ? 0 : (uint32_t)status / 100;
}

void metrics_request_begin(struct metrics *metrics, const struct listener_config *listener)
{
    metrics_add(&listener_entry(metrics, listener)->active_begun, 1);
}

void metrics_route_known(struct metrics *metrics, const struct route *route)
{
    const struct metrics_route *entry = entry_at(metrics->routes, route->slot);
    __builtin_prefetch(entry);
    if (LIKELY(entry != NULL))
        __builtin_prefetch(&entry->requests[METHOD_GET][2]);
}

static struct metrics_duration *_Atomic *requests_at(struct metrics_route *entry,
                                                     const struct exchange *x, int status)
{
    uint32_t method = (uint32_t)x->request->method;
    return &entry->requests[method < METRICS_METHODS ? method : METHOD_OTHER][class_of(status)];
}

static void rpc_add(struct metrics_route *entry, uint32_t status)
{
    struct metrics_rpc *rpc = atomic_load_explicit(&entry->rpc, memory_order_relaxed);
    if (UNLIKELY(rpc == NULL)) {
        rpc = memory_new(struct metrics_rpc);
        atomic_store_explicit(&entry->rpc, rpc, memory_order_release);
    }
    CHECK(status < METRICS_RPC);
    metrics_add(&rpc->ended[status], 1);
}

void metrics_request_end(struct metrics *metrics, const struct exchange *x, int status,
                         uint64_t now_ns)
{
    struct metrics_route *entry = exchange_entry(metrics, x);
    duration_add(duration_of(requests_at(entry, x, status)), now_ns - x->started_ns);
    size_add(&entry->request_bytes, x->request_bytes);
    size_add(&entry->response_bytes, x->response_bytes);
    if (UNLIKELY(x->flag != FLAG_NONE))
        metrics_add(&entry->flags[x->flag], 1);
    if (UNLIKELY(x->is_rate_checked))
        metrics_add(x->flag == FLAG_RL ? &entry->rate_limited : &entry->rate_allowed, 1);
    if (UNLIKELY(x->rpc_status > 0))
        rpc_add(entry, (uint32_t)x->rpc_status - 1);
    if (x->listener != NULL)
        metrics_add(&listener_entry(metrics, x->listener)->active_ended, 1);
}

void metrics_try_end(struct metrics *metrics, const struct exchange *x, int status, uint64_t now_ns)
{
    if (x->backend == NULL || x->upstream_started_ns == 0)
        return;
    struct metrics_route *entry = exchange_entry(metrics, x);
    /* The end of the request is near: the lines that it will want are fetched beside the others. */
    __builtin_prefetch(&entry->request_bytes);
    __builtin_prefetch(atomic_load_explicit(requests_at(entry, x, status), memory_order_relaxed));
    struct metrics_backend *backend = backend_of(entry, x->backend);
    duration_add(duration_of(&backend->tries[class_of(status)][x->tries > 1]),
                 now_ns - x->upstream_started_ns);
}

void metrics_retry(struct metrics *metrics, const struct exchange *x)
{
    if (x->backend != NULL)
        metrics_add(&backend_of(exchange_entry(metrics, x), x->backend)->retries, 1);
}

void metrics_session_begin(struct metrics *metrics, const struct exchange *x)
{
    metrics_add(&exchange_entry(metrics, x)->sessions_begun, 1);
}

void metrics_session_end(struct metrics *metrics, const struct exchange *x)
{
    struct metrics_route *entry = exchange_entry(metrics, x);
    metrics_add(&entry->sessions_ended, 1);
    metrics_add(&entry->session_received, x->request_bytes);
    metrics_add(&entry->session_sent, x->response_bytes);
    if (x->flag != FLAG_NONE)
        metrics_add(&entry->flags[x->flag], 1);
}
