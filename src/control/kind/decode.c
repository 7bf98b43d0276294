/* Walks a document by a shape: unknown, missing, repeated and misplaced fields; lists; nesting. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/decode.h"

#define ITEMS_MAX 1024 /* of a list whose API names no bound: more than any of them needs */

static bool is_absent(const struct value *value)
{
    return value == NULL || value->kind == VALUE_NULL;
}

static void *at(void *base, size_t offset)
{
    return (char *)base + offset;
}

static void set_place(void *out, const struct value *value)
{
    if (value != NULL)
        *(struct kind_place *)out = (struct kind_place){value->line, value->column};
}

/* How many items are looked at: those within the bound. */
static size_t items_of(struct decode *decode, const struct decode_field *field,
                       const struct value *value)
{
    size_t count = value->list.count;
    size_t max = field->max == 0 ? ITEMS_MAX : (size_t)field->max;
    if (count > max)
        decode_add(decode, &(struct decode_fault){.code = "TooMany", .at = value},
                   "has %zu items, at most %zu are allowed", count, max);
    if (count < (size_t)field->min)
        decode_add(decode, &(struct decode_fault){.code = "TooFew", .at = value},
                   "has %zu items, at least %lld needed", count, (long long)field->min);
    return MIN(count, max);
}

static bool same_scalar(const struct value *a, const struct value *b)
{
    if (a == NULL || b == NULL || a->kind != b->kind)
        return false;
    if (a->kind == VALUE_INT)
        return a->integer == b->integer;
    return a->kind == VALUE_STRING && text_equal(a->string, b->string);
}

static void check_unique(struct decode *decode, const struct decode_field *field,
                         const struct value *list, size_t index)
{
    const struct value *item = list->list.items[index];
    const struct value *key = field->list_key == NULL ? item : value_get(item, field->list_key);
    for (size_t i = 0; i < index; i++) {
        const struct value *other = list->list.items[i];
        if (field->list_key != NULL)
            other = value_get(other, field->list_key);
        if (!same_scalar(key, other))
            continue;
        struct decode_fault fault = {.code = "Duplicate", .at = key, .child = field->list_key};
        if (key->kind == VALUE_INT)
            decode_add(decode, &fault, "%lld stands in item %zu already", (long long)key->integer,
                       i);
        else
            decode_add(decode, &fault, "\"" TEXT_FMT "\" stands in item %zu already",
                       TEXT_ARG(key->string), i);
        return;
    }
}

static void decode_list(struct decode *decode, const struct decode_field *field,
                        const struct value *value, void *base)
{
    size_t count = items_of(decode, field, value);
    char *items = arena_zalloc(decode->arena, field->shape->size * count);
    *(void **)at(base, field->offset) = items;
    *(size_t *)at(base, field->second) = count;
    struct decode_step step = {.up = decode->path};
    decode->path = &step;
    for (size_t i = 0; i < count; i++) {
        step.index = i;
        if (is_absent(value->list.items[i]))
            decode_expect(decode, value->list.items[i], VALUE_MAP);
        decode_struct(decode, field->shape, value->list.items[i], items + i * field->shape->size);
        if (field->list_key != NULL)
            check_unique(decode, field, value, i);
    }
    decode->path = step.up;
}

static struct text one_text(struct decode *decode, const struct decode_field *field,
                            const struct value *item)
{
    if (field->type == DECODE_NAMES) {
        if (!decode_expect(decode, item, VALUE_MAP))
            return TEXT_NONE;
        item = value_get(item, "name");
    }
    if (!decode_expect(decode, item, VALUE_STRING))
        return TEXT_NONE;
    decode_check_format(decode, field->format, item, item->string);
    return arena_text(decode->arena, item->string);
}

static void decode_texts(struct decode *decode, const struct decode_field *field,
                         const struct value *value, struct kind_texts *out)
{
    size_t count = items_of(decode, field, value);
    out->items = arena_array(decode->arena, struct text, count);
    out->count = count;
    struct decode_step step = {.up = decode->path};
    decode->path = &step;
    for (size_t i = 0; i < count; i++) {
        step.index = i;
        out->items[i] = one_text(decode, field, value->list.items[i]);
        if (field->is_set)
            check_unique(decode, field, value, i);
    }
    decode->path = step.up;
}

