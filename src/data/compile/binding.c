/* Which listeners share a socket, whether they can, and the bindings that come of it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/builder.h"
#include "base/memory.h"
#include "data/compile/part.h"

struct compile_group {
    struct address address;
    bool udp;
    struct part **members; /* owns the array; in order of their names */
    size_t count, cap;
    struct map hosts; /* host name -> part */
};

static bool same_socket(const struct address *a, bool a_udp, const struct address *b, bool b_udp)
{
    return a_udp == b_udp && address_equal(a, b);
}

static bool is_tls(enum listener_protocol protocol)
{
    return protocol == LISTENER_HTTPS || protocol == LISTENER_TLS;
}

static struct compile_group *group_of(struct change *change, const struct address *address,
                                      bool udp)
{
    for (size_t i = change->group_count; i-- > 0;) {
        if (same_socket(&change->groups[i].address, change->groups[i].udp, address, udp))
            return &change->groups[i];
    }
    change->groups = memory_grow(change->groups, change->group_count, &change->group_cap,
                                 sizeof(struct compile_group));
    struct compile_group *group = &change->groups[change->group_count++];
    *group = (struct compile_group){.address = *address, .udp = udp};
    map_init(&group->hosts);
    return group;
}

static void conflict(struct change *change, const struct part *part, const struct part *other,
                     const char *field, const char *what)
{
    struct fault fault = part_fault(change, part, "ListenerConflict", text_of(field));
    fault.hint = TEXT("give one of them another port, address or host name");
    faults_add(change->faults, &fault, "%s Listener \"" TEXT_FMT "\" on the same socket", what,
               TEXT_ARG(other->name));
}

/* The first member stands for the rules that all must keep. */
static void join(struct change *change, struct compile_group *group, struct part *part)
{
    const struct listener_config *config = part_listener_next(part)->config;
    if (group->count > 0) {
        const struct part *first = group->members[0];
        const struct listener_config *leader = part_listener_next(first)->config;
        enum listener_protocol theirs = leader->protocol;
        bool both_tls = is_tls(theirs) && is_tls(config->protocol);
        if (theirs != config->protocol && !both_tls)
            conflict(change, part, first, "protocol", "cannot share with");
        else if (config->proxy_protocol != leader->proxy_protocol)
            conflict(change, part, first, "proxy_protocol", "is not the same as that of");
        else if (config->protocol == LISTENER_TCP || config->protocol == LISTENER_UDP)
            conflict(change, part, first, "port", "has no host name to tell it from");
    }
    const struct part *twin = map_get(&group->hosts, config->hostname);
    if (twin != NULL)
        conflict(change, part, twin, "hostname", "is the same as that of");
    map_put(&group->hosts, config->hostname.len == 0 ? TEXT("") : config->hostname, part);
    group->members = memory_grow(group->members, group->count, &group->cap, sizeof(struct part *));
    group->members[group->count++] = part;
}

static struct binding *old_binding(const struct compile *compile, const struct address *address,
                                   bool udp)
{
    for (uint32_t i = 0; i < compile->binding_count; i++) {
        struct binding *binding = compile->bindings[i];
        if (same_socket(&binding->address, binding->protocol == LISTENER_UDP, address, udp))
            return binding;
    }
    return NULL;
}

void compile_groups(struct change *change)
{
    size_t count = 0;
    struct part **listeners =
        (struct part **)map_sorted(&change->compile->parts[RESOURCE_LISTENER], &count);
    for (size_t i = 0; i < count; i++) {
        const struct part_listener *listener = part_listener_next(listeners[i]);
        if (!part_will_be(listeners[i]) || listener == NULL)
            continue;
        bool udp = listener->config->protocol == LISTENER_UDP;
        for (uint32_t a = 0; a < listener->address_count; a++)
            join(change, group_of(change, &listener->addresses[a], udp), listeners[i]);
    }
    free(listeners);
}

void compile_groups_free(struct change *change)
{
    for (size_t i = 0; i < change->group_count; i++) {
        map_fini(&change->groups[i].hosts);
        free(change->groups[i].members);
    }
    free(change->groups);
}

/* ---- route tables ---- */

struct table_edit {
    struct part *listener;
    struct route_edit edit;
};

static int table_edit_compare(const void *left, const void *right)
{
    uintptr_t a = (uintptr_t)((const struct table_edit *)left)->listener;
    uintptr_t b = (uintptr_t)((const struct table_edit *)right)->listener;
    return a < b ? -1 : a > b;
}

static struct part *listener_of(const struct change *change, const struct route *route)
{
    if (route == NULL)
        return NULL;
    struct part *part = part_find(change->compile, RESOURCE_LISTENER, route->listener);
    return part_will_be(part) ? part : NULL;
}

static struct part **copy_parts(struct part *const *parts, uint32_t count)
{
    struct part **copy = memory_alloc(sizeof(struct part *) * MAX(count, 1u));
    if (count > 0)
        memcpy(copy, parts, sizeof(struct part *) * count);
    return copy;
}

