/* One change from its edits to the next snapshot: stage, compile, check, and only then put in
 * place. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/compile/compile.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "data/compile/part.h"

struct compile *compile_new(const struct compile_options *options)
{
    struct compile *compile = memory_new(struct compile);
    static const struct text EVERYWHERE = {"0.0.0.0", 7};
    const struct text *addresses = options->address_count == 0 ? &EVERYWHERE : options->addresses;
    size_t count = MAX(options->address_count, (size_t)1);
    compile->options = *options;
    compile->addresses = memory_alloc(sizeof(struct address) * count);
    for (size_t i = 0; i < count; i++) {
        if (address_parse(addresses[i], 0, &compile->addresses[compile->address_count]))
            compile->address_count++;
    }
    for (int type = 0; type < RESOURCE_TYPES; type++)
        map_init(&compile->parts[type]);
    compile->backends = backend_table_new();
    compile->tickets = tls_tickets_new(LIMIT_TICKET_KEY_MS);
    return compile;
}

void compile_free(struct compile *compile)
{
    if (compile == NULL)
        return;
    for (int type = 0; type < RESOURCE_TYPES; type++) {
        size_t at = 0;
        struct map_entry *entry;
        while (map_next(&compile->parts[type], &at, &entry))
            part_free(entry->value);
        map_fini(&compile->parts[type]);
        free(compile->slots[type].freed);
    }
    backend_table_unref(compile->backends);
    compile_bindings_free(compile->bindings, compile->binding_count);
    for (size_t i = 0; i < compile->lives.count; i++)
        snapshot_life_unref(compile->lives.items[i].life);
    for (size_t i = 0; i < compile->rules_count; i++)
        tls_context_unref(compile->rules[i].context);
    free(compile->rules);
    tls_tickets_unref(compile->tickets);
    free(compile->lives.items);
    free(compile->addresses);
    free(compile->dns_dirty);
    free(compile);
}

/* ---- stage ---- */

static bool keeps_bytes(enum resource_type type)
{
    return type != RESOURCE_ROUTE;
}

static void stage(struct change *change, const struct compile_edit *edit)
{
    if ((unsigned)edit->type >= RESOURCE_SNAPSHOT || edit->name.len == 0) {
        struct fault fault = {.code = "UnknownType", .where = edit->name};
        faults_add(change->faults, &fault, "resource type %d is none that is compiled",
                   (int)edit->type);
        return;
    }
    struct part *part = part_take(change, edit->type, edit->name);
    part_touch(change, part);
    if (part->edited) {
        struct fault fault = part_fault(change, part, "Duplicate", TEXT_NONE);
        faults_add(change->faults, &fault, "stands in this change twice");
        return;
    }
    part->edited = true;
    part->next_present = !edit->removed;
    if (!edit->removed && keeps_bytes(edit->type)) {
        part->next_bytes = memory_string(edit->bytes);
        part->next_bytes_len = edit->bytes.len;
    }
}

/* ---- what must be compiled again because something it refers to changes ---- */

static bool is_edited(const struct part *part)
{
    return part != NULL && part->edited;
}

static bool listener_is_stale(const struct part *part, bool policies)
{
    const struct part_listener *listener = part->value;
    if (policies)
        return true;
    for (uint32_t i = 0; i < listener->client_ca_count; i++) {
        if (is_edited(listener->client_cas[i]))
            return true;
    }
    for (uint32_t i = 0; i < listener->secret_count; i++) {
        if (is_edited(listener->secrets[i]))
            return true;
    }
    return false;
}

static bool backend_is_stale(const struct part *part)
{
    const struct part_backend *backend = part->value;
    for (uint32_t i = 0; i < backend->ca_count; i++) {
        if (is_edited(backend->cas[i]))
            return true;
    }
    return is_edited(backend->endpoints) || is_edited(backend->client);
}

