/* Writes JSON. Input bytes that are no UTF-8 become U+FFFD, so that every line is valid JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <math.h>

void json_init(struct json *json, struct builder *out, int indent)
{
    *json = (struct json){.out = out, .indent = indent};
}

static void line_break(struct json *json)
{
    if (json->indent == 0)
        return;
    builder_add_char(json->out, '\n');
    for (int i = 0; i < json->depth * json->indent; i++)
        builder_add_char(json->out, ' ');
}

static void begin_item(struct json *json, const char *key)
{
    if (json->keyed) { /* the value of a key that was written already */
        json->keyed = false;
        return;
    }
    if (key != NULL) {
        json_key(json, text_of(key));
        json->keyed = false;
        return;
    }
    if (json->comma)
        builder_add_char(json->out, ',');
    if (json->depth > 0)
        line_break(json);
    json->comma = true;
}

void json_key(struct json *json, struct text key)
{
    json->keyed = false;
    begin_item(json, NULL);
    builder_add_char(json->out, '"');
    json_escape(json->out, key);
    builder_add_string(json->out, json->indent > 0 ? "\": " : "\":");
    json->keyed = true;
}

static void open(struct json *json, const char *key, char bracket)
{
    begin_item(json, key);
    builder_add_char(json->out, bracket);
    json->comma = false;
    json->depth++;
}

static void close(struct json *json, char bracket)
{
    json->depth--;
    if (json->comma)
        line_break(json);
    builder_add_char(json->out, bracket);
    json->comma = true;
}

void json_object_begin(struct json *json, const char *key)
{
    open(json, key, '{');
}

void json_object_end(struct json *json)
{
    close(json, '}');
}

void json_array_begin(struct json *json, const char *key)
{
    open(json, key, '[');
}

void json_array_end(struct json *json)
{
    close(json, ']');
}

void json_text(struct json *json, const char *key, struct text value)
{
    begin_item(json, key);
    builder_add_char(json->out, '"');
    json_escape(json->out, value);
    builder_add_char(json->out, '"');
}

void json_string(struct json *json, const char *key, const char *value)
{
    json_text(json, key, text_of(value));
}

void json_int(struct json *json, const char *key, int64_t value)
{
    begin_item(json, key);
    if (value < 0)
        builder_add_char(json->out, '-');
    builder_add_u64(json->out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void json_double(struct json *json, const char *key, double value)
{
    begin_item(json, key);
    if (isfinite(value))
        builder_printf(json->out, "%.17g", value + 0.0); /* minus zero is zero */
    else
        builder_add_string(json->out, "null");
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin_item(json, key);
    builder_add_string(json->out, value ? "true" : "false");
}

void json_null(struct json *json, const char *key)
{
    begin_item(json, key);
    builder_add_string(json->out, "null");
}

void json_raw(struct json *json, const char *key, struct text value)
{
    begin_item(json, key);
    builder_add(json->out, value);
}

void json_value(struct json *json, const char *key, const struct value *value)
{
    switch (value == NULL ? VALUE_NULL : value->kind) {
    case VALUE_NULL:
        json_null(json, key);
        return;
    case VALUE_BOOL:
        json_bool(json, key, value->boolean);
        return;
    case VALUE_INT:
        json_int(json, key, value->integer);
        return;
    case VALUE_FLOAT:
        json_double(json, key, value->number);
        return;
    case VALUE_STRING:
        json_text(json, key, value->string);
        return;
    case VALUE_LIST:
        json_array_begin(json, key);
        for (size_t i = 0; i < value->list.count; i++)
            json_value(json, NULL, value->list.items[i]);
        json_array_end(json);
        return;
    case VALUE_MAP:
        json_object_begin(json, key);
        for (size_t i = 0; i < value->map.count; i++) {
            json_key(json, value->map.members[i].key);
            json_value(json, NULL, value->map.members[i].value);
        }
        json_object_end(json);
        return;
    }
}

/* Length of the valid UTF-8 sequence at the front, or 0 (RFC 3629: no surrogates, shortest form).
 */
static size_t utf8_len(const unsigned char *at, size_t len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t want = at[0] < 0x80       ? 1
                  : at[0] >> 5 == 6  ? 2
                  : at[0] >> 4 == 14 ? 3
                  : at[0] >> 3 == 30 ? 4
                                     : 0;
    if (want < 2 || want > len)
        return want == 1;
    uint32_t point = at[0] & (0xffu >> (want + 1));
    for (size_t i = 1; i < want; i++) {
        if (at[i] >> 6 != 2)
            return 0;
        point = point << 6 | (at[i] & 0x3f);
    }
    bool surrogate = point >= 0xd800 && point < 0xe000;
    return point < least[want] || point > 0x10ffff || surrogate ? 0 : want;
}

static void escape_byte(struct builder *out, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    const char *shorts = "\"\\\b\f\n\r\t", *names = "\"\\bfnrt";
    const char *found = byte == 0 ? NULL : strchr(shorts, byte);
    char escape[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
    if (found != NULL) {
        escape[1] = names[found - shorts];
        builder_add(out, text_from(escape, 2));
    } else {
        builder_add(out, text_from(escape, 6));
    }
}

void json_escape(struct builder *out, struct text value)
{
    size_t plain = 0; /* start of what needs no escape */
    for (size_t i = 0; i < value.len;) {
        unsigned char byte = (unsigned char)value.data[i];
        if (LIKELY(byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\')) {
            i++;
            continue;
        }
        size_t valid =
            byte < 0x80 ? 0 : utf8_len((const unsigned char *)value.data + i, value.len - i);
        if (valid > 0) {
            i += valid;
            continue;
        }
        builder_add(out, text_from(value.data + plain, i - plain));
        if (byte < 0x80)
            escape_byte(out, byte);
        else
            builder_add_string(out, "\xef\xbf\xbd");
        plain = ++i;
    }
    builder_add(out, text_from(value.data + plain, value.len - plain));
}
