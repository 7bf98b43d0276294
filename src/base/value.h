/* A parsed YAML or JSON document as a tree, each node with its place in the file.
 * Scalars are resolved as Kubernetes resolves them (YAML 1.1 core through JSON). */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "base/fault.h"
#include "base/text.h"

enum value_kind {
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_MAP,
};

struct value_member;

struct value {
    enum value_kind kind;
    uint32_t line, column; /* from 1 */
    union {
        bool boolean;
        int64_t integer;
        double number;
        struct text string;
        struct {
            struct value **items;
            size_t count;
        } list;
        struct {
            struct value_member *members;
            size_t count;
        } map;
    };
};

struct value_member {
    struct text key;
    uint32_t line, column; /* of the key */
    struct value *value;
};

/* The member's value, or NULL (also when `map` is NULL or no map). */
struct value *value_get(const struct value *map, const char *key);
/* The string, or an empty text. */
struct text value_string(const struct value *value);
int64_t value_int(const struct value *value, int64_t otherwise);
bool value_bool(const struct value *value, bool otherwise);
const char *value_kind_name(enum value_kind kind); /* "string", "object", "array", ... */

/* The documents of a YAML stream. On a syntax error the documents before it stand in the result,
 * one fault says where and what, and false is returned. Anchors and aliases are followed within
 * LIMIT_YAML_NODES; duplicate keys are a fault. */
struct value_documents {
    struct value **items;
    size_t count;
};
MUST_USE bool value_parse_yaml(struct text input, struct text file, struct arena *arena,
                               struct value_documents *ret_documents, struct faults *faults);
/* One JSON document, RFC 8259, depth-limited; positions as in YAML. */
MUST_USE bool value_parse_json(struct text input, struct text file, struct arena *arena,
                               struct value **ret_value, struct faults *faults);
/* The same, but what is nested too deeply is null: for a list, of which one object must not hide
 * the others. */
MUST_USE bool value_parse_json_pruned(struct text input, struct text file, struct arena *arena,
                                      struct value **ret_value, struct faults *faults);
