/* A compiled configuration: its parts' lives, and the two questions asked of it for a connection:
 * which binding is this, and which listener has this host name. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/snapshot/snapshot.h"

#include <stdlib.h>

#include "base/memory.h"
#include "data/snapshot/host_table.h"
#include "net/tls.h"

struct listener_config *listener_config_ref(struct listener_config *listener)
{
    if (listener != NULL)
        atomic_fetch_add_explicit(&listener->refs, 1, memory_order_relaxed);
    return listener;
}

void listener_config_unref(struct listener_config *listener)
{
    if (listener == NULL || atomic_fetch_sub_explicit(&listener->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (uint32_t i = 0; i < listener->certificate_count; i++)
        tls_certificate_unref(listener->certificates[i]);
    tls_context_unref(listener->tls);
    route_table_unref(listener->routes);
    struct arena arena = listener->arena; /* the listener stands in it */
    arena_fini(&arena);
}

static void *ref_listener(void *value)
{
    return listener_config_ref(value);
}

static void unref_listener(void *value)
{
    listener_config_unref(value);
}

static struct text listener_key(const void *value)
{
    return ((const struct listener_config *)value)->hostname;
}

static const struct host_ops LISTENER_OPS = {
    .exact = {.ref = ref_listener, .unref = unref_listener, .key = listener_key},
    .wild = {.ref = ref_listener, .unref = unref_listener, .key = listener_key, .key_skip = 1},
};

struct binding *binding_ref(struct binding *binding)
{
    if (binding != NULL)
        atomic_fetch_add_explicit(&binding->refs, 1, memory_order_relaxed);
    return binding;
}

void binding_unref(struct binding *binding)
{
    if (binding == NULL || atomic_fetch_sub_explicit(&binding->refs, 1, memory_order_acq_rel) > 1)
        return;
    tls_context_unref(binding->tls);
    for (uint32_t i = 0; i < binding->listener_count; i++)
        listener_config_unref(binding->listeners[i]);
    host_table_free(binding->by_host, &LISTENER_OPS);
    free(binding->listeners);
    free(binding);
}

static bool is_edited(struct text hostname, const struct binding_edit *edits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(edits[i].hostname, hostname))
            return true;
    }
    return false;
}

struct binding *binding_edit(const struct binding *old, const struct binding_edit *edits,
                             size_t count)
{
    struct binding *made = memory_new(struct binding);
    atomic_init(&made->refs, 1);
    uint32_t before = old == NULL ? 0 : old->listener_count;
    if (old != NULL) {
        made->address = old->address;
        made->protocol = old->protocol;
        made->tls = old->tls == NULL ? NULL : tls_context_ref(old->tls);
        made->peeks = old->peeks;
    }
    made->listeners = memory_alloc(sizeof(struct listener_config *) * (before + count + 1));
    for (uint32_t i = 0; i < before; i++) {
        if (!is_edited(old->listeners[i]->hostname, edits, count))
            made->listeners[made->listener_count++] = listener_config_ref(old->listeners[i]);
    }
    struct host_edit *hosts = memory_alloc(sizeof(*hosts) * (count + 1));
    for (size_t i = 0; i < count; i++) {
        hosts[i] = (struct host_edit){edits[i].hostname, edits[i].listener};
        if (edits[i].listener != NULL)
            made->listeners[made->listener_count++] = listener_config_ref(edits[i].listener);
    }
    made->by_host = host_table_edit(old == NULL ? NULL : old->by_host, &LISTENER_OPS, hosts, count);
    free(hosts);
    return made;
}

struct listener_config *binding_listener(const struct binding *binding, struct text host)
{
    struct host_cursor cursor = {0};
    return host_table_next(binding->by_host, &LISTENER_OPS, host, &cursor);
}

struct snapshot_life *snapshot_life_new(void)
{
    struct snapshot_life *life = memory_new(struct snapshot_life);
    atomic_init(&life->refs, 1);
    return life;
}

void snapshot_life_unref(struct snapshot_life *life)
{
    if (life != NULL && atomic_fetch_sub_explicit(&life->refs, 1, memory_order_acq_rel) == 1)
        free(life);
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    if (snapshot != NULL)
        atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (snapshot == NULL || atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (uint32_t i = 0; i < snapshot->binding_count; i++)
        binding_unref(snapshot->bindings[i]);
    backend_table_unref(snapshot->backends);
    if (snapshot->life != NULL)
        atomic_store_explicit(&snapshot->life->ended, true, memory_order_release);
    snapshot_life_unref(snapshot->life);
    struct arena arena = snapshot->arena; /* the snapshot stands in it */
    arena_fini(&arena);
}

const struct binding *snapshot_binding(const struct snapshot *snapshot,
                                       const struct address *address, bool is_udp)
{
    for (uint32_t i = 0; i < snapshot->binding_count; i++) {
        const struct binding *binding = snapshot->bindings[i];
        if ((binding->protocol == LISTENER_UDP) == is_udp &&
            address_equal(&binding->address, address))
            return snapshot->bindings[i];
    }
    return NULL;
}
