/* Maps of strings: labels, annotations, options, and the data of Secrets and ConfigMaps. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/base64.h"
#include "base/json.h"
#include "control/kind/decode.h"
#include "control/kind/secret.h"

#define PAIRS_MAX 4096 /* Kubernetes bounds annotations by 256 KiB together */

static int compare_pairs(const void *a, const void *b)
{
    return text_compare(((const struct kind_pair *)a)->key, ((const struct kind_pair *)b)->key);
}

static int compare_entries(const void *a, const void *b)
{
    return text_compare(((const struct kind_entry *)a)->key, ((const struct kind_entry *)b)->key);
}

void decode_pairs(struct decode *decode, const struct decode_field *field,
                  const struct value *value, struct kind_pairs *out)
{
    size_t count = value->map.count, max = field->max == 0 ? PAIRS_MAX : (size_t)field->max;
    if (count > max)
        decode_add(decode, &(struct decode_fault){.code = "TooMany", .at = value},
                   "has %zu keys, at most %zu are allowed", count, max);
    count = MIN(count, max);
    out->items = arena_array(decode->arena, struct kind_pair, count);
    struct decode_step step = {.up = decode->path};
    decode->path = &step;
    for (size_t i = 0; i < count; i++) {
        const struct value_member *member = &value->map.members[i];
        const struct value key_place = {.line = member->line, .column = member->column};
        step.name = member->key;
        decode_check_format(decode, field->format, &key_place, member->key);
        if (!decode_expect(decode, member->value, VALUE_STRING))
            continue;
        out->items[out->count++] =
            (struct kind_pair){.key = arena_text(decode->arena, member->key),
                               .value = arena_text(decode->arena, member->value->string)};
    }
    decode->path = step.up;
    qsort(out->items, out->count, sizeof(struct kind_pair), compare_pairs);
}

static struct kind_entry one_entry(struct decode *decode, const struct decode_field *field,
                                   const struct value_member *member)
{
    const struct value *value = member->value;
    struct kind_entry entry = {.place = {value->line, value->column},
                               .key = arena_text(decode->arena, member->key)};
    if (value->kind == VALUE_NULL)
        return entry;
    if (!decode_expect(decode, value, VALUE_STRING)) {
        entry.is_invalid = true;
    } else if (field->type == DECODE_ENTRIES) {
        entry.bytes = arena_text(decode->arena, value->string);
    } else if (!base64_decode(value->string, decode->arena, &entry.bytes)) {
        entry.bytes = TEXT_NONE;
        entry.is_invalid = true;
        decode_add(decode,
                   &(struct decode_fault){
                       .code = "BadBase64",
                       .at = value,
                       .hint = "plain text belongs in stringData (Secret) or data (ConfigMap)"},
                   "is not base64");
    }
    return entry;
}

/* Plain text wins over base64 of the same key, whichever is written first. */
static size_t put_entry(struct kind_entry *entries, size_t count, const struct kind_entry *entry,
                        bool replaces)
{
    for (size_t i = 0; i < count; i++) {
        if (!text_equal(entries[i].key, entry->key))
            continue;
        if (replaces)
            entries[i] = *entry;
        return count;
    }
    entries[count] = *entry;
    return count + 1;
}

void decode_entries(struct decode *decode, const struct decode_field *field,
                    const struct value *value, void *base)
{
    struct kind_entry **entries = (void *)((char *)base + field->offset);
    size_t *count = (void *)((char *)base + field->second);
    size_t more = MIN(value->map.count, (size_t)PAIRS_MAX);
    if (value->map.count > PAIRS_MAX)
        decode_add(decode, &(struct decode_fault){.code = "TooMany", .at = value},
                   "has %zu keys, at most %d are allowed", value->map.count, PAIRS_MAX);
    struct kind_entry *all = arena_array(decode->arena, struct kind_entry, *count + more);
    if (*count > 0)
        memcpy(all, *entries, *count * sizeof(struct kind_entry));
    struct decode_step step = {.up = decode->path};
    decode->path = &step;
    for (size_t i = 0; i < more; i++) {
        const struct value_member *member = &value->map.members[i];
        const struct value key_place = {.line = member->line, .column = member->column};
        step.name = member->key;
        decode_check_format(decode, field->format, &key_place, member->key);
        struct kind_entry entry = one_entry(decode, field, member);
        *count = put_entry(all, *count, &entry, field->type == DECODE_ENTRIES);
    }
    decode->path = step.up;
    qsort(all, *count, sizeof(struct kind_entry), compare_entries);
    *entries = all;
}

void decode_json(struct decode *decode, const struct value *value, struct text *out)
{
    struct builder bytes CLEANUP(builder_fini) = {0};
    struct json json;
    json_init(&json, &bytes, 0);
    json_value(&json, NULL, value);
    *out = arena_text(decode->arena, builder_text(&bytes));
}