static bool any_edited(const struct change *change, enum resource_type type, bool used)
{
    for (size_t i = 0; i < change->touched_count; i++) {
        const struct part *part = change->touched[i];
        if (part->type == type && part->edited && (!used || part->users > 0))
            return true;
    }
    return false;
}

static void touch_stale(struct change *change, enum resource_type type, bool policies)
{
    size_t at = 0;
    struct map_entry *entry;
    while (map_next(&change->compile->parts[type], &at, &entry)) {
        struct part *part = entry->value;
        if (!part->present || part->edited)
            continue;
        if (type == RESOURCE_LISTENER ? listener_is_stale(part, policies) : backend_is_stale(part))
            part_touch(change, part);
    }
}

/* Endpoints change often and are one backend's, of the same name: then there is nothing to search.
 */
static bool touch_backend_of(struct change *change, const struct part *endpoints)
{
    struct part *part = part_find(change->compile, RESOURCE_BACKEND, endpoints->name);
    if (part == NULL || !part->present || endpoints->users != 1)
        return endpoints->users == 0;
    if (((const struct part_backend *)part->value)->endpoints != endpoints)
        return false;
    part_touch(change, part);
    return true;
}

static void stage_stale(struct change *change)
{
    bool secrets = any_edited(change, RESOURCE_SECRET, true);
    bool policies = any_edited(change, RESOURCE_POLICY, false);
    if (secrets || policies)
        touch_stale(change, RESOURCE_LISTENER, policies);
    bool search = secrets;
    size_t edited = change->touched_count;
    for (size_t i = 0; i < edited && !search; i++) {
        const struct part *part = change->touched[i];
        if (part->type == RESOURCE_ENDPOINTS && part->edited && !touch_backend_of(change, part))
            search = true;
    }
    if (search)
        touch_stale(change, RESOURCE_BACKEND, false);
    for (size_t i = 0; i < change->compile->dns_count; i++)
        part_touch(change, change->compile->dns_dirty[i]);
}

/* ---- compile, in the order in which they need each other ---- */

static void compile_one(struct change *change, struct part *part, const struct compile_edit *edit)
{
    switch (part->type) {
    case RESOURCE_SECRET:
        compile_secret(change, part);
        break;
    case RESOURCE_ENDPOINTS:
        compile_endpoints(change, part);
        break;
    case RESOURCE_POLICY:
        compile_policy(change, part);
        break;
    case RESOURCE_LISTENER:
        compile_listener(change, part);
        compile_listener_uses(change, part->value, -1);
        compile_listener_uses(change, part->next, 1);
        break;
    case RESOURCE_BACKEND:
        compile_backend(change, part);
        compile_backend_uses(change, part->value, -1);
        compile_backend_uses(change, part->next, 1);
        break;
    case RESOURCE_ROUTE:
        compile_route(change, part, edit->bytes);
        compile_route_uses(change, part->value, -1);
        compile_route_uses(change, part->next, 1);
        break;
    default:
        break;
    }
}

static void remove_one(struct change *change, struct part *part)
{
    if (part->type == RESOURCE_LISTENER)
        compile_listener_uses(change, part->value, -1);
    else if (part->type == RESOURCE_BACKEND)
        compile_backend_uses(change, part->value, -1);
    else if (part->type == RESOURCE_ROUTE)
        compile_route_uses(change, part->value, -1);
}

static void compile_all(struct change *change, const struct compile_edit *edits, size_t count)
{
    static const enum resource_type ORDER[] = {RESOURCE_SECRET,  RESOURCE_ENDPOINTS,
                                               RESOURCE_POLICY,  RESOURCE_LISTENER,
                                               RESOURCE_BACKEND, RESOURCE_ROUTE};
    /* The edits stand first on the list, in their order, then those that are stale. */
    size_t staged = change->touched_count;
    for (size_t o = 0; o < ARRAY_LEN(ORDER); o++) {
        for (size_t i = 0; i < staged; i++) {
            struct part *part = change->touched[i];
            if (part->type != ORDER[o])
                continue;
            change->listeners_changed |= part->type == RESOURCE_LISTENER;
            if (part->next_present)
                compile_one(change, part, i < count ? &edits[i] : NULL);
            else
                remove_one(change, part);
        }
    }
}

