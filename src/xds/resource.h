/* One resource as it travels: type, name, bytes, version. Immutable and counted, so that sets,
 * logs, pushes and the state writer's thread share its bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/hash.h"
#include "schema/types.h"

#define RESOURCE_VERSION_MAX 128

struct resource {
    uint32_t refs; /* atomic */
    uint32_t name_len, bytes_len;
    uint16_t version_len; /* 0: the version is the digest */
    uint8_t type;         /* enum resource_type */
    struct digest digest; /* of the bytes */
    struct digest keyed;  /* of name, NUL, bytes: its part of the type's digest */
    char data[];          /* name, NUL, bytes, version */
};

/* Copies. `version` empty: the digest of the bytes, written as 32 hex digits. One owner. */
struct resource *resource_new(enum resource_type type, struct text name, struct text bytes,
                              struct text version);
struct resource *resource_ref(struct resource *resource); /* any thread */
void resource_unref(struct resource *resource);           /* any thread; NULL is fine */

static inline struct text resource_name(const struct resource *resource)
{
    return (struct text){resource->data, resource->name_len};
}
static inline struct text resource_bytes(const struct resource *resource)
{
    return (struct text){resource->data + resource->name_len + 1, resource->bytes_len};
}
/* A view of the resource or of `out`. */
struct text resource_version(const struct resource *resource, char out[33]);
bool resource_has_version(const struct resource *resource, struct text version);
