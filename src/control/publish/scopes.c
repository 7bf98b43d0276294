/* A scope a Gateway: how often each Backend, Endpoints, Secret and Policy is referred to by what
 * the Gateway sees. Listeners and Routes are the roots: their names begin with the Gateway's. */
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
    char *gateway;                   /* owns; "namespace/name" */
    size_t roots;                    /* Listeners and Routes */
    struct map uses[RESOURCE_TYPES]; /* name -> struct uses */
};

struct scopes {
    scopes_turned turned;
    void *owner;
    struct map holders[RESOURCE_TYPES]; /* name -> struct holder */
    struct map all;                     /* gateway -> struct scope */
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
    free(scope->gateway);
    free(scope);
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
    scopes->turned(scopes->owner, text_of(scope->gateway), type, name);
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
        scopes->turned(scopes->owner, text_of(scope->gateway), type, name);
        unuse(scopes, scope, map_get(&scopes->holders[type], name));
    }
}

static struct scope *scope_get(struct scopes *scopes, struct text gateway)
{
    struct scope *scope = map_get(&scopes->all, gateway);
    if (scope == NULL) {
        scope = memory_new(struct scope);
        scope->gateway = memory_string(gateway);
        map_put(&scopes->all, text_of(scope->gateway), scope);
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
        struct scope *scope = scope_get(scopes, gateway_of(edit->name));
        exchange(scopes, scope, before, after);
        scope->roots += after != NULL;
        scope->roots -= before != NULL;
        if (scope->roots == 0) {
            map_remove(&scopes->all, text_of(scope->gateway));
            scope_free(scope);
        }
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

bool scopes_sees(const struct scopes *scopes, struct text gateway, enum resource_type type,
                 struct text name)
{
    if (is_root(type))
        return text_equal(gateway_of(name), gateway);
    const struct scope *scope = map_get(&scopes->all, gateway);
    return scope != NULL && map_get(&scope->uses[type], name) != NULL;
}
