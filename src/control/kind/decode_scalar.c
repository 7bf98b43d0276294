/* Single values: texts and their formats, numbers and their ranges, enums, durations; defaults. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/builder.h"
#include "control/kind/decode.h"
#include "control/kind/route_policy.h"
#include "control/kind/service.h"

#define INTEGERS_EXACT 9007199254740992.0 /* 2^53: up to here a double is exact */

static void *at(void *base, size_t offset)
{
    return (char *)base + offset;
}

static void set_enum(const struct decode_field *field, void *base, int value, struct text text)
{
    memcpy(at(base, field->offset), &value, sizeof(value));
    if (field->second != 0)
        *(struct text *)at(base, field->second) = text;
}

static bool find_name(const struct decode_name *names, struct text text, int *ret_value)
{
    for (; names->name != NULL; names++) {
        if (!text_is(text, names->name))
            continue;
        *ret_value = names->value;
        return true;
    }
    return false;
}

static void default_field(const struct decode_field *field, void *base)
{
    int value = 0;
    int32_t number = (int32_t)field->number;
    switch (field->type) {
    case DECODE_TEXT:
        if (field->otherwise != NULL)
            *(struct text *)at(base, field->offset) = text_of(field->otherwise);
        return;
    case DECODE_ENUM:
        if (field->otherwise != NULL && find_name(field->names, text_of(field->otherwise), &value))
            set_enum(field, base, value, text_of(field->otherwise));
        return;
    case DECODE_INT32:
        if (number != 0)
            memcpy(at(base, field->offset), &number, sizeof(number));
        return;
    case DECODE_INT64:
        if (field->number != 0)
            memcpy(at(base, field->offset), &field->number, sizeof(field->number));
        return;
    case DECODE_STRUCT:
        decode_defaults(field->shape, at(base, field->offset));
        return;
    case DECODE_SAME:
        decode_defaults(field->shape, base);
        return;
    default:
        return;
    }
}

void decode_defaults(const struct decode_shape *shape, void *out)
{
    if (shape->init != NULL)
        shape->init(out);
    for (size_t i = 0; i < shape->count; i++)
        default_field(&shape->fields[i], out);
}

/* What a user means who quotes a number, or forgets that `yes` and 1.10 are no strings. */
static const char *type_hint(const struct value *value, enum value_kind wanted)
{
    if (value == NULL)
        return NULL;
    bool is_scalar =
        value->kind == VALUE_BOOL || value->kind == VALUE_INT || value->kind == VALUE_FLOAT;
    if (wanted == VALUE_STRING && is_scalar)
        return "put it in quotes";
    if ((wanted == VALUE_INT || wanted == VALUE_BOOL) && value->kind == VALUE_STRING)
        return "write it without quotes";
    if (wanted == VALUE_LIST)
        return "write each item on a line that starts with \"- \"";
    return NULL;
}

bool decode_expect(struct decode *decode, const struct value *value, enum value_kind kind)
{
    if (value != NULL && value->kind == kind)
        return true;
    decode_add(
        decode,
        &(struct decode_fault){.code = "WrongType", .at = value, .hint = type_hint(value, kind)},
        "must be %s %s, not %s", strchr("aio", value_kind_name(kind)[0]) ? "an" : "a",
        value_kind_name(kind), value_kind_name(value == NULL ? VALUE_NULL : value->kind));
    return false;
}

