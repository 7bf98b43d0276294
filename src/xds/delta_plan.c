/* What a stream lacks: from what it stated, what it subscribed to, and the log of changes. Costs
 * follow the differences once a stream has caught up. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "xds/delta_server_internal.h"
#include "xds/record.h"

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest Request; /* generated, shortened */

static void forget_owed(struct delta_interest *interest)
{
    for (size_t i = 0; i < interest->owed_count; i++)
        free(interest->owed[i]);
    free(interest->owed);
    interest->owed = NULL;
    interest->owed_count = interest->owed_cap = 0;
    interest->everything = false;
}

void delta_interest_fini(struct delta_interest *interest)
{
    struct map_entry *entry;
    for (size_t at = 0; map_next(&interest->names, &at, &entry);)
        free(entry->value);
    map_fini(&interest->names);
    forget_owed(interest);
}

static void owe(struct delta_interest *interest, struct text name)
{
    if (interest->everything && interest->wildcard)
        return;
    interest->owed = memory_grow(interest->owed, interest->owed_count, &interest->owed_cap,
                                 sizeof(*interest->owed));
    interest->owed[interest->owed_count++] = memory_string(name);
}

static bool visible(const struct delta_stream *stream, enum resource_type type, struct text name)
{
    const struct delta_server *server = stream->server;
    return server->events->visible == NULL ||
           server->events->visible(server->owner, stream->node, type, name);
}

static bool covers(const struct delta_stream *stream, enum resource_type type, struct text name)
{
    const struct delta_interest *interest = &stream->types[type];
    if (!interest->wildcard && map_get(&interest->names, name) == NULL)
        return false;
    return visible(stream, type, name);
}

static bool subscribe_name(struct delta_interest *interest, struct text name)
{
    if (map_get(&interest->names, name) != NULL)
        return true;
    if (interest->names.count >= LIMIT_XDS_SUBSCRIBED)
        return false;
    char *copy = memory_string(name);
    map_put(&interest->names, text_from(copy, name.len), copy);
    return true;
}

/* What the client stated decides what it is owed of a wildcard. */
static void compare_all(struct delta_stream *stream, enum resource_type type,
                        const struct map *stated)
{
    struct delta_interest *interest = &stream->types[type];
    const struct resource_set *set = &stream->server->set;
    struct resource *one;
    for (size_t at = 0; (one = resource_set_next(set, type, &at)) != NULL;) {
        const char *version = map_get(stated, resource_name(one));
        if ((version == NULL || !resource_has_version(one, text_of(version))) &&
            covers(stream, type, resource_name(one)))
            owe(interest, resource_name(one));
    }
    struct map_entry *entry;
    for (size_t at = 0; map_next(stated, &at, &entry);) {
        if (resource_set_get(set, type, entry->key) == NULL || !covers(stream, type, entry->key))
            owe(interest, entry->key);
    }
}

static void compare_named(struct delta_stream *stream, enum resource_type type,
                          const struct map *stated)
{
    struct delta_interest *interest = &stream->types[type];
    struct map_entry *entry;
    for (size_t at = 0; map_next(&interest->names, &at, &entry);) {
        struct resource *one = resource_set_get(&stream->server->set, type, entry->key);
        const char *version = map_get(stated, entry->key);
        if (one == NULL || version == NULL || !resource_has_version(one, text_of(version)))
            owe(interest, entry->key);
    }
}

static bool add_names(struct delta_stream *stream, enum resource_type type, const Request *request,
                      bool resend)
{
    struct delta_interest *interest = &stream->types[type];
    for (size_t i = 0; i < request->n_resource_names_subscribe; i++) {
        struct text name = text_of(request->resource_names_subscribe[i]);
        if (text_is(name, "*")) {
            interest->wildcard = true;
            interest->everything |= resend;
            continue;
        }
        if (!subscribe_name(interest, name))
            return false;
        if (resend)
            owe(interest, name);
        if (resend && type == RESOURCE_SNAPSHOT)
            stream->stated[0] = '\0';
    }
    return true;
}

bool delta_plan_first(struct delta_stream *stream, enum resource_type type, const Request *request)
{
    struct delta_interest *interest = &stream->types[type];
    interest->known = true;
    interest->base = stream->server->generation;
    interest->wildcard = request->n_resource_names_subscribe == 0;
    if (!add_names(stream, type, request, false))
        return false;
    struct map stated;
    map_init(&stated);
    for (size_t i = 0; i < request->n_initial_resource_versions; i++) {
        const char *name = request->initial_resource_versions[i]->key;
        char *version = request->initial_resource_versions[i]->value;
        map_put(&stated, text_of(name), version);
    }
    if (type == RESOURCE_SNAPSHOT) {
        const char *version = map_get(&stated, TEXT(TYPES_SNAPSHOT_NAME));
        struct text text = text_slice(text_of(version), 0, RESOURCE_VERSION_MAX);
        memset(stream->stated, 0, sizeof(stream->stated));
        if (text.len > 0)
            memcpy(stream->stated, text.data, text.len);
        stream->stated_itself = text.len > 0;
        owe(interest, TEXT(TYPES_SNAPSHOT_NAME));
    } else if (interest->wildcard && stated.count == 0) {
        interest->everything = true;
    } else if (interest->wildcard) {
        compare_all(stream, type, &stated);
    } else {
        compare_named(stream, type, &stated);
    }
    map_fini(&stated);
    stream->sums_stale = true;
    return true;
}