static void check_users(struct change *change)
{
    for (size_t i = 0; i < change->touched_count; i++) {
        const struct part *part = change->touched[i];
        int64_t users = (int64_t)part->users + part->users_delta;
        if (part_will_be(part) || users == 0 || !part->present)
            continue; /* what was never there is a fault of who names it */
        struct fault fault = part_fault(change, part, "InUse", TEXT_NONE);
        fault.hint = TEXT("remove what refers to it in the same change");
        faults_add(change->faults, &fault, "is removed, but %lld resources still refer to it",
                   (long long)users);
    }
}

/* ---- the snapshot ---- */

static struct backend_table *next_backends(struct change *change)
{
    struct backend_edit *edits = memory_alloc(sizeof(*edits) * (change->touched_count + 1));
    size_t count = 0;
    for (size_t i = 0; i < change->touched_count; i++) {
        const struct part *part = change->touched[i];
        if (part->type != RESOURCE_BACKEND || part->slot == SLOT_NONE)
            continue;
        const struct part_backend *next = part->next;
        if (next != NULL || !part->next_present)
            edits[count++] = (struct backend_edit){part->slot, next == NULL ? NULL : next->backend};
    }
    struct backend_table *table = change->compile->backends;
    table = count == 0 ? backend_table_ref(table) : backend_table_edit(table, edits, count);
    free(edits);
    return table;
}

/* Slots are freed in the order of the snapshots. */
static void note_gone_routes(const struct compile *compile, struct snapshot *snapshot)
{
    const struct slots *slots = &compile->slots[RESOURCE_ROUTE];
    size_t first = slots->freed_count;
    while (first > slots->freed_first && slots->freed[first - 1].number == compile->number)
        first--;
    snapshot->gone_count = slots->freed_count - first;
    snapshot->gone_routes = arena_array(&snapshot->arena, uint32_t, snapshot->gone_count + 1);
    for (size_t i = 0; i < snapshot->gone_count; i++)
        snapshot->gone_routes[i] = slots->freed[first + i].slot;
}

static struct snapshot *make_snapshot(struct compile *compile, struct text version,
                                      struct digest digest)
{
    struct arena arena;
    arena_init(&arena, sizeof(struct snapshot) + version.len +
                           sizeof(struct binding *) * compile->binding_count + 128);
    struct snapshot *snapshot = arena_new(&arena, struct snapshot);
    atomic_init(&snapshot->refs, 1);
    snapshot->arena = arena;
    snapshot->number = compile->number;
    snapshot->version = arena_text(&snapshot->arena, version);
    snapshot->digest = digest;
    snapshot->bindings =
        arena_array(&snapshot->arena, struct binding *, compile->binding_count + 1);
    snapshot->binding_count = compile->binding_count;
    for (uint32_t i = 0; i < compile->binding_count; i++)
        snapshot->bindings[i] = binding_ref(compile->bindings[i]);
    snapshot->backends = backend_table_ref(compile->backends);
    snapshot->route_slots = compile->slots[RESOURCE_ROUTE].count;
    snapshot->listener_slots = compile->slots[RESOURCE_LISTENER].count;
    snapshot->backend_slots = compile->slots[RESOURCE_BACKEND].count;
    note_gone_routes(compile, snapshot);
    struct snapshot_life *life = snapshot_life_new();
    atomic_fetch_add_explicit(&life->refs, 1, memory_order_relaxed);
    snapshot->life = life;
    part_lives_add(compile, snapshot->number, life);
    return snapshot;
}

static void commit(struct change *change)
{
    struct compile *compile = change->compile;
    compile_tables(change);
    compile_bindings(change);
    struct backend_table *backends = next_backends(change);
    backend_table_unref(compile->backends);
    compile->backends = backends;
    compile_bindings_free(compile->bindings, compile->binding_count);
    compile->bindings = change->bindings;
    compile->binding_count = change->binding_count;
    compile->number++;
    compile->dns_count = 0;
    part_commit(change);
}

