/* Writes JSON into a builder; commas, quotes and escapes are its business. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/builder.h"
#include "base/value.h"

struct json {
    struct builder *out; /* borrows */
    bool comma;          /* the next item needs one */
    bool keyed;          /* a key was written; its value comes next */
    int indent;          /* spaces a level; 0 = one line */
    int depth;
};

void json_init(struct json *json, struct builder *out, int indent);
/* `key` is NULL inside arrays and at the top. */
void json_key(struct json *json, struct text key); /* then its value, with a NULL key */
void json_object_begin(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array_begin(struct json *json, const char *key);
void json_array_end(struct json *json);
void json_text(struct json *json, const char *key, struct text value);
void json_string(struct json *json, const char *key, const char *value);
void json_int(struct json *json, const char *key, int64_t value);
void json_double(struct json *json, const char *key, double value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
/* `value` is JSON already. */
void json_raw(struct json *json, const char *key, struct text value);
void json_value(struct json *json, const char *key, const struct value *value);
/* The quotes and escapes alone: invalid UTF-8 becomes U+FFFD, control bytes \u00XX. */
void json_escape(struct builder *out, struct text value);
