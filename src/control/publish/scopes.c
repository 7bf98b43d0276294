/* A scope a Gateway, and one a fleet that Gateways share: how often each Backend, Endpoints, Secret
 * and Policy is referred to by what is seen. Listeners and Routes are the roots: their names begin
 * with the Gateway's. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/publish/scopes.h"

#include <stdlib.h>

#include "base/map.h"
#include "base/memory.h"
#include "nantian/config/v1/backend.pb-c.h"
#include "nantian/config/v1/listener.pb-c.h"
#include "nantian/config/v1/route.pb-c.h"
#include "schema/unpack.h"

struct reference {
    enum resource_type type;
    char *name; /* owns */
};

/* A resource that refers to others. */
struct holder {
    char *name; /* owns */
    struct reference *references;
    size_t count, cap;
};

struct uses {
    uint64_t count;
    char name[];
};

struct scope {
    char *who;                       /* owns; "namespace/name" or "/class" */
    size_t roots;                    /* Listeners and Routes */
    struct map uses[RESOURCE_TYPES]; /* name -> struct uses */
};

/* A Gateway that shares data planes; while it moves, several. */
struct member {
    char *gateway; /* owns */
    char **fleets; /* owns */
    size_t count, cap;
};

struct scopes {
    scopes_turned turned;
    void *owner;
    struct map holders[RESOURCE_TYPES]; /* name -> struct holder */
    struct map all;                     /* who -> struct scope */
    struct map members;                 /* gateway -> struct member */
};

static void holder_free(struct holder *holder)
{
    if (holder == NULL)
        return;
    for (size_t i = 0; i < holder->count; i++)
        free(holder->references[i].name);
    free(holder->references);
    free(holder->name);
    free(holder);
}

static void scope_free(struct scope *scope)
{
    struct map_entry *entry;
    for (unsigned type = 0; type < RESOURCE_TYPES; type++) {
        for (size_t at = 0; map_next(&scope->uses[type], &at, &entry);)
            free(entry->value);
        map_fini(&scope->uses[type]);
    }
    free(scope->who);
    free(scope);
}

static void member_free(struct member *member)
{
    for (size_t i = 0; i < member->count; i++)
        free(member->fleets[i]);
    free(member->fleets);
    free(member->gateway);
    free(member);
}

struct scopes *scopes_new(scopes_turned turned, void *owner)
{
    struct scopes *scopes = memory_new(struct scopes);
    scopes->turned = turned;
    scopes->owner = owner;
    return scopes;
}

void scopes_free(struct scopes *scopes)
{
    if (scopes == NULL)
        return;
    struct map_entry *entry;
    for (unsigned type = 0; type < RESOURCE_TYPES; type++) {
        for (size_t at = 0; map_next(&scopes->holders[type], &at, &entry);)
            holder_free(entry->value);
        map_fini(&scopes->holders[type]);
    }
    for (size_t at = 0; map_next(&scopes->all, &at, &entry);)
        scope_free(entry->value);
    map_fini(&scopes->all);
    for (size_t at = 0; map_next(&scopes->members, &at, &entry);)
        member_free(entry->value);
    map_fini(&scopes->members);
    free(scopes);
}

static bool is_root(enum resource_type type)
{
    return type == RESOURCE_LISTENER || type == RESOURCE_ROUTE;
}

/* "default/web" of "default/web/http|HTTPRoute/default/shop/0". */
static struct text gateway_of(struct text name)
{
    size_t slashes = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '/' && ++slashes == 2)
            return text_slice(name, 0, i);
    }
    return name;
}

/* -- references -- */

static const ProtobufCMessageDescriptor *referring(enum resource_type type)
{
    switch (type) {
    case RESOURCE_LISTENER:
        return &nantian__config__v1__listener__descriptor;
    case RESOURCE_ROUTE:
        return &nantian__config__v1__route__descriptor;
    case RESOURCE_BACKEND:
        return &nantian__config__v1__backend__descriptor;
    default:
        return NULL;
    }
}

/* Fields that name a resource say so at the end of their names: "client_ca_secrets";
 * RESOURCE_TYPES: this one does not. */
