/* One table of resource types; nothing else knows how a type is spelled. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "schema/types.h"

#include "base/limits.h"
#include "schema/unpack.h"

#define PACKAGE "nantian.config.v1."

static const char *const NAMES[RESOURCE_TYPES] = {
    [RESOURCE_LISTENER] = TYPES_URL_PREFIX PACKAGE "Listener",
    [RESOURCE_ROUTE] = TYPES_URL_PREFIX PACKAGE "Route",
    [RESOURCE_BACKEND] = TYPES_URL_PREFIX PACKAGE "Backend",
    [RESOURCE_ENDPOINTS] = TYPES_URL_PREFIX PACKAGE "Endpoints",
    [RESOURCE_SECRET] = TYPES_URL_PREFIX PACKAGE "Secret",
    [RESOURCE_POLICY] = TYPES_URL_PREFIX PACKAGE "Policy",
    [RESOURCE_SNAPSHOT] = TYPES_URL_PREFIX PACKAGE "Snapshot",
};

static const enum resource_type ORDER[RESOURCE_TYPES] = {
    RESOURCE_SECRET,   RESOURCE_ENDPOINTS, RESOURCE_BACKEND,  RESOURCE_POLICY,
    RESOURCE_LISTENER, RESOURCE_ROUTE,     RESOURCE_SNAPSHOT,
};

const enum resource_type *types_push_order(void)
{
    return ORDER;
}

const char *types_url(enum resource_type type)
{
    CHECK(type < RESOURCE_TYPES);
    return NAMES[type];
}

const char *types_full_name(enum resource_type type)
{
    return types_url(type) + sizeof(TYPES_URL_PREFIX) - 1;
}

const char *types_name(enum resource_type type)
{
    return types_url(type) + sizeof(TYPES_URL_PREFIX PACKAGE) - 1;
}

static bool find(struct text name, const char *(*spell)(enum resource_type),
                 enum resource_type *ret_type)
{
    for (unsigned i = 0; i < RESOURCE_TYPES; i++) {
        if (text_is(name, spell((enum resource_type)i))) {
            *ret_type = (enum resource_type)i;
            return true;
        }
    }
    return false;
}

bool types_from_url(struct text url, enum resource_type *ret_type)
{
    return find(url, types_url, ret_type);
}

bool types_from_full_name(struct text name, enum resource_type *ret_type)
{
    return find(name, types_full_name, ret_type);
}

bool types_from_name(struct text name, enum resource_type *ret_type)
{
    return find(name, types_name, ret_type);
}

bool types_name_is_valid(struct text name)
{
    if (name.len == 0 || name.len > LIMIT_RESOURCE_NAME)
        return false;
    if (name.data[0] == ' ' || name.data[name.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7f)
            return false;
    }
    return unpack_is_utf8(name);
}