/* NOLINTNEXTLINE(readability-function-size): see compile.h */
enum err compile_apply(struct compile *compile, const struct compile_edit *edits, size_t count,
                       struct text version, struct digest digest, struct snapshot **ret_snapshot,
                       struct faults *faults)
{
    struct change change = {.compile = compile, .faults = faults};
    arena_init(&change.scratch, 0);
    size_t before = faults->count + faults->dropped;
    for (size_t i = 0; i < count; i++)
        stage(&change, &edits[i]);
    if (faults->count + faults->dropped == before) {
        stage_stale(&change);
        compile_all(&change, edits, count);
        check_users(&change);
    }
    if (faults->count + faults->dropped == before && change.listeners_changed)
        compile_groups(&change);
    bool good = faults->count + faults->dropped == before;
    if (good) {
        commit(&change);
        *ret_snapshot = make_snapshot(compile, version, digest);
    } else {
        part_abort(&change);
    }
    compile_groups_free(&change);
    compile_rules_sweep(compile);
    free(change.touched);
    arena_fini(&change.scratch);
    return good ? ERR_NONE : ERR_INVALID;
}

/* ---- host names of backends ---- */

void compile_dns_walk(const struct compile *compile, void *owner,
                      void (*on_name)(void *owner, struct text backend, struct text dns_name))
{
    size_t at = 0;
    struct map_entry *entry;
    while (map_next(&compile->parts[RESOURCE_BACKEND], &at, &entry)) {
        const struct part *part = entry->value;
        const struct part_backend *made = part->value;
        if (part->present && made->backend->dns_name.len > 0)
            on_name(owner, part->name, made->backend->dns_name);
    }
}

static void compile_again(struct compile *compile, struct part *part)
{
    compile->dns_dirty = memory_grow(compile->dns_dirty, compile->dns_count, &compile->dns_cap,
                                     sizeof(struct part *));
    compile->dns_dirty[compile->dns_count++] = part;
}

void compile_health_walk(const struct compile *compile, void *owner,
                         void (*on_backend)(void *owner, struct backend *backend))
{
    size_t at = 0;
    struct map_entry *entry;
    while (map_next(&compile->parts[RESOURCE_BACKEND], &at, &entry)) {
        const struct part *part = entry->value;
        const struct part_backend *made = part->value;
        if (part->present && made->backend->health_check != NULL)
            on_backend(owner, made->backend);
    }
}

bool compile_health_set(struct compile *compile, struct text backend, uint64_t endpoint, bool is_up)
{
    struct part *part = part_find(compile, RESOURCE_BACKEND, backend);
    struct part_backend *made = part == NULL ? NULL : part->value;
    size_t at = 0;
    if (made == NULL)
        return false;
    while (at < made->down_count && made->down[at] != endpoint)
        at++;
    if (is_up == (at == made->down_count))
        return false;
    if (is_up) {
        made->down[at] = made->down[--made->down_count];
    } else {
        made->down = memory_resize(made->down, sizeof(uint64_t) * (made->down_count + 1));
        made->down[made->down_count++] = endpoint;
    }
    compile_again(compile, part);
    return true;
}

bool compile_dns_resolved(struct compile *compile, struct text backend,
                          const struct address *addresses, size_t count)
{
    struct part *part = part_find(compile, RESOURCE_BACKEND, backend);
    struct part_backend *made = part == NULL ? NULL : part->value;
    if (made == NULL || made->backend->dns_name.len == 0)
        return false;
    count = MIN(count, (size_t)LIMIT_ENDPOINTS);
    free(made->resolved);
    made->resolved = memory_alloc(sizeof(struct address) * (count + 1));
    if (count > 0)
        memcpy(made->resolved, addresses, sizeof(struct address) * count);
    made->resolved_count = count;
    compile_again(compile, part);
    return true;
}
