/* Making, counting and spelling of resources. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/resource.h"

#include <stdlib.h>

#include "base/memory.h"
#include "schema/digest.h"

struct resource *resource_new(enum resource_type type, struct text name, struct text bytes,
                              struct text version)
{
    CHECK(name.len < UINT32_MAX && bytes.len < UINT32_MAX && version.len <= RESOURCE_VERSION_MAX);
    char hex[33];
    struct digest digest = hash_digest(bytes);
    digest_format(digest, hex);
    if (text_is(version, hex))
        version = TEXT_NONE;
    struct resource *resource =
        memory_alloc(sizeof(*resource) + name.len + 1 + bytes.len + version.len);
    resource->refs = 1;
    resource->type = (uint8_t)type;
    resource->name_len = (uint32_t)name.len;
    resource->bytes_len = (uint32_t)bytes.len;
    resource->version_len = (uint16_t)version.len;
    resource->digest = digest;
    memcpy(resource->data, name.data, name.len);
    if (bytes.len > 0)
        memcpy(resource->data + name.len + 1, bytes.data, bytes.len);
    if (version.len > 0)
        memcpy(resource->data + name.len + 1 + bytes.len, version.data, version.len);
    resource->keyed = schema_digest_keyed(text_from(resource->data, name.len + 1 + bytes.len));
    return resource;
}

struct resource *resource_ref(struct resource *resource)
{
    __atomic_add_fetch(&resource->refs, 1, __ATOMIC_RELAXED);
    return resource;
}

void resource_unref(struct resource *resource)
{
    if (resource != NULL && __atomic_sub_fetch(&resource->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(resource);
}

struct text resource_version(const struct resource *resource, char out[33])
{
    if (resource->version_len > 0)
        return (struct text){resource->data + resource->name_len + 1 + resource->bytes_len,
                             resource->version_len};
    digest_format(resource->digest, out);
    return (struct text){out, 32};
}

bool resource_has_version(const struct resource *resource, struct text version)
{
    char hex[33];
    return text_equal(resource_version(resource, hex), version);
}
