/* JSON into values: yyjson reads and validates; a second walk over the same text, in step with
 * yyjson's tree, finds out where each value and key was written. The only door to yyjson. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <yyjson.h>

#include "base/limits.h"
#include "base/value_build.h"

struct walk {
    const char *at, *end; /* the validated text; never passed, since yyjson accepted it */
    uint32_t line, column;
    struct text file;
    struct arena *arena;
    struct faults *faults;
    size_t nodes;
    int depth;
    bool prunes; /* what is nested too deeply is null */
};

/* Columns count characters, as YAML's do: continuation bytes of UTF-8 stand still. */
static void step(struct walk *walk)
{
    if (*walk->at == '\n') {
        walk->line++;
        walk->column = 1;
    } else if (((unsigned char)*walk->at & 0xc0) != 0x80) {
        walk->column++;
    }
    walk->at++;
}

static bool is_blank_or(char byte, char separator)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == separator;
}

static void skip_to_token(struct walk *walk, char separator)
{
    while (walk->at < walk->end && is_blank_or(*walk->at, separator))
        step(walk);
}

static void skip_string(struct walk *walk)
{
    step(walk);
    while (walk->at < walk->end && *walk->at != '"') {
        if (*walk->at == '\\')
            step(walk);
        step(walk);
    }
    step(walk);
}

static void skip_scalar(struct walk *walk)
{
    if (*walk->at == '"') {
        skip_string(walk);
        return;
    }
    while (walk->at < walk->end && !is_blank_or(*walk->at, ',') && *walk->at != ']' &&
           *walk->at != '}')
        step(walk);
}

static void skip_container(struct walk *walk)
{
    int open = 0;
    do {
        if (*walk->at == '"') {
            skip_string(walk);
            continue;
        }
        open += *walk->at == '[' || *walk->at == '{';
        open -= *walk->at == ']' || *walk->at == '}';
        step(walk);
    } while (open > 0 && walk->at < walk->end);
}

static bool refuse(struct walk *walk, const char *code, struct text key, const char *what)
{
    struct fault fault = {
        .code = code, .file = walk->file, .line = walk->line, .column = walk->column, .field = key};
    faults_add(walk->faults, &fault, "%s", what);
    return false;
}

static void set_scalar(struct value *value, yyjson_val *from)
{
    switch (yyjson_get_type(from)) {
    case YYJSON_TYPE_BOOL:
        value->kind = VALUE_BOOL;
        value->boolean = yyjson_get_bool(from);
        return;
    case YYJSON_TYPE_NUM:
        if (yyjson_is_real(from) || (yyjson_is_uint(from) && yyjson_get_uint(from) > INT64_MAX)) {
            value->kind = VALUE_FLOAT;
            value->number = yyjson_get_num(from);
            return;
        }
        value->kind = VALUE_INT;
        value->integer = yyjson_get_sint(from);
        return;
    case YYJSON_TYPE_STR:
        value->kind = VALUE_STRING;
        value->string = text_from(yyjson_get_str(from), yyjson_get_len(from));
        return;
    default:
        value->kind = VALUE_NULL;
    }
}

static struct value *walk_value(struct walk *walk, yyjson_val *from);

static bool walk_list(struct walk *walk, yyjson_val *from, struct value_build *build)
{
    yyjson_arr_iter items = yyjson_arr_iter_with(from);
    yyjson_val *item;
    while ((item = yyjson_arr_iter_next(&items)) != NULL) {
        skip_to_token(walk, ',');
        struct value *value = walk_value(walk, item);
        if (value == NULL)
            return false;
        value_build_add(build, (struct value_member){.value = value});
    }
    skip_to_token(walk, ',');
    return true;
}

