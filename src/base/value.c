/* Reading a parsed document, whatever it was parsed from. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/value.h"

struct value *value_get(const struct value *map, const char *key)
{
    if (map == NULL || map->kind != VALUE_MAP)
        return NULL;
    struct text wanted = text_of(key);
    for (size_t i = 0; i < map->map.count; i++)
        if (text_equal(map->map.members[i].key, wanted))
            return map->map.members[i].value;
    return NULL;
}

struct text value_string(const struct value *value)
{
    return value != NULL && value->kind == VALUE_STRING ? value->string : TEXT_NONE;
}

int64_t value_int(const struct value *value, int64_t otherwise)
{
    return value != NULL && value->kind == VALUE_INT ? value->integer : otherwise;
}

bool value_bool(const struct value *value, bool otherwise)
{
    return value != NULL && value->kind == VALUE_BOOL ? value->boolean : otherwise;
}

const char *value_kind_name(enum value_kind kind)
{
    static const char *const names[] = {
        [VALUE_NULL] = "null",    [VALUE_BOOL] = "boolean",  [VALUE_INT] = "integer",
        [VALUE_FLOAT] = "number", [VALUE_STRING] = "string", [VALUE_LIST] = "array",
        [VALUE_MAP] = "object",
    };
    return names[kind];
}