bool delta_plan_subscribe(struct delta_stream *stream, enum resource_type type,
                          const Request *request)
{
    struct delta_interest *interest = &stream->types[type];
    if (!add_names(stream, type, request, true))
        return false;
    for (size_t i = 0; i < request->n_resource_names_unsubscribe; i++) {
        struct text name = text_of(request->resource_names_unsubscribe[i]);
        if (text_is(name, "*")) {
            interest->wildcard = false;
            interest->everything = false;
            continue;
        }
        free(map_remove(&interest->names, name));
        /* A wildcard may still cover it: the client must hear that it stays. */
        if (interest->wildcard && resource_set_get(&stream->server->set, type, name) != NULL)
            owe(interest, name);
    }
    return true;
}

void delta_plan_turn(struct delta_stream *stream, enum resource_type type, struct text name)
{
    if (stream->types[type].known)
        owe(&stream->types[type], name);
    stream->sums_stale = true;
}

/* -- plans -- */

static void add_item(struct delta_plan *plan, enum resource_type type, struct resource *resource,
                     struct text removed)
{
    plan->items = memory_grow(plan->items, plan->count, &plan->cap, sizeof(*plan->items));
    plan->items[plan->count++] = (struct delta_plan_item){
        .type = type,
        .resource = resource == NULL ? NULL : resource_ref(resource),
        .removed = resource == NULL ? memory_string(removed) : NULL,
    };
}

void delta_plan_clear(struct delta_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        resource_unref(plan->items[i].resource);
        free(plan->items[i].removed);
    }
    free(plan->items);
    delta_commit_unref(plan->commit);
    *plan = (struct delta_plan){0};
}

static int by_text(const void *left, const void *right)
{
    const struct text *a = left, *b = right;
    return text_compare(*a, *b);
}

static void plan_everything(struct delta_stream *stream, enum resource_type type)
{
    struct resource *one;
    for (size_t at = 0; (one = resource_set_next(&stream->server->set, type, &at)) != NULL;) {
        if (covers(stream, type, resource_name(one)))
            add_item(&stream->plan, type, one, TEXT_NONE);
    }
}

/* Names come from what is owed and from the log, some twice; the current set decides what is said.
 */
static void plan_names(struct delta_stream *stream, enum resource_type type, struct text *names,
                       size_t count, bool skip_present)
{
    if (count == 0)
        return;
    qsort(names, count, sizeof(*names), by_text);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && text_equal(names[i], names[i - 1]))
            continue;
        struct resource *one = resource_set_get(&stream->server->set, type, names[i]);
        if (one != NULL && !covers(stream, type, names[i]))
            one = NULL;
        if (one == NULL || !skip_present)
            add_item(&stream->plan, type, one, names[i]);
    }
}

