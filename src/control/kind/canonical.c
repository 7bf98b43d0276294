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