static void decode_ints(struct decode *decode, const struct decode_field *field,
                        const struct value *value, void *base)
{
    size_t count = MIN(value->list.count, (size_t)ITEMS_MAX);
    int32_t *items = arena_array(decode->arena, int32_t, count);
    *(int32_t **)at(base, field->offset) = items;
    *(size_t *)at(base, field->second) = count;
    struct decode_field one = {.type = DECODE_INT32, .min = field->min, .max = field->max};
    struct decode_step step = {.up = decode->path};
    decode->path = &step;
    for (size_t i = 0; i < count; i++) {
        step.index = i;
        decode_scalar(decode, &one, value->list.items[i], &items[i]);
        if (field->is_set)
            check_unique(decode, field, value, i);
    }
    decode->path = step.up;
}

static void decode_value(struct decode *decode, const struct decode_field *field,
                         const struct value *value, void *base)
{
    void *out = at(base, field->offset);
    switch (field->type) {
    case DECODE_ANY:
        return;
    case DECODE_STRUCT:
        decode_struct(decode, field->shape, value, out);
        return;
    case DECODE_SAME:
        if (field->second != 0)
            set_place(at(base, field->second), value);
        decode_struct(decode, field->shape, value, base);
        return;
    case DECODE_POINTER: {
        void *one = arena_zalloc(decode->arena, field->shape->size);
        *(void **)out = one;
        decode_struct(decode, field->shape, value, one);
        return;
    }
    case DECODE_LIST:
        if (decode_expect(decode, value, VALUE_LIST))
            decode_list(decode, field, value, base);
        return;
    case DECODE_TEXTS:
    case DECODE_NAMES:
        if (decode_expect(decode, value, VALUE_LIST))
            decode_texts(decode, field, value, out);
        return;
    case DECODE_INTS:
        if (decode_expect(decode, value, VALUE_LIST))
            decode_ints(decode, field, value, base);
        return;
    case DECODE_PAIRS:
        if (decode_expect(decode, value, VALUE_MAP))
            decode_pairs(decode, field, value, out);
        return;
    case DECODE_ENTRIES:
    case DECODE_BASE64:
        if (decode_expect(decode, value, VALUE_MAP))
            decode_entries(decode, field, value, base);
        return;
    case DECODE_JSON:
        if (decode_expect(decode, value, VALUE_MAP))
            decode_json(decode, value, out);
        return;
    default:
        decode_scalar(decode, field, value, base);
    }
}

static const struct decode_field *find_field(const struct decode_shape *shape, struct text name)
{
    for (size_t i = 0; i < shape->count; i++)
        if (text_is(name, shape->fields[i].name))
            return &shape->fields[i];
    return NULL;
}

static void unknown_field(struct decode *decode, const struct decode_shape *shape,
                          const struct value_member *member)
{
    const char *near = decode_nearest(shape, member->key);
    const struct value place = {.line = member->line, .column = member->column};
    decode_add(decode,
               &(struct decode_fault){
                   .code = "UnknownField",
                   .at = &place,
                   .hint = near == NULL ? "remove it, or check its indentation"
                                        : decode_child(decode, "did you mean \"%s\"?", near),
                   .level = decode->mode == KIND_STRICT ? FAULT_ERROR : FAULT_WARNING},
               "there is no such field");
}

static void decode_fields(struct decode *decode, const struct decode_shape *shape,
                          const struct value *map, void *out)
{
    struct decode_step step = {.up = decode->path};
    for (size_t i = 0; i < map->map.count; i++) {
        const struct value_member *member = &map->map.members[i];
        const struct decode_field *field = find_field(shape, member->key);
        step.name = member->key;
        decode->path = &step;
        if (field == NULL)
            unknown_field(decode, shape, member);
        else if (!is_absent(member->value)) {
            if (field->has != 0)
                *(bool *)at(out, field->has) = true;
            decode_value(decode, field, member->value, out);
        }
        decode->path = step.up;
    }
}

void decode_struct(struct decode *decode, const struct decode_shape *shape, const struct value *map,
                   void *out)
{
    decode_defaults(shape, out);
    if (is_absent(map) || !decode_expect(decode, map, VALUE_MAP))
        return;
    if (((struct kind_place *)out)->line == 0) /* DECODE_SAME keeps the outer one */
        set_place(out, map);
    decode_fields(decode, shape, map, out);
    for (size_t i = 0; i < shape->count; i++) {
        const struct decode_field *field = &shape->fields[i];
        if (field->is_required && is_absent(value_get(map, field->name)))
            decode_add(
                decode,
                &(struct decode_fault){.code = "MissingField", .at = map, .child = field->name},
                "%s is required", field->name);
    }
    if (shape->check != NULL)
        shape->check(decode, out, map);
}

void decode_member(struct decode *decode, const struct decode_shape *shape, const struct value *map,
                   const char *name, void *out)
{
    struct decode_step step = {.up = decode->path, .name = text_of(name)};
    decode->path = &step;
    decode_struct(decode, shape, map, out);
    decode->path = step.up;
}
