/* Collects members, finds duplicates in linear time, and resolves plain YAML scalars. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/value_build.h"

#include <math.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/memory.h"

#define FEW            16  /* up to here comparing all pairs is cheaper than a table */
#define NUMBER_LEN_MAX 400 /* longer digits are text: no port, weight or size is written so */

void value_build_fini(struct value_build *build)
{
    if (build == NULL)
        return;
    free(build->members);
    *build = (struct value_build){0};
}

void value_build_add(struct value_build *build, struct value_member member)
{
    build->members =
        memory_grow(build->members, build->count, &build->cap, sizeof(struct value_member));
    build->members[build->count++] = member;
}

void value_build_finish(const struct value_build *build, struct value *value, struct arena *arena)
{
    size_t count = build->count;
    if (value->kind == VALUE_MAP) {
        value->map.members = arena_array(arena, struct value_member, count);
        value->map.count = count;
        if (count > 0)
            memcpy(value->map.members, build->members, count * sizeof(struct value_member));
        return;
    }
    value->list.items = arena_array(arena, struct value *, count);
    value->list.count = count;
    for (size_t i = 0; i < count; i++)
        value->list.items[i] = build->members[i].value;
}

static bool stands_before(const struct value_build *build, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (text_equal(build->members[i].key, build->members[index].key))
            return true;
    return false;
}

size_t value_build_duplicate(const struct value_build *build)
{
    size_t found = build->count;
    if (build->count <= FEW) {
        for (size_t i = 1; i < build->count; i++)
            if (stands_before(build, i))
                return i;
        return found;
    }
    struct map seen;
    map_init(&seen);
    for (size_t i = 0; i < build->count && found == build->count; i++) {
        if (map_put(&seen, build->members[i].key, &build->members[i]) != NULL)
            found = i;
    }
    map_fini(&seen);
    return found;
}

/* The words of YAML 1.1 in the spellings that Kubernetes takes; others are strings. */
static bool resolve_word(struct value *value, struct text text)
{
    static const struct word {
        const char *name;
        enum value_kind kind;
        bool boolean;
        double number;
    } words[] = {
        {"", VALUE_NULL, false, 0},
        {"~", VALUE_NULL, false, 0},
        {"null", VALUE_NULL, false, 0},
        {"Null", VALUE_NULL, false, 0},
        {"NULL", VALUE_NULL, false, 0},
        {"y", VALUE_BOOL, true, 0},
        {"Y", VALUE_BOOL, true, 0},
        {"yes", VALUE_BOOL, true, 0},
        {"Yes", VALUE_BOOL, true, 0},
        {"YES", VALUE_BOOL, true, 0},
        {"true", VALUE_BOOL, true, 0},
        {"True", VALUE_BOOL, true, 0},
        {"TRUE", VALUE_BOOL, true, 0},
        {"on", VALUE_BOOL, true, 0},
        {"On", VALUE_BOOL, true, 0},
        {"ON", VALUE_BOOL, true, 0},
        {"n", VALUE_BOOL, false, 0},
        {"N", VALUE_BOOL, false, 0},
        {"no", VALUE_BOOL, false, 0},
        {"No", VALUE_BOOL, false, 0},
        {"NO", VALUE_BOOL, false, 0},
        {"false", VALUE_BOOL, false, 0},
        {"False", VALUE_BOOL, false, 0},
        {"FALSE", VALUE_BOOL, false, 0},
        {"off", VALUE_BOOL, false, 0},
        {"Off", VALUE_BOOL, false, 0},
        {"OFF", VALUE_BOOL, false, 0},
        {".nan", VALUE_FLOAT, false, NAN},
        {".NaN", VALUE_FLOAT, false, NAN},
        {".NAN", VALUE_FLOAT, false, NAN},
        {".inf", VALUE_FLOAT, false, HUGE_VAL},
        {".Inf", VALUE_FLOAT, false, HUGE_VAL},
        {".INF", VALUE_FLOAT, false, HUGE_VAL},
        {"+.inf", VALUE_FLOAT, false, HUGE_VAL},
        {"+.Inf", VALUE_FLOAT, false, HUGE_VAL},
        {"+.INF", VALUE_FLOAT, false, HUGE_VAL},
        {"-.inf", VALUE_FLOAT, false, -HUGE_VAL},
        {"-.Inf", VALUE_FLOAT, false, -HUGE_VAL},
        {"-.INF", VALUE_FLOAT, false, -HUGE_VAL},
    };
    if (text.len > 5 || (text.len > 0 && strchr("~nNyYtToOfF.+-", text.data[0]) == NULL))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!text_is(text, words[i].name))
            continue;
        value->kind = words[i].kind;
        if (value->kind == VALUE_BOOL)
            value->boolean = words[i].boolean;
        else
            value->number = words[i].number;
        return true;
    }
    return false;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Digits of a base; false when there are none, others, or too many for 64 bits. */
