/* metadata: names, labels, annotations, times. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/meta.h"

#include "control/kind/format.h"

static bool number_at(struct text text, size_t at, size_t len, int64_t *ret_number)
{
    uint64_t number;
    if (at + len > text.len || !text_to_u64(text_slice(text, at, at + len), &number))
        return false;
    *ret_number = (int64_t)number;
    return true;
}

/* Days since 1970-01-01 of a proleptic Gregorian date. */
static int64_t days(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Z, or +hh:mm: what stands behind the seconds and their fraction. */
static bool offset_seconds(struct text text, size_t at, int64_t *ret_offset)
{
    int64_t hours, minutes;
    if (at < text.len && text.data[at] == '.')
        for (at++; at < text.len && text.data[at] >= '0' && text.data[at] <= '9';)
            at++;
    if (at + 1 == text.len && (text.data[at] == 'Z' || text.data[at] == 'z')) {
        *ret_offset = 0;
        return true;
    }
    if (at + 6 != text.len || !number_at(text, at + 1, 2, &hours) ||
        !number_at(text, at + 4, 2, &minutes) || text.data[at + 3] != ':')
        return false;
    if (text.data[at] != '+' && text.data[at] != '-')
        return false;
    *ret_offset = (hours * 3600 + minutes * 60) * (text.data[at] == '-' ? -1 : 1);
    return true;
}

int64_t meta_seconds(struct text text)
{
    int64_t year, month, day, hour, minute, second, offset;
    if (text.len < 20 || !number_at(text, 0, 4, &year) || !number_at(text, 5, 2, &month) ||
        !number_at(text, 8, 2, &day) || !number_at(text, 11, 2, &hour) ||
        !number_at(text, 14, 2, &minute) || !number_at(text, 17, 2, &second))
        return 0;
    bool in_form = text.data[4] == '-' && text.data[7] == '-' && text.data[13] == ':' &&
                   text.data[16] == ':' && strchr("Tt ", text.data[10]) != NULL;
    bool in_range = month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 24 &&
                    minute < 60 && second <= 60;
    if (!in_form || !in_range || !offset_seconds(text, 19, &offset))
        return 0;
    return days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
}

static const struct decode_field meta_fields[] = {
    {"name", DECODE_TEXT, .offset = offsetof(struct kind_meta, name)},
    {"namespace", DECODE_TEXT, .offset = offsetof(struct kind_meta, namespace),
     .format = &format_label},
    {"uid", DECODE_TEXT, .offset = offsetof(struct kind_meta, uid)},
    {"resourceVersion", DECODE_TEXT, .offset = offsetof(struct kind_meta, resource_version)},
    {"generation", DECODE_INT64, .offset = offsetof(struct kind_meta, generation)},
    {"labels", DECODE_PAIRS, .offset = offsetof(struct kind_meta, labels),
     .format = &format_label_key},
    {"annotations", DECODE_PAIRS, .offset = offsetof(struct kind_meta, annotations),
     .format = &format_annotation_key},
    {.name = "creationTimestamp"},
    {.name = "deletionTimestamp"},
    {.name = "deletionGracePeriodSeconds"},
    {.name = "finalizers"},
    {.name = "ownerReferences"},
    {.name = "managedFields"},
    {.name = "generateName"},
    {.name = "selfLink"},
};

static bool is_label_value(struct text text)
{
    return text.len == 0 || (text_find(text, '/', 0) == text.len && format_label_key.matches(text));
}

static void check_labels(struct decode *decode, const struct value *labels)
{
    struct decode_step map = {.up = decode->path, .name = TEXT("labels")};
    struct decode_step key = {.up = &map};
    decode->path = &key;
    for (size_t i = 0; i < labels->map.count; i++) {
        const struct value *value = labels->map.members[i].value;
        key.name = labels->map.members[i].key;
        if (value->kind == VALUE_STRING && !is_label_value(value->string))
            decode_add(decode, &(struct decode_fault){.code = "BadFormat", .at = value},
                       "\"" TEXT_FMT "\" must be at most 63 letters, digits, '-', '_' and '.'",
                       TEXT_ARG(text_slice(value->string, 0, 100)));
    }
    decode->path = map.up;
}

static void check_meta(struct decode *decode, void *out, const struct value *map)
{
    struct kind_meta *meta = out;
    const struct value *created = value_get(map, "creationTimestamp");
    const struct value *labels = value_get(map, "labels");
    if (created != NULL && created->kind == VALUE_STRING) {
        meta->created = meta_seconds(created->string);
        if (meta->created == 0)
            decode_add(decode,
                       &(struct decode_fault){
                           .code = "BadFormat", .at = created, .child = "creationTimestamp"},
                       "must be a time like 2026-11-23T03:04:05Z");
    }
    if (labels != NULL && labels->kind == VALUE_MAP)
        check_labels(decode, labels);
}

static const struct decode_shape meta_shape = {
    .size = sizeof(struct kind_meta),
    .fields = meta_fields,
    .count = ARRAY_LEN(meta_fields),
    .check = check_meta,
};

void meta_decode(struct decode *decode, const struct value *metadata,
                 const struct decode_format *name_format, struct kind_meta *out)
{
    struct decode_step step = {.up = decode->path, .name = TEXT("metadata")};
    struct decode_step name_step = {.up = &step, .name = TEXT("name")};
    const struct value *name = value_get(metadata, "name");
    decode->path = &step;
    decode_struct(decode, &meta_shape, metadata, out);
    if (name == NULL || name->kind == VALUE_NULL) {
        decode_add(decode,
                   &(struct decode_fault){.code = "MissingField", .at = metadata, .child = "name"},
                   "name is required");
    } else if (name->kind == VALUE_STRING) {
        decode->path = &name_step;
        decode_check_format(decode, name_format, name, name->string);
        out->place = (struct kind_place){name->line, name->column};
    }
    decode->path = step.up;
}