static size_t characters(struct text text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

void decode_check_format(struct decode *decode, const struct decode_format *format,
                         const struct value *where, struct text text)
{
    if (format == NULL)
        return;
    size_t len = characters(text);
    if (len == 0 && format->min == 0)
        return;
    if (len < format->min)
        decode_add(decode, &(struct decode_fault){.code = "TooShort", .at = where},
                   "must not be empty");
    else if (format->max != 0 && len > format->max)
        decode_add(decode, &(struct decode_fault){.code = "TooLong", .at = where},
                   "has %zu characters, at most %u are allowed", len, format->max);
    else if (format->matches != NULL && !format->matches(text)) {
        bool is_served =
            decode->mode == KIND_LENIENT && format->serves != NULL && format->serves(text);
        decode_add(decode,
                   &(struct decode_fault){.code = "BadFormat",
                                          .at = where,
                                          .level = is_served ? FAULT_WARNING : FAULT_ERROR},
                   "\"" TEXT_FMT "\" must be %s", TEXT_ARG(text_slice(text, 0, 100)), format->what);
    }
}

static void decode_text(struct decode *decode, const struct decode_field *field,
                        const struct value *value, void *base)
{
    if (!decode_expect(decode, value, VALUE_STRING))
        return;
    decode_check_format(decode, field->format, value, value->string);
    *(struct text *)at(base, field->offset) = arena_text(decode->arena, value->string);
}

static void decode_enum(struct decode *decode, const struct decode_field *field,
                        const struct value *value, void *base)
{
    if (!decode_expect(decode, value, VALUE_STRING))
        return;
    int number = 0; /* ..._UNKNOWN of every enum */
    bool is_known = find_name(field->names, value->string, &number);
    if (is_known) { /* the raw text is one of the names: no copy needed */
        for (const struct decode_name *name = field->names; name->name != NULL; name++)
            if (text_is(value->string, name->name))
                set_enum(field, base, number, text_of(name->name));
        return;
    }
    set_enum(field, base, number, arena_text(decode->arena, value->string));
    if (field->is_open) {
        decode_check_format(decode, field->format, value, value->string);
        return;
    }
    struct builder all CLEANUP(builder_fini) = {0};
    builder_add_string(&all, "one of");
    for (const struct decode_name *name = field->names; name->name != NULL; name++)
        builder_printf(&all, "%s %s", name == field->names ? "" : ",", name->name);
    decode_add(decode,
               &(struct decode_fault){.code = "UnknownValue", .at = value, .hint = all.data},
               "\"" TEXT_FMT "\" is not a possible value", TEXT_ARG(value->string));
}

/* Whole floats (1e3, 80.0) are integers to JSON. */
static bool take_integer(struct decode *decode, const struct value *value, int64_t *ret_number)
{
    if (value->kind == VALUE_FLOAT && isfinite(value->number) &&
        fabs(value->number) <= INTEGERS_EXACT && floor(value->number) == value->number) {
        *ret_number = (int64_t)value->number;
        return true;
    }
    if (!decode_expect(decode, value, VALUE_INT))
        return false;
    *ret_number = value->integer;
    return true;
}

static bool take_ranged(struct decode *decode, const struct decode_field *field,
                        const struct value *value, int64_t *ret_number)
{
    int64_t number;
    if (!take_integer(decode, value, &number))
        return false;
    bool is_free = field->min == 0 && field->max == 0;
    bool is_wide = field->type == DECODE_INT64 || field->type == DECODE_LIMIT;
    int64_t highest = is_wide ? INT64_MAX : INT32_MAX;
    int64_t min = is_free ? (is_wide ? INT64_MIN : INT32_MIN) : field->min;
    int64_t max = is_free || field->max == 0 ? highest : field->max;
    if (number >= min && number <= max) {
        *ret_number = number;
        return true;
    }
    struct decode_fault fault = {.code = "OutOfRange", .at = value};
    if (max == highest && number < min)
        decode_add(decode, &fault, "%lld is below %lld", (long long)number, (long long)min);
    else
        decode_add(decode, &fault, "%lld is not between %lld and %lld", (long long)number,
                   (long long)min, (long long)max);
    return false;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* One number and its unit; false when it is not well-formed. */
static bool take_part(struct text text, size_t *pos, bool with_fraction, int64_t *total_ms)
{
    size_t start = *pos, i = start, digits = with_fraction ? 9 : 5;
    int64_t whole = 0;
    double fraction = 0, scale = 0.1;
    for (; i < text.len && is_digit(text.data[i]) && i - start < digits; i++)
        whole = whole * 10 + (text.data[i] - '0');
    if (i == start || (i < text.len && is_digit(text.data[i])))
        return false;
    if (with_fraction && i + 1 < text.len && text.data[i] == '.' && is_digit(text.data[i + 1])) {
        for (i++; i < text.len && is_digit(text.data[i]); i++, scale /= 10)
            fraction += scale * (text.data[i] - '0');
    }
    struct text rest = text_slice(text, i, text.len);
    bool is_ms = text_starts_with(rest, TEXT("ms"));
    int unit = rest.len == 0 ? '\0' : rest.data[0];
    int64_t unit_ms = is_ms         ? 1
                      : unit == 's' ? 1000
                      : unit == 'm' ? 60000
                      : unit == 'h' ? 3600000
                                    : 0;
    if (unit_ms == 0)
        return false;
    *total_ms += whole * unit_ms + (int64_t)(fraction * (double)unit_ms + 0.5);
    *pos = i + (is_ms ? 2 : 1);
    return true;
}

static void decode_duration(struct decode *decode, const struct decode_field *field,
                            const struct value *value, struct kind_duration *out)
{
    bool with_fraction = field->type == DECODE_DURATION_1F;
    if (value->kind != VALUE_STRING) {
        decode_add(
            decode,
            &(struct decode_fault){.code = "WrongType", .at = value, .hint = "give a unit: 10s"},
            "must be a duration, not %s", value_kind_name(value->kind));
        return;
    }
    int64_t total = 0;
    size_t pos = 0, parts = 0;
    struct text text = value->string;
    bool ok = text.len > 0;
    while (ok && pos < text.len)
        ok = ++parts <= (with_fraction ? 16u : 4u) && take_part(text, &pos, with_fraction, &total);
    out->place = (struct kind_place){value->line, value->column};
    if (!ok) {
        decode_add(decode, &(struct decode_fault){.code = "BadFormat", .at = value},
                   "\"" TEXT_FMT "\" must be a duration like 500ms, 10s or 1h30m",
                   TEXT_ARG(text_slice(text, 0, 100)));
        return;
    }
    out->is_set = true;
    out->ms = total;
}

static void decode_int_or_text(struct decode *decode, const struct decode_field *field,
                               const struct value *value, struct kind_int_or_text *out)
{
    if (value->kind == VALUE_STRING) {
        decode_check_format(decode, field->format, value, value->string);
        out->is_text = true;
        out->text = arena_text(decode->arena, value->string);
        return;
    }
    int64_t number;
    if (take_ranged(decode, field, value, &number))
        out->number = (int32_t)number;
}

void decode_scalar(struct decode *decode, const struct decode_field *field,
                   const struct value *value, void *base)
{
    void *out = at(base, field->offset);
    int64_t number;
    switch (field->type) {
    case DECODE_TEXT:
        decode_text(decode, field, value, base);
        return;
    case DECODE_BOOL:
        if (decode_expect(decode, value, VALUE_BOOL))
            *(bool *)out = value->boolean;
        return;
    case DECODE_INT32:
        if (take_ranged(decode, field, value, &number))
            *(int32_t *)out = (int32_t)number;
        return;
    case DECODE_INT64:
        if (take_ranged(decode, field, value, &number))
            *(int64_t *)out = number;
        return;
    case DECODE_LIMIT:
        if (take_ranged(decode, field, value, &number))
            *(struct kind_limit *)out = (struct kind_limit){true, number};
        return;
    case DECODE_SWITCH:
        if (decode_expect(decode, value, VALUE_BOOL))
            *(struct kind_switch *)out = (struct kind_switch){true, value->boolean};
        return;
    case DECODE_DURATION:
    case DECODE_DURATION_1F:
        decode_duration(decode, field, value, out);
        return;
    case DECODE_ENUM:
        decode_enum(decode, field, value, base);
        return;
    case DECODE_INT_OR_TEXT:
        decode_int_or_text(decode, field, value, out);
        return;
    default:
        CHECK(false); /* decode.c handles the rest */
    }
}
