/* Sorted, null-free JSON, to be digested. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/canonical.h"

#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"

static int compare(const void *a, const void *b)
{
    const struct value_member *one = a, *other = b;
    return text_compare(one->key, other->key);
}

static void add_text(struct builder *out, struct text text)
{
    builder_add_char(out, '"');
    json_escape(out, text);
    builder_add_char(out, '"');
}

static void add_map(struct builder *out, const struct value *value)
{
    size_t count = 0;
    struct value_member *sorted =
        memory_alloc(sizeof(struct value_member) * (value->map.count + 1));
    for (size_t i = 0; i < value->map.count; i++)
        if (value->map.members[i].value->kind != VALUE_NULL)
            sorted[count++] = value->map.members[i];
    qsort(sorted, count, sizeof(struct value_member), compare);
    builder_add_char(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            builder_add_char(out, ',');
        add_text(out, sorted[i].key);
        builder_add_char(out, ':');
        canonical_add(out, sorted[i].value);
    }
    builder_add_char(out, '}');
    free(sorted);
}

static void add_float(struct builder *out, double number)
{
    if (fabs(number) < 9e15 && floor(number) == number)
        builder_printf(out, "%lld", (long long)number);
    else
        builder_printf(out, "%.17g", number);
}

void canonical_add(struct builder *out, const struct value *value)
{
    switch (value->kind) {
    case VALUE_NULL:
        builder_add_string(out, "null");
        return;
    case VALUE_BOOL:
        builder_add_string(out, value->boolean ? "true" : "false");
        return;
    case VALUE_INT:
        if (value->integer < 0)
            builder_add_char(out, '-');
        builder_add_u64(out, value->integer < 0 ? 0 - (uint64_t)value->integer
                                                : (uint64_t)value->integer);
        return;
    case VALUE_FLOAT:
        add_float(out, value->number);
        return;
    case VALUE_STRING:
        add_text(out, value->string);
        return;
    case VALUE_LIST:
        builder_add_char(out, '[');
        for (size_t i = 0; i < value->list.count; i++) {
            if (i > 0)
                builder_add_char(out, ',');
            canonical_add(out, value->list.items[i]);
        }
        builder_add_char(out, ']');
        return;
    case VALUE_MAP:
        add_map(out, value);
        return;
    }
}

static bool has_one_form(const struct value *a, const struct value *b)
{
    struct builder one CLEANUP(builder_fini) = {0}, other CLEANUP(builder_fini) = {0};
    canonical_add(&one, a);
    canonical_add(&other, b);
    return text_equal(builder_text(&one), builder_text(&other));
}

static bool lists_equal(const struct value *a, const struct value *b)
{
    bool equal = a->list.count == b->list.count;
    for (size_t i = 0; equal && i < a->list.count; i++)
        equal = canonical_equal(a->list.items[i], b->list.items[i]);
    return equal;
}

static size_t count_said(const struct value *map)
{
    size_t count = 0;
    for (size_t i = 0; i < map->map.count; i++)
        count += map->map.members[i].value->kind != VALUE_NULL;
    return count;
}

static const struct value *find(const struct value *map, struct text key)
{
    for (size_t i = 0; i < map->map.count; i++)
        if (text_equal(map->map.members[i].key, key))
            return map->map.members[i].value;
    return NULL;
}

static bool maps_equal(const struct value *a, const struct value *b)
{
    bool equal = count_said(a) == count_said(b);
    for (size_t i = 0; equal && i < a->map.count; i++) {
        const struct value_member *member = &a->map.members[i];
        const struct value *other = find(b, member->key);
        equal = member->value->kind == VALUE_NULL ||
                (other != NULL && canonical_equal(member->value, other));
    }
    return equal;
}

bool canonical_equal(const struct value *a, const struct value *b)
{
    if (a->kind != b->kind)
        return has_one_form(a, b); /* 1 and 1.0 */
    switch (a->kind) {
    case VALUE_STRING:
        return text_equal(a->string, b->string);
    case VALUE_LIST:
        return lists_equal(a, b);
    case VALUE_MAP:
        return maps_equal(a, b);
    default:
        return has_one_form(a, b);
    }
}