static void edit_table(struct change *change, struct part *listener, const struct table_edit *edits,
                       size_t count)
{
    struct route_edit *plain = memory_alloc(sizeof(*plain) * count);
    for (size_t i = 0; i < count; i++)
        plain[i] = edits[i].edit;
    const struct part_listener *old = listener->value;
    struct route_table *empty = old == NULL ? route_table_new() : NULL;
    struct route_table *made =
        route_table_edit(old == NULL ? empty : old->config->routes, plain, count);
    route_table_unref(empty);
    free(plain);
    if (listener->next != NULL) {
        ((struct part_listener *)listener->next)->config->routes = made;
        return;
    }
    CHECK(old != NULL); /* present, and not compiled again */
    part_touch(change, listener);
    struct part_listener *next = memory_new(struct part_listener);
    *next = *old;
    next->config = compile_listener_copy(old->config, made);
    route_table_unref(made);
    next->addresses = memory_alloc(sizeof(struct address) * MAX(old->address_count, 1u));
    memcpy(next->addresses, old->addresses, sizeof(struct address) * old->address_count);
    next->secrets = copy_parts(old->secrets, old->secret_count);
    next->client_cas = copy_parts(old->client_cas, old->client_ca_count);
    listener->next = next;
}

/* A listener that was compiled again keeps its routes. */
static void keep_tables(struct change *change)
{
    for (size_t i = 0; i < change->touched_count; i++) {
        struct part *part = change->touched[i];
        if (part->type != RESOURCE_LISTENER || part->next == NULL)
            continue;
        struct listener_config *config = ((struct part_listener *)part->next)->config;
        const struct part_listener *old = part->value;
        if (config->routes == NULL)
            config->routes = old == NULL ? route_table_new() : route_table_ref(old->config->routes);
    }
}

void compile_tables(struct change *change)
{
    size_t count = 0;
    struct table_edit *edits = memory_alloc(sizeof(*edits) * (change->touched_count * 2 + 1));
    for (size_t i = 0; i < change->touched_count; i++) {
        struct part *part = change->touched[i];
        if (part->type != RESOURCE_ROUTE)
            continue;
        struct part *from = listener_of(change, part->value);
        struct part *to = listener_of(change, part->next);
        if (from != NULL && from != to)
            edits[count++] = (struct table_edit){from, {.remove = part->value}};
        if (to != NULL)
            edits[count++] = (struct table_edit){to, {from == to ? part->value : NULL, part->next}};
    }
    if (count > 1)
        qsort(edits, count, sizeof(*edits), table_edit_compare);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && edits[to].listener == edits[from].listener; to++)
            continue;
        edit_table(change, edits[from].listener, edits + from, to - from);
    }
    free(edits);
    keep_tables(change);
}

/* ---- bindings ---- */

void compile_bindings_free(struct binding **bindings, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        binding_unref(bindings[i]);
    free(bindings);
}

static bool is_same(const struct compile_group *group, const struct binding *old)
{
    if (old == NULL || old->listener_count != group->count)
        return false;
    for (size_t i = 0; i < group->count; i++) {
        const struct listener_config *config = part_listener_next(group->members[i])->config;
        if (old->listeners[i] != config)
            return false;
    }
    return true;
}

/* A handshake begins by the rules of any of them, until the server name is known. */
static struct binding *make_binding(const struct compile_group *group)
{
    bool peeks = false;
    struct tls_context *tls = NULL;
    struct binding_edit *edits = memory_alloc(sizeof(*edits) * group->count);
    enum listener_protocol protocol = LISTENER_UDP;
    for (size_t i = 0; i < group->count; i++) {
        struct listener_config *config = part_listener_next(group->members[i])->config;
        edits[i] = (struct binding_edit){config->hostname, config};
        protocol = MIN(protocol, config->protocol); /* HTTPS before TLS */
        tls = tls == NULL ? config->tls : tls;
        peeks = peeks || config->protocol == LISTENER_TLS;
    }
    struct binding *binding = binding_edit(NULL, edits, group->count);
    binding->address = group->address;
    binding->protocol = protocol;
    binding->peeks = peeks;
    binding->tls = tls == NULL ? NULL : tls_context_ref(tls);
    free(edits);
    return binding;
}

static void rebuild(struct change *change)
{
    change->bindings = memory_alloc(sizeof(*change->bindings) * (change->group_count + 1));
    for (size_t i = 0; i < change->group_count; i++) {
        const struct compile_group *group = &change->groups[i];
        struct binding *old = old_binding(change->compile, &group->address, group->udp);
        change->bindings[change->binding_count++] =
            is_same(group, old) ? binding_ref(old) : make_binding(group);
    }
}

/* Only routes changed: the bindings with their listeners' new forms. */
static void refresh(struct change *change)
{
    const struct compile *compile = change->compile;
    change->binding_count = compile->binding_count;
    change->bindings = memory_alloc(sizeof(*change->bindings) * (compile->binding_count + 1));
    for (uint32_t i = 0; i < compile->binding_count; i++)
        change->bindings[i] = binding_ref(compile->bindings[i]);
    for (size_t t = 0; t < change->touched_count; t++) {
        const struct part *part = change->touched[t];
        if (part->type != RESOURCE_LISTENER || part->next == NULL)
            continue;
        const struct part_listener *listener = part->next;
        struct listener_config *config = listener->config;
        struct binding_edit edit = {config->hostname, config};
        for (uint32_t a = 0; a < listener->address_count; a++) {
            for (uint32_t i = 0; i < change->binding_count; i++) {
                struct binding *old = change->bindings[i];
                if (!same_socket(&old->address, old->protocol == LISTENER_UDP,
                                 &listener->addresses[a], config->protocol == LISTENER_UDP))
                    continue;
                change->bindings[i] = binding_edit(old, &edit, 1);
                binding_unref(old);
            }
        }
    }
}

void compile_bindings(struct change *change)
{
    if (change->listeners_changed)
        rebuild(change);
    else
        refresh(change);
}
