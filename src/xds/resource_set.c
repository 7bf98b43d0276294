/* Sets of shared resources on base/map.h; the keys stand in the resources. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/resource_set.h"

#include <stdlib.h>

#include "base/memory.h"
#include "schema/digest.h"

void resource_sums_add(struct resource_sums *sums, const struct resource *resource)
{
    if (resource->type == RESOURCE_SNAPSHOT)
        return;
    sums->count[resource->type]++;
    schema_digest_add(&sums->digest[resource->type], resource->keyed);
}

void resource_sums_remove(struct resource_sums *sums, const struct resource *resource)
{
    if (resource->type == RESOURCE_SNAPSHOT)
        return;
    CHECK(sums->count[resource->type] > 0);
    sums->count[resource->type]--;
    schema_digest_remove(&sums->digest[resource->type], resource->keyed);
}

struct digest resource_sums_digest(const struct resource_sums *sums)
{
    struct schema_type_digest types[RESOURCE_TYPES];
    for (unsigned i = 0; i < RESOURCE_TYPES; i++) {
        types[i].type = text_of(types_full_name((enum resource_type)i));
        types[i].count = sums->count[i];
        types[i].digest = sums->digest[i];
    }
    return schema_digest_snapshot(types, RESOURCE_TYPES);
}

void resource_set_init(struct resource_set *set)
{
    memset(set, 0, sizeof(*set));
    for (unsigned i = 0; i < RESOURCE_TYPES; i++)
        map_init(&set->types[i]);
}

void resource_set_fini(struct resource_set *set)
{
    for (unsigned i = 0; i < RESOURCE_TYPES; i++) {
        struct map_entry *entry;
        for (size_t at = 0; map_next(&set->types[i], &at, &entry);)
            resource_unref(entry->value);
        map_fini(&set->types[i]);
    }
}

void resource_set_clear(struct resource_set *set)
{
    resource_set_fini(set);
    resource_set_init(set);
}

void resource_set_copy(struct resource_set *set, const struct resource_set *from)
{
    for (unsigned i = 0; i < RESOURCE_TYPES; i++) {
        struct map_entry *entry;
        for (size_t at = 0; map_next(&from->types[i], &at, &entry);) {
            struct resource *resource = resource_ref(entry->value);
            struct resource *old = map_put(&set->types[i], entry->key, resource);
            CHECK(old == NULL);
        }
    }
    set->sums = from->sums;
    set->bytes = from->bytes;
}

struct resource *resource_set_get(const struct resource_set *set, enum resource_type type,
                                  struct text name)
{
    return map_get(&set->types[type], name);
}

static void forget(struct resource_set *set, struct resource *resource)
{
    resource_sums_remove(&set->sums, resource);
    set->bytes -= resource->name_len + (uint64_t)resource->bytes_len;
    resource_unref(resource);
}

void resource_set_put(struct resource_set *set, struct resource *resource)
{
    resource_ref(resource);
    struct resource *old = map_put(&set->types[resource->type], resource_name(resource), resource);
    if (old != NULL)
        forget(set, old);
    resource_sums_add(&set->sums, resource);
    set->bytes += resource->name_len + (uint64_t)resource->bytes_len;
}

bool resource_set_remove(struct resource_set *set, enum resource_type type, struct text name)
{
    struct resource *old = map_remove(&set->types[type], name);
    if (old == NULL)
        return false;
    forget(set, old);
    return true;
}

size_t resource_set_total(const struct resource_set *set)
{
    size_t total = 0;
    for (unsigned i = 0; i < RESOURCE_TYPES; i++)
        total += i == RESOURCE_SNAPSHOT ? 0 : set->types[i].count;
    return total;
}

struct resource *resource_set_next(const struct resource_set *set, enum resource_type type,
                                   size_t *at)
{
    struct map_entry *entry;
    return map_next(&set->types[type], at, &entry) ? entry->value : NULL;
}

void resource_edits_add(struct resource_edits *edits, struct resource *before,
                        struct resource *after)
{
    edits->items = memory_grow(edits->items, edits->count, &edits->cap, sizeof(*edits->items));
    edits->items[edits->count++] = (struct resource_edit){
        before == NULL ? NULL : resource_ref(before), after == NULL ? NULL : resource_ref(after)};
}

void resource_edits_fini(struct resource_edits *edits)
{
    for (size_t i = 0; i < edits->count; i++) {
        resource_unref(edits->items[i].before);
        resource_unref(edits->items[i].after);
    }
    free(edits->items);
    *edits = (struct resource_edits){0};
}

void resource_set_diff(const struct resource_set *before, const struct resource_set *after,
                       struct resource_edits *edits)
{
    for (unsigned i = 0; i < RESOURCE_CONTENT_TYPES; i++) {
        enum resource_type type = types_push_order()[i];
        struct resource *one, *other;
        for (size_t at = 0; (one = resource_set_next(before, type, &at)) != NULL;) {
            if (resource_set_get(after, type, resource_name(one)) == NULL)
                resource_edits_add(edits, one, NULL);
        }
        for (size_t at = 0; (one = resource_set_next(after, type, &at)) != NULL;) {
            other = resource_set_get(before, type, resource_name(one));
            if (other == NULL || !digest_equal(one->digest, other->digest))
                resource_edits_add(edits, other, one);
        }
    }
}

void resource_set_apply(struct resource_set *set, const struct resource_edits *edits)
{
    for (size_t i = 0; i < edits->count; i++) {
        const struct resource_edit *edit = &edits->items[i];
        if (edit->after != NULL)
            resource_set_put(set, edit->after);
        else
            resource_set_remove(set, (enum resource_type)edit->before->type,
                                resource_name(edit->before));
    }
}