static enum resource_type named_by(const ProtobufCFieldDescriptor *field)
{
    if (field->type != PROTOBUF_C_TYPE_STRING)
        return RESOURCE_TYPES;
    struct text name = text_of(field->name);
    if (text_ends_with(name, TEXT("backend")))
        return RESOURCE_BACKEND;
    if (text_ends_with(name, TEXT("endpoints")))
        return RESOURCE_ENDPOINTS;
    if (text_ends_with(name, TEXT("secret")) || text_ends_with(name, TEXT("secrets")))
        return RESOURCE_SECRET;
    return RESOURCE_TYPES;
}

static void add_reference(struct holder *holder, enum resource_type type, const char *name)
{
    if (name == NULL || name[0] == '\0')
        return;
    holder->references =
        memory_grow(holder->references, holder->count, &holder->cap, sizeof(*holder->references));
    holder->references[holder->count++] = (struct reference){type, memory_string(text_of(name))};
}

/* Messages nest as deep as their descriptors do: the configuration's are no trees of themselves. */
static void collect(struct holder *holder, const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        enum resource_type type = named_by(field);
        if (type == RESOURCE_TYPES && field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        const char *base = (const char *)message;
        const void *at = base + field->offset;
        size_t count = 1;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            count = *(const size_t *)(const void *)(base + field->quantifier_offset);
            at = *(const void *const *)at;
        } else if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
                   *(const uint32_t *)(const void *)(base + field->quantifier_offset) !=
                       field->id) {
            continue;
        }
        for (size_t k = 0; k < count; k++) {
            const void *item = ((const void *const *)at)[k];
            if (type != RESOURCE_TYPES)
                add_reference(holder, type, item);
            else if (item != NULL)
                collect(holder, item);
        }
    }
}

static struct holder *holder_new(const struct delta_edit *edit)
{
    struct holder *holder = memory_new(struct holder);
    holder->name = memory_string(edit->name);
    struct arena arena;
    arena_init(&arena, 0);
    void *message;
    if (schema_unpack(referring(edit->type), edit->bytes, &arena, &message) == ERR_NONE)
        collect(holder, message);
    arena_fini(&arena);
    return holder;
}

/* -- scopes -- */

static void use(struct scopes *scopes, struct scope *scope, const struct holder *holder);

static void retain(struct scopes *scopes, struct scope *scope, enum resource_type type,
                   struct text name)
{
    struct uses *uses = map_get(&scope->uses[type], name);
    if (uses != NULL) {
        uses->count++;
        return;
    }
    uses = memory_alloc(sizeof(*uses) + name.len + 1);
    uses->count = 1;
    memcpy(uses->name, name.data, name.len);
    uses->name[name.len] = '\0';
    map_put(&scope->uses[type], text_from(uses->name, name.len), uses);
    scopes->turned(scopes->owner, text_of(scope->who), type, name);
    use(scopes, scope, map_get(&scopes->holders[type], name));
}

/* References go Listener or Route, Backend, Endpoints or Secret: three deep. */
static void use(struct scopes *scopes, struct scope *scope, const struct holder *holder)
{
    for (size_t i = 0; holder != NULL && i < holder->count; i++)
        retain(scopes, scope, holder->references[i].type, text_of(holder->references[i].name));
}

static void unuse(struct scopes *scopes, struct scope *scope, const struct holder *holder)
{
    for (size_t i = 0; holder != NULL && i < holder->count; i++) {
        enum resource_type type = holder->references[i].type;
        struct text name = text_of(holder->references[i].name);
        struct uses *uses = map_get(&scope->uses[type], name);
        if (uses == NULL || --uses->count > 0)
            continue;
        map_remove(&scope->uses[type], name);
        free(uses);
        scopes->turned(scopes->owner, text_of(scope->who), type, name);
        unuse(scopes, scope, map_get(&scopes->holders[type], name));
    }
}

static struct scope *scope_get(struct scopes *scopes, struct text who)
{
    struct scope *scope = map_get(&scopes->all, who);
    if (scope == NULL) {
        scope = memory_new(struct scope);
        scope->who = memory_string(who);
        map_put(&scopes->all, text_of(scope->who), scope);
    }
    return scope;
}

/* The new references are counted before the old ones are given up: what is in both never turns. */
static void exchange(struct scopes *scopes, struct scope *scope, const struct holder *before,
                     const struct holder *after)
{
    use(scopes, scope, after);
    unuse(scopes, scope, before);
}

/* One of the roots of a scope takes the place of another; either may be NULL. */
static void exchange_root(struct scopes *scopes, struct text who, const struct holder *before,
                          const struct holder *after)
{
    struct scope *scope = scope_get(scopes, who);
    exchange(scopes, scope, before, after);
    scope->roots += after != NULL;
    scope->roots -= before != NULL;
    if (scope->roots == 0) {
        map_remove(&scopes->all, text_of(scope->who));
        scope_free(scope);
    }
}