static bool read_digits(struct text text, unsigned base, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.data[i];
        unsigned digit = is_digit(byte)               ? (unsigned)(byte - '0')
                         : byte >= 'a' && byte <= 'f' ? (unsigned)(byte - 'a') + 10
                         : byte >= 'A' && byte <= 'F' ? (unsigned)(byte - 'A') + 10
                                                      : 99;
        if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *ret_value = value;
    return text.len > 0;
}

/* 10, -7, +3, 0x1f, 0o17, 017, 0b101. Beyond 64 bits it is not an integer. */
static bool resolve_integer(struct value *value, struct text text)
{
    bool negative = text.data[0] == '-';
    if (negative || text.data[0] == '+')
        text = text_slice(text, 1, text.len);
    unsigned base = 10;
    if (text.len > 1 && text.data[0] == '0') {
        char mark = text.data[1];
        base = mark == 'x' || mark == 'X' ? 16 : mark == 'b' || mark == 'B' ? 2 : 8;
        text = text_slice(text, base != 8 || mark == 'o' || mark == 'O' ? 2 : 1, text.len);
    }
    uint64_t magnitude;
    if (!read_digits(text, base, &magnitude))
        return false;
    uint64_t bound = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (magnitude > bound) { /* JSON's answer to integers that do not fit */
        value->kind = VALUE_FLOAT;
        value->number = negative ? -(double)magnitude : (double)magnitude;
        return true;
    }
    value->kind = VALUE_INT;
    value->integer = (int64_t)(negative ? 0 - magnitude : magnitude);
    return true;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_float(const char *at)
{
    if (*at == '-' || *at == '+')
        at++;
    const char *whole = at;
    while (is_digit(*at))
        at++;
    bool has_whole = at > whole;
    if (*at == '.') {
        const char *fraction = ++at;
        while (is_digit(*at))
            at++;
        if (!has_whole && at == fraction)
            return false;
    } else if (!has_whole) {
        return false;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        if (*at == '-' || *at == '+')
            at++;
        const char *exponent = at;
        while (is_digit(*at))
            at++;
        if (at == exponent)
            return false;
    }
    return *at == '\0';
}

static bool resolve_number(struct value *value, struct text text)
{
    char plain[NUMBER_LEN_MAX + 1];
    size_t len = 0;
    char first = text.data[0];
    if (text.len > NUMBER_LEN_MAX || !(is_digit(first) || strchr("+-.", first) != NULL))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\0')
            return false;
        if (text.data[i] != '_' || first == '.') /* 1_000 is a number of YAML 1.1 */
            plain[len++] = text.data[i];
    }
    plain[len] = '\0';
    if (first != '.' && resolve_integer(value, text_from(plain, len)))
        return true;
    if (!is_float(plain))
        return false;
    double number = strtod(plain, NULL);
    if (!isfinite(number))
        return false;
    value->kind = VALUE_FLOAT;
    value->number = number;
    return true;
}

void value_build_scalar(struct value *value, struct text text)
{
    if (resolve_word(value, text) || resolve_number(value, text))
        return;
    value->kind = VALUE_STRING;
    value->string = text;
}