static bool walk_map(struct walk *walk, yyjson_val *from, struct value_build *build)
{
    yyjson_obj_iter members = yyjson_obj_iter_with(from);
    yyjson_val *key;
    while ((key = yyjson_obj_iter_next(&members)) != NULL) {
        skip_to_token(walk, ',');
        struct value_member member = {
            .key = arena_text(walk->arena, text_from(yyjson_get_str(key), yyjson_get_len(key))),
            .line = walk->line,
            .column = walk->column};
        skip_string(walk);
        skip_to_token(walk, ':');
        member.value = walk_value(walk, yyjson_obj_iter_get_val(key));
        if (member.value == NULL)
            return false;
        value_build_add(build, member);
    }
    skip_to_token(walk, ',');
    size_t twice = value_build_duplicate(build);
    if (twice == build->count)
        return true;
    walk->line = build->members[twice].line;
    walk->column = build->members[twice].column;
    return refuse(walk, "DuplicateKey", build->members[twice].key,
                  "this key stands twice in one object");
}

static struct value *walk_value(struct walk *walk, yyjson_val *from)
{
    bool too_deep = walk->depth >= LIMIT_YAML_DEPTH;
    if (++walk->nodes > LIMIT_YAML_NODES || (too_deep && !walk->prunes)) {
        refuse(walk, "DocumentTooLarge", TEXT_NONE,
               too_deep ? "nested too deeply" : "too many values");
        return NULL;
    }
    struct value *value = arena_new(walk->arena, struct value);
    value->line = walk->line;
    value->column = walk->column;
    if (too_deep && yyjson_is_ctn(from)) {
        skip_container(walk);
        return value;
    }
    if (!yyjson_is_ctn(from)) {
        set_scalar(value, from);
        if (value->kind == VALUE_STRING)
            value->string = arena_text(walk->arena, value->string);
        skip_scalar(walk);
        return value;
    }
    struct value_build build CLEANUP(value_build_fini) = {0};
    walk->depth++;
    step(walk);
    value->kind = yyjson_is_obj(from) ? VALUE_MAP : VALUE_LIST;
    if (!(value->kind == VALUE_MAP ? walk_map(walk, from, &build) : walk_list(walk, from, &build)))
        return NULL;
    step(walk);
    walk->depth--;
    value_build_finish(&build, value, walk->arena);
    return value;
}

static void syntax_fault(struct walk *walk, const yyjson_read_err *error)
{
    const char *stop = walk->at + MIN(error->pos, (size_t)(walk->end - walk->at));
    while (walk->at < stop)
        step(walk);
    refuse(walk, "JsonSyntax", TEXT_NONE, error->msg);
}

static bool parse(struct text input, struct text file, struct arena *arena,
                  struct value **ret_value, struct faults *faults, bool prunes)
{
    struct walk walk = {.at = input.data,
                        .end = input.data + input.len,
                        .line = 1,
                        .column = 1,
                        .file = file,
                        .arena = arena,
                        .faults = faults,
                        .prunes = prunes};
    if (input.len > LIMIT_FILE_BYTES)
        return refuse(&walk, "DocumentTooLarge", TEXT_NONE, "the document is too large");
    yyjson_read_err error = {0};
    union { /* yyjson takes char * but writes only with YYJSON_READ_INSITU */
        const char *const_data;
        char *data;
    } bytes = {.const_data = input.len == 0 ? "" : input.data};
    yyjson_doc *document =
        yyjson_read_opts(bytes.data, input.len, YYJSON_READ_NOFLAG, NULL, &error);
    if (document == NULL) {
        syntax_fault(&walk, &error);
        return false;
    }
    skip_to_token(&walk, ' ');
    struct value *value = walk_value(&walk, yyjson_doc_get_root(document));
    yyjson_doc_free(document);
    if (value == NULL)
        return false;
    *ret_value = value;
    return true;
}

bool value_parse_json(struct text input, struct text file, struct arena *arena,
                      struct value **ret_value, struct faults *faults)
{
    return parse(input, file, arena, ret_value, faults, false);
}

bool value_parse_json_pruned(struct text input, struct text file, struct arena *arena,
                             struct value **ret_value, struct faults *faults)
{
    return parse(input, file, arena, ret_value, faults, true);
}
