/* Conditions: set by type, compared as wholes, shown as Kubernetes shows them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/terms/conditions.h"

#include <string.h>

static struct condition *find(const struct conditions *conditions, const char *type)
{
    for (uint32_t i = 0; i < conditions->count; i++) {
        if (strcmp(conditions->items[i].type, type) == 0)
            return &conditions->items[i];
    }
    return NULL;
}

void conditions_set(struct conditions *conditions, struct arena *arena, const char *type,
                    enum condition_state state, const char *reason, struct text message)
{
    struct condition *item = find(conditions, type);
    if (item == NULL) {
        if (conditions->count == conditions->cap) {
            uint32_t cap = conditions->cap == 0 ? 3 : conditions->cap * 2;
            struct condition *items = arena_array(arena, struct condition, cap);
            if (conditions->count > 0)
                memcpy(items, conditions->items, conditions->count * sizeof(*items));
            conditions->items = items;
            conditions->cap = cap;
        }
        item = &conditions->items[conditions->count++];
    }
    *item = (struct condition){.type = type, .reason = reason, .message = message, .state = state};
}

const struct condition *conditions_get(const struct conditions *conditions, const char *type)
{
    return find(conditions, type);
}

bool conditions_are_true(const struct conditions *conditions, const char *type)
{
    const struct condition *item = find(conditions, type);
    return item != NULL && item->state == CONDITION_TRUE;
}

struct conditions conditions_copy(const struct conditions *from, struct arena *arena)
{
    struct conditions copy = {0};
    for (uint32_t i = 0; i < from->count; i++) {
        const struct condition *item = &from->items[i];
        conditions_set(&copy, arena, item->type, item->state, item->reason,
                       arena_text(arena, item->message));
    }
    return copy;
}

bool conditions_equal(const struct conditions *a, const struct conditions *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct condition *x = &a->items[i], *y = &b->items[i];
        if (x->state != y->state || strcmp(x->type, y->type) != 0 ||
            strcmp(x->reason, y->reason) != 0 || !text_equal(x->message, y->message))
            return false;
    }
    return true;
}

static bool refs_equal(const struct status_ref *a, const struct status_ref *b)
{
    return a->port == b->port && text_equal(a->name, b->name) &&
           text_equal(a->namespace, b->namespace) && text_equal(a->section_name, b->section_name) &&
           text_equal(a->kind, b->kind) && text_equal(a->group, b->group);
}

static bool listeners_equal(const struct status_listener *a, const struct status_listener *b)
{
    if (!text_equal(a->name, b->name) || a->attached_routes != b->attached_routes ||
        a->kind_count != b->kind_count)
        return false;
    for (size_t i = 0; i < a->kind_count; i++) {
        if (strcmp(a->kinds[i].kind, b->kinds[i].kind) != 0)
            return false;
    }
    return conditions_equal(&a->conditions, &b->conditions);
}

static bool addresses_equal(const struct object_status *a, const struct object_status *b)
{
    if (a->address_count != b->address_count)
        return false;
    for (size_t i = 0; i < a->address_count; i++) {
        if (strcmp(a->addresses[i].type, b->addresses[i].type) != 0 ||
            !text_equal(a->addresses[i].value, b->addresses[i].value))
            return false;
    }
    return true;
}

bool conditions_status_equal(const struct object_status *a, const struct object_status *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->generation != b->generation || a->feature_count != b->feature_count ||
        a->listener_count != b->listener_count || a->parent_count != b->parent_count ||
        a->attached_listener_sets != b->attached_listener_sets || !addresses_equal(a, b) ||
        !conditions_equal(&a->conditions, &b->conditions))
        return false;
    for (size_t i = 0; i < a->listener_count; i++) {
        if (!listeners_equal(&a->listeners[i], &b->listeners[i]))
            return false;
    }
    for (size_t i = 0; i < a->parent_count; i++) {
        if (!refs_equal(&a->parents[i].ref, &b->parents[i].ref) ||
            !conditions_equal(&a->parents[i].conditions, &b->parents[i].conditions))
            return false;
    }
    return true;
}

static void write_conditions(struct json *json, const struct conditions *conditions,
                             int64_t generation)
{
    static const char *const STATES[] = {"False", "True", "Unknown"};
    json_array_begin(json, "conditions");
    for (uint32_t i = 0; i < conditions->count; i++) {
        const struct condition *item = &conditions->items[i];
        json_object_begin(json, NULL);
        json_string(json, "type", item->type);
        json_string(json, "status", STATES[item->state]);
        json_string(json, "reason", item->reason);
        json_text(json, "message", item->message);
        json_int(json, "observedGeneration", generation);
        json_object_end(json);
    }
    json_array_end(json);
}

static void write_ref(struct json *json, const char *key, const struct status_ref *ref)
{
    json_object_begin(json, key);
    json_text(json, "group", ref->group);
    json_text(json, "kind", ref->kind);
    json_text(json, "namespace", ref->namespace);
    json_text(json, "name", ref->name);
    if (ref->section_name.len > 0)
        json_text(json, "sectionName", ref->section_name);
    if (ref->port != 0)
        json_int(json, "port", ref->port);
    json_object_end(json);
}

static void write_listeners(struct json *json, const struct object_status *status)
{
    json_array_begin(json, "listeners");
    for (size_t i = 0; i < status->listener_count; i++) {
        const struct status_listener *listener = &status->listeners[i];
        json_object_begin(json, NULL);
        json_text(json, "name", listener->name);
        json_array_begin(json, "supportedKinds");
        for (size_t k = 0; k < listener->kind_count; k++) {
            json_object_begin(json, NULL);
            json_string(json, "group", listener->kinds[k].group);
            json_string(json, "kind", listener->kinds[k].kind);
            json_object_end(json);
        }
        json_array_end(json);
        json_int(json, "attachedRoutes", listener->attached_routes);
        write_conditions(json, &listener->conditions, status->generation);
        json_object_end(json);
    }
    json_array_end(json);
}

static void write_parents(struct json *json, const struct object_status *status)
{
    bool is_policy = status_has_ancestors(status->key.kind);
    json_array_begin(json, is_policy ? "ancestors" : "parents");
    for (size_t i = 0; i < status->parent_count; i++) {
        json_object_begin(json, NULL);
        write_ref(json, is_policy ? "ancestorRef" : "parentRef", &status->parents[i].ref);
        json_text(json, "controllerName", status->controller);
        write_conditions(json, &status->parents[i].conditions, status->generation);
        json_object_end(json);
    }
    json_array_end(json);
}

static void write_gateway(struct json *json, const struct object_status *status)
{
    json_array_begin(json, "addresses");
    for (size_t i = 0; i < status->address_count; i++) {
        json_object_begin(json, NULL);
        json_string(json, "type", status->addresses[i].type);
        json_text(json, "value", status->addresses[i].value);
        json_object_end(json);
    }
    json_array_end(json);
    json_int(json, "attachedListenerSets", status->attached_listener_sets);
}

static void write_features(struct json *json, const struct object_status *status)
{
    json_array_begin(json, "supportedFeatures");
    for (size_t i = 0; i < status->feature_count; i++) {
        json_object_begin(json, NULL);
        json_string(json, "name", status->features[i]);
        json_object_end(json);
    }
    json_array_end(json);
}

void conditions_status_json(struct json *json, const struct object_status *status)
{
    enum kind_id kind = status->key.kind;
    json_object_begin(json, NULL);
    json_string(json, "group", kind_group(kind));
    json_string(json, "kind", kind_name(kind));
    if (status->key.namespace.len > 0)
        json_text(json, "namespace", status->key.namespace);
    json_text(json, "name", status->key.name);
    json_object_begin(json, "status");
    if (status->conditions.count > 0)
        write_conditions(json, &status->conditions, status->generation);
    if (kind == KIND_GATEWAY_CLASS)
        write_features(json, status);
    if (kind == KIND_GATEWAY)
        write_gateway(json, status);
    if (kind == KIND_GATEWAY || kind == KIND_LISTENER_SET)
        write_listeners(json, status);
    bool has_parents =
        status_has_ancestors(kind) || (kind >= KIND_HTTP_ROUTE && kind <= KIND_UDP_ROUTE);
    if (has_parents)
        write_parents(json, status);
    json_object_end(json);
    json_object_end(json);
}
