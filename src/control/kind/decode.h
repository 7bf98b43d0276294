/* The one decoder: a table of fields (a shape) says how an object of a document becomes a struct,
 * and every deviation is a fault with its place. Kinds are tables plus a check for what a table
 * cannot say. Private to control/kind. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/kind.h"

enum decode_type {
    DECODE_ANY,  /* known, of no use to us: taken as it is */
    DECODE_TEXT, /* struct text */
    DECODE_BOOL,
    DECODE_INT32,
    DECODE_INT64,
    DECODE_DURATION,    /* struct kind_duration, GEP-2257: 1h30m */
    DECODE_DURATION_1F, /* the same with fractions: 1.5s */
    DECODE_ENUM,        /* an enum; its raw text at `second` */
    DECODE_STRUCT,      /* a struct within */
    DECODE_SAME,    /* an object whose fields stand in this same struct; its place at `second` */
    DECODE_POINTER, /* a struct * */
    DECODE_LIST,    /* array of structs; count at `second` */
    DECODE_TEXTS,   /* struct kind_texts */
    DECODE_NAMES,   /* the same from a list of objects with one `name` each */
    DECODE_INTS,    /* int32_t array; count at `second` */
    DECODE_PAIRS,   /* struct kind_pairs */
    DECODE_INT_OR_TEXT, /* struct kind_int_or_text */
    DECODE_LIMIT,       /* struct kind_limit */
    DECODE_SWITCH,      /* struct kind_switch */
    DECODE_ENTRIES,     /* strings; array of struct kind_entry, count at `second`; appended */
    DECODE_BASE64,      /* the same, base64; appended */
    DECODE_JSON,        /* struct text: an object of whatever content, as JSON */
};

struct decode_name {
    const char *name; /* NULL ends the list */
    int value;
};

struct decode_format {
    const char *what; /* "must be ..." without these words */
    bool (*matches)(struct text text);
    uint32_t min, max; /* characters; max 0: any */
    /* Wider than `matches`: what an API server of another release or channel lets through; when
     * serving, a warning. NULL: nothing. */
    bool (*serves)(struct text text);
};

struct decode_shape;

struct decode_field {
    const char *name;
    enum decode_type type;
    bool is_required;
    bool is_set;                        /* DECODE_TEXTS, DECODE_INTS: no item twice */
    bool is_open;                       /* DECODE_ENUM: other values are possible, see format */
    size_t offset, second;              /* into the struct; see decode_type */
    size_t has;                         /* a bool that says the field was there; 0: none */
    const struct decode_shape *shape;   /* structs and lists */
    const struct decode_name *names;    /* enums */
    const struct decode_format *format; /* texts, items of lists of texts, keys of pairs */
    const char *otherwise;              /* default of a text or enum */
    int64_t number;                     /* default of an integer */
    int64_t min, max;                   /* of the integer, or of the number of items; 0, 0: any */
    const char *list_key;               /* DECODE_LIST: this field of the items is unique */
};

struct decode;

/* Every struct that has a shape opens with a struct kind_place. */
struct decode_shape {
    size_t size;
    const struct decode_field *fields;
    size_t count;
    void (*init)(void *out); /* before the fields: defaults that no field names */
    void (*check)(struct decode *decode, void *out, const struct value *map); /* after them */
};

struct decode_step; /* of the path to the field in hand */

struct decode {
    struct arena *arena;   /* of the object */
    struct faults *faults; /* borrows */
    struct text where;     /* "HTTPRoute shop/cart" */
    struct text file;
    enum kind_mode mode;
    size_t errors;
    const struct decode_step *path;
};

/* What a fault says besides its sentence. */
struct decode_fault {
    const char *code;
    const struct value *at; /* NULL: nowhere */
    const char *child;      /* "port" below the field in hand, or NULL: itself */
    const char *hint;       /* or NULL */
    enum fault_level level;
};

void decode_add(struct decode *decode, const struct decode_fault *fault, const char *what, ...)
    PRINTF_LIKE(3, 4);
/* For `child` above: lives as long as the faults. */
const char *decode_child(struct decode *decode, const char *format, ...) PRINTF_LIKE(2, 3);

/* Fills `out` (zeroed, shape->size bytes) from `map`; NULL or null: the defaults alone. */
void decode_struct(struct decode *decode, const struct decode_shape *shape, const struct value *map,
                   void *out);
/* The same for one member of what is in hand, so that paths open with `name`. */
void decode_member(struct decode *decode, const struct decode_shape *shape, const struct value *map,
                   const char *name, void *out);

/* decode_scalar.c: each leaves the default when the value is no good. */
void decode_scalar(struct decode *decode, const struct decode_field *field,
                   const struct value *value, void *base);
void decode_defaults(const struct decode_shape *shape, void *out);
bool decode_expect(struct decode *decode, const struct value *value, enum value_kind kind);
void decode_check_format(struct decode *decode, const struct decode_format *format,
                         const struct value *where, struct text text);

/* decode_map.c: labels, the data of Secrets, and what is kept as it is. */
void decode_pairs(struct decode *decode, const struct decode_field *field,
                  const struct value *value, struct kind_pairs *out);
void decode_entries(struct decode *decode, const struct decode_field *field,
                    const struct value *value, void *base);
void decode_json(struct decode *decode, const struct value *value, struct text *out);

/* decode_path.c: where we are, in words. */
struct decode_step {
    const struct decode_step *up;
    struct text name; /* empty: an index */
    size_t index;
};
struct text decode_path(const struct decode *decode, const char *child);
/* The known name that is nearest to a misspelt one, or NULL. */
const char *decode_nearest(const struct decode_shape *shape, struct text name);
