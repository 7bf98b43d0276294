/* Staging: costs follow the change, not the set. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/delta_client_stage.h"

#include "base/limits.h"
#include "schema/unpack.h"

static void forget_touched(struct delta_client_stage *stage)
{
    for (unsigned i = 0; i < RESOURCE_TYPES; i++) {
        struct map_entry *entry;
        for (size_t at = 0; map_next(&stage->touched[i], &at, &entry);)
            resource_unref(entry->value);
        map_fini(&stage->touched[i]);
        map_init(&stage->touched[i]);
    }
}

static void touch(struct delta_client_stage *stage, struct resource *resource)
{
    struct map *touched = &stage->touched[resource->type];
    if (map_get(touched, resource_name(resource)) == NULL)
        map_put(touched, resource_name(resource), resource_ref(resource));
}

void delta_client_stage_init(struct delta_client_stage *stage)
{
    memset(stage, 0, sizeof(*stage));
    resource_set_init(&stage->accepted);
    resource_set_init(&stage->staged);
    for (unsigned i = 0; i < RESOURCE_TYPES; i++)
        map_init(&stage->touched[i]);
}

void delta_client_stage_fini(struct delta_client_stage *stage)
{
    forget_touched(stage);
    resource_edits_fini(&stage->pending);
    resource_set_fini(&stage->accepted);
    resource_set_fini(&stage->staged);
}

void delta_client_stage_restore(struct delta_client_stage *stage, const struct resource_set *set)
{
    forget_touched(stage);
    resource_set_clear(&stage->accepted);
    resource_set_clear(&stage->staged);
    resource_set_copy(&stage->accepted, set);
    resource_set_copy(&stage->staged, set);
    resource_set_remove(&stage->staged, RESOURCE_SNAPSHOT, TEXT(TYPES_SNAPSHOT_NAME));
}

static const char *fault_of(enum resource_type type,
                            const Envoy__Service__Discovery__V3__Resource *resource)
{
    if (!types_name_is_valid(text_of(resource->name)))
        return "a resource has no usable name";
    if (strlen(resource->version) > RESOURCE_VERSION_MAX)
        return "the version of a resource is too long";
    if (resource->resource == NULL)
        return "a resource has no content";
    if (!text_is(text_of(resource->resource->type_url), types_url(type)))
        return "a resource is of another type than its response";
    return NULL;
}

enum err
delta_client_stage_put(struct delta_client_stage *stage, enum resource_type type,
                       const Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *response,
                       const char **ret_why)
{
    uint64_t bytes = stage->staged.bytes;
    for (size_t i = 0; i < response->n_resources; i++) {
        *ret_why = fault_of(type, response->resources[i]);
        if (*ret_why != NULL)
            return ERR_INVALID;
        bytes += response->resources[i]->resource->value.len;
    }
    *ret_why = "more resources than a data plane takes";
    if (resource_set_total(&stage->staged) + response->n_resources > LIMIT_XDS_RESOURCES ||
        bytes > LIMIT_SNAPSHOT_BYTES)
        return ERR_LIMIT;
    for (size_t i = 0; i < response->n_resources; i++) {
        const Envoy__Service__Discovery__V3__Resource *one = response->resources[i];
        struct resource *resource = resource_new(
            type, text_of(one->name), unpack_bytes(&one->resource->value), text_of(one->version));
        touch(stage, resource);
        resource_set_put(&stage->staged, resource);
        resource_unref(resource);
    }
    for (size_t i = 0; i < response->n_removed_resources; i++) {
        struct text name = text_of(response->removed_resources[i]);
        struct resource *old = resource_set_get(&stage->staged, type, name);
        if (old == NULL)
            continue;
        touch(stage, old);
        resource_set_remove(&stage->staged, type, name);
    }
    return ERR_NONE;
}

static void touch_all(struct delta_client_stage *stage, const struct resource_set *set)
{
    for (unsigned i = 0; i < RESOURCE_CONTENT_TYPES; i++) {
        enum resource_type type = types_push_order()[i];
        struct resource *one;
        for (size_t at = 0; (one = resource_set_next(set, type, &at)) != NULL;)
            touch(stage, one);
    }
}

void delta_client_stage_empty(struct delta_client_stage *stage)
{
    touch_all(stage, &stage->accepted);
    touch_all(stage, &stage->staged);
    resource_set_clear(&stage->staged);
}

void delta_client_stage_begin(struct delta_client_stage *stage)
{
    CHECK(!stage->is_pending);
    stage->is_pending = true;
    for (unsigned i = 0; i < RESOURCE_CONTENT_TYPES; i++) {
        enum resource_type type = types_push_order()[i];
        struct map_entry *entry;
        for (size_t at = 0; map_next(&stage->touched[type], &at, &entry);) {
            struct resource *before = resource_set_get(&stage->accepted, type, entry->key);
            struct resource *after = resource_set_get(&stage->staged, type, entry->key);
            if (before == after)
                continue;
            if (before != NULL && after != NULL && digest_equal(before->digest, after->digest))
                resource_set_put(&stage->accepted, after); /* another spelling of its version */
            else
                resource_edits_add(&stage->pending, before, after);
        }
    }
    forget_touched(stage);
}

void delta_client_stage_accept(struct delta_client_stage *stage, struct resource *record)
{
    CHECK(stage->is_pending);
    stage->is_pending = false;
    resource_set_apply(&stage->accepted, &stage->pending);
    resource_set_put(&stage->accepted, record);
    resource_edits_fini(&stage->pending);
}

void delta_client_stage_refuse(struct delta_client_stage *stage)
{
    CHECK(stage->is_pending);
    stage->is_pending = false;
    for (size_t i = 0; i < stage->pending.count; i++)
        touch(stage, resource_edit_either(&stage->pending.items[i]));
    resource_edits_fini(&stage->pending);
}