/* NULL: it shares nothing. */
static struct member *member_of(const struct scopes *scopes, struct text gateway)
{
    return map_get(&scopes->members, gateway);
}

static size_t find_fleet(const struct member *member, struct text fleet)
{
    size_t at = 0;
    while (member != NULL && at < member->count && !text_is(fleet, member->fleets[at]))
        at++;
    return at;
}

static void move_roots(struct scopes *scopes, enum resource_type type, struct text gateway,
                       struct text fleet, bool joins)
{
    struct map_entry *entry;
    for (size_t at = 0; map_next(&scopes->holders[type], &at, &entry);) {
        const struct holder *holder = entry->value;
        struct text name = text_of(holder->name);
        if (!text_equal(gateway_of(name), gateway))
            continue;
        scopes->turned(scopes->owner, fleet, type, name);
        exchange_root(scopes, fleet, joins ? NULL : holder, joins ? holder : NULL);
    }
}

/* Rare, so that all roots are looked through, where the Gateway has any. */
static void move(struct scopes *scopes, struct text gateway, struct text fleet, bool joins)
{
    if (map_get(&scopes->all, gateway) == NULL)
        return;
    move_roots(scopes, RESOURCE_LISTENER, gateway, fleet, joins);
    move_roots(scopes, RESOURCE_ROUTE, gateway, fleet, joins);
}

static void join(struct scopes *scopes, struct text gateway, struct text fleet)
{
    struct member *member = member_of(scopes, gateway);
    if (member == NULL) {
        member = memory_new(struct member);
        member->gateway = memory_string(gateway);
        map_put(&scopes->members, text_of(member->gateway), member);
    }
    member->fleets =
        memory_grow(member->fleets, member->count, &member->cap, sizeof(*member->fleets));
    member->fleets[member->count++] = memory_string(fleet);
    move(scopes, gateway, fleet, true);
}

void scopes_move(struct scopes *scopes, struct text gateway, struct text fleet, bool joins)
{
    struct member *member = member_of(scopes, gateway);
    size_t at = find_fleet(member, fleet);
    bool is_in = member != NULL && at < member->count;
    if (is_in == joins)
        return;
    if (joins) {
        join(scopes, gateway, fleet);
        return;
    }
    free(member->fleets[at]);
    member->fleets[at] = member->fleets[--member->count];
    move(scopes, gateway, fleet, false);
    if (member->count == 0) {
        map_remove(&scopes->members, gateway);
        member_free(member);
    }
}

static void take(struct scopes *scopes, const struct delta_edit *edit)
{
    if (referring(edit->type) == NULL)
        return;
    struct holder *after = edit->removed ? NULL : holder_new(edit);
    struct map *holders = &scopes->holders[edit->type];
    struct holder *before = map_remove(holders, edit->name);
    if (after != NULL)
        map_put(holders, text_of(after->name), after);
    struct map_entry *entry;
    if (is_root(edit->type)) {
        struct text gateway = gateway_of(edit->name);
        const struct member *member = member_of(scopes, gateway);
        exchange_root(scopes, gateway, before, after);
        for (size_t i = 0; member != NULL && i < member->count; i++)
            exchange_root(scopes, text_of(member->fleets[i]), before, after);
    } else {
        for (size_t at = 0; map_next(&scopes->all, &at, &entry);) {
            struct scope *scope = entry->value;
            if (map_get(&scope->uses[edit->type], edit->name) != NULL)
                exchange(scopes, scope, before, after);
        }
    }
    holder_free(before);
}

void scopes_take(struct scopes *scopes, const struct delta_edit *edits, size_t count)
{
    for (size_t i = 0; i < count; i++)
        take(scopes, &edits[i]);
}

bool scopes_sees(const struct scopes *scopes, struct text who, enum resource_type type,
                 struct text name)
{
    if (is_root(type)) {
        struct text gateway = gateway_of(name);
        const struct member *member = member_of(scopes, gateway);
        return text_equal(gateway, who) ||
               (member != NULL && find_fleet(member, who) < member->count);
    }
    const struct scope *scope = map_get(&scopes->all, who);
    return scope != NULL && map_get(&scope->uses[type], name) != NULL;
}