static size_t first_change_after(const struct delta_server *server, uint64_t generation)
{
    size_t low = 0, high = server->changes_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (server->changes[server->changes_first + middle].generation <= generation)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_changed(const struct delta_server *server, size_t from,
                        const Nantian__Config__V1__Fault *fault)
{
    enum resource_type type;
    if (!types_from_full_name(text_of(fault->type), &type))
        return false;
    for (size_t i = from; i < server->changes_count; i++) {
        const struct delta_change *change = &server->changes[server->changes_first + i];
        const struct resource *either = change->after != NULL ? change->after : change->before;
        if (either->type == type && text_equal(resource_name(either), text_of(fault->resource)))
            return true;
    }
    return false;
}

void delta_plan_drop_stale(const struct delta_server *server, uint64_t generation,
                           Nantian__Config__V1__Refusal *refusal)
{
    size_t from = first_change_after(server, generation), kept = 0;
    for (size_t i = 0; i < refusal->n_faults; i++)
        if (!has_changed(server, from, refusal->faults[i]))
            refusal->faults[kept++] = refusal->faults[i];
    refusal->n_faults = kept;
}

static void follow_sums(struct delta_stream *stream, const struct delta_change *change)
{
    const struct resource *either = change->after != NULL ? change->after : change->before;
    if (stream->server->events->visible == NULL || stream->sums_stale ||
        !visible(stream, (enum resource_type)either->type, resource_name(either)))
        return;
    if (change->before != NULL)
        resource_sums_remove(&stream->sums, change->before);
    if (change->after != NULL)
        resource_sums_add(&stream->sums, change->after);
}

static void plan_type(struct delta_stream *stream, enum resource_type type)
{
    struct delta_server *server = stream->server;
    struct delta_interest *interest = &stream->types[type];
    size_t from = first_change_after(server, interest->base);
    size_t count = 0, room = interest->owed_count + server->changes_count - from;
    struct text *names = memory_alloc((room + 1) * sizeof(*names));
    for (size_t i = 0; i < interest->owed_count; i++)
        names[count++] = text_of(interest->owed[i]);
    for (size_t i = from; i < server->changes_count; i++) {
        const struct delta_change *change = &server->changes[server->changes_first + i];
        const struct resource *either = change->after != NULL ? change->after : change->before;
        if (either->type != type)
            continue;
        follow_sums(stream, change);
        if (covers(stream, type, resource_name(either)))
            names[count++] = resource_name(either);
    }
    bool everything = interest->everything && interest->wildcard;
    if (everything)
        plan_everything(stream, type);
    plan_names(stream, type, names, count, everything);
    free(names);
    forget_owed(interest);
    interest->base = server->generation;
}

static void renew_sums(struct delta_stream *stream)
{
    const struct resource_set *set = &stream->server->set;
    stream->sums = (struct resource_sums){0};
    for (unsigned i = 0; i < RESOURCE_CONTENT_TYPES; i++) {
        enum resource_type type = types_push_order()[i];
        struct resource *one;
        for (size_t at = 0; (one = resource_set_next(set, type, &at)) != NULL;) {
            if (visible(stream, type, resource_name(one)))
                resource_sums_add(&stream->sums, one);
        }
    }
    stream->sums_stale = false;
}

/* As it is sent: whole, or what differs from the one that this stream got before. */
static void add_record(struct delta_stream *stream, struct resource *record,
                       const struct resource_sums *sums)
{
    struct resource *sent = resource_ref(record);
    if (stream->takes_changes && stream->offered != NULL) {
        resource_unref(sent);
        sent =
            record_since(record, &(struct record_content){sums, &stream->plan.commit->version},
                         &(struct record_content){&stream->told_sums, &stream->offered->version});
    }
    add_item(&stream->plan, RESOURCE_SNAPSHOT, sent, TEXT_NONE);
    stream->told_sums = *sums;
    resource_unref(sent);
}

static void plan_record(struct delta_stream *stream)
{
    struct delta_server *server = stream->server;
    struct delta_interest *interest = &stream->types[RESOURCE_SNAPSHOT];
    struct text name = TEXT(TYPES_SNAPSHOT_NAME);
    if (interest->everything)
        stream->stated[0] = '\0';
    forget_owed(interest);
    interest->base = server->generation;
    if (!interest->wildcard && map_get(&interest->names, name) == NULL)
        return;
    struct resource *record;
    const struct resource_sums *sums = &stream->sums;
    if (server->events->visible == NULL) {
        sums = &server->set.sums;
        record = resource_ref(resource_set_get(&server->set, RESOURCE_SNAPSHOT, name));
    } else {
        if (stream->sums_stale)
            renew_sums(stream);
        record = record_new(&stream->sums, &server->commit->version);
    }
    bool has_it = resource_has_version(record, text_of(stream->stated));
    if (has_it && stream->stated_itself && stream->plan.count == 0) {
        /* It came back with what is current: nothing is sent, and it runs it already. */
        stream->acked = true;
        delta_node_acked(server, stream->node, &server->commit->version, 0);
    } else if (!has_it || stream->stated_itself) {
        /* One that still had refused resources staged says with the record that they went. */
        char hex[33];
        struct text version = resource_version(record, hex);
        memset(stream->stated, 0, sizeof(stream->stated));
        memcpy(stream->stated, version.data, version.len);
        add_record(stream, record, sums);
    }
    stream->stated_itself = false;
    resource_unref(record);
}

bool delta_plan_make(struct delta_stream *stream)
{
    struct delta_server *server = stream->server;
    CHECK(stream->plan.count == 0 && stream->plan.commit == NULL);
    stream->plan.commit = delta_commit_ref(server->commit);
    for (unsigned i = 0; i < RESOURCE_CONTENT_TYPES; i++) {
        const struct delta_interest *interest = &stream->types[types_push_order()[i]];
        if (interest->known && interest->base < server->changes_since)
            return false;
    }
    for (unsigned i = 0; i < RESOURCE_CONTENT_TYPES; i++) {
        enum resource_type type = types_push_order()[i];
        const struct delta_interest *interest = &stream->types[type];
        if (interest->known && (interest->base < server->generation || interest->everything ||
                                interest->owed_count > 0))
            plan_type(stream, type);
        stream->sums_stale |= !interest->known; /* nobody follows the changes of that type */
    }
    if (stream->types[RESOURCE_SNAPSHOT].known)
        plan_record(stream);
    return true;
}
