/* YAML into values, event by event, with positions. The only door to libyaml.
 * Aliases share the anchored value; what they would expand to is counted and bounded, so that a
 * small file cannot become a large tree. `<<` merges as in YAML 1.1. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <yaml.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/value_build.h"

/* A finished node that a later alias may name. */
struct anchor {
    struct text name;
    struct value *value;
    size_t nodes;
    int height;
};

/* A map or list that is not finished. */
struct frame {
    struct value *value;
    struct value_build build;
    struct value_member key; /* the key whose value comes next */
    struct text anchor;
    size_t nodes_before; /* to know how many are in it */
    int height;
    bool has_key, key_is_merge, has_merge;
};

struct reader {
    yaml_parser_t parser;
    struct text input, file;
    struct arena *arena;
    struct faults *faults;
    struct frame *frames; /* owns; at most LIMIT_YAML_DEPTH */
    int depth;
    struct map anchors; /* by name; emptied with each document */
    size_t nodes;       /* aliases count as what they stand for */
    size_t alias_nodes;
    struct value *root;
};

static bool refuse(struct reader *reader, yaml_mark_t mark, const char *code, const char *what)
{
    struct fault fault = {.code = code,
                          .file = reader->file,
                          .line = (uint32_t)mark.line + 1,
                          .column = (uint32_t)mark.column + 1};
    faults_add(reader->faults, &fault, "%s", what);
    return false;
}

static bool refuse_at(struct reader *reader, const struct value_member *member, const char *code,
                      const char *what)
{
    struct fault fault = {.code = code,
                          .file = reader->file,
                          .field = member->key,
                          .line = member->line,
                          .column = member->column};
    faults_add(reader->faults, &fault, "%s", what);
    return false;
}

static struct value *new_value(struct reader *reader, yaml_mark_t mark)
{
    struct value *value = arena_new(reader->arena, struct value);
    value->line = (uint32_t)mark.line + 1;
    value->column = (uint32_t)mark.column + 1;
    return value;
}

static struct text copy_bytes(struct reader *reader, const yaml_char_t *bytes, size_t len)
{
    return arena_text(reader->arena, text_from((const char *)bytes, len));
}

static void remember(struct reader *reader, struct text name, struct value *value, size_t nodes,
                     int height)
{
    if (name.len == 0)
        return;
    struct anchor *anchor = arena_new(reader->arena, struct anchor);
    *anchor = (struct anchor){.name = name, .value = value, .nodes = nodes, .height = height};
    map_put(&reader->anchors, anchor->name, anchor);
}

/* A map key as JSON would have it: numbers and booleans become their text. */
static bool take_key(struct reader *reader, struct frame *frame, const struct value *value,
                     yaml_mark_t mark, bool is_plain)
{
    struct value_member *key = &frame->key;
    *key = (struct value_member){.line = value->line, .column = value->column};
    frame->has_key = true;
    frame->key_is_merge = is_plain && value->kind == VALUE_STRING && text_is(value->string, "<<");
    switch (value->kind) {
    case VALUE_STRING:
        key->key = value->string;
        return true;
    case VALUE_BOOL:
        key->key = value->boolean ? TEXT("true") : TEXT("false");
        return true;
    case VALUE_INT:
        key->key = arena_printf(reader->arena, "%lld", (long long)value->integer);
        return true;
    case VALUE_FLOAT:
        key->key = arena_printf(reader->arena, "%g", value->number);
        return true;
    default:
        return refuse(reader, mark, "BadKey", "a key must be a string");
    }
}

/* Puts a finished node where it belongs: root, list item, map key or map value. */
static bool place(struct reader *reader, struct value *value, yaml_mark_t mark, int height,
                  bool is_plain)
{
    if (reader->depth == 0) {
        reader->root = value;
        return true;
    }
    struct frame *frame = &reader->frames[reader->depth - 1];
    frame->height = MAX(frame->height, height + 1);
    if (frame->value->kind == VALUE_LIST) {
        value_build_add(&frame->build, (struct value_member){.value = value});
        return true;
    }
    if (!frame->has_key)
        return take_key(reader, frame, value, mark, is_plain);
    frame->key.value = value;
    frame->has_key = false;
    if (frame->key_is_merge)
        frame->has_merge = true;
    value_build_add(&frame->build, frame->key);
    return true;
}

static bool count_node(struct reader *reader, yaml_mark_t mark)
{
    if (++reader->nodes <= LIMIT_YAML_NODES)
        return true;
    return refuse(reader, mark, "DocumentTooLarge", "too many values");
}

enum tag { TAG_NONE, TAG_STRING, TAG_SCALAR, TAG_OTHER };

static enum tag tag_of(const yaml_char_t *tag)
{
    static const char core[] = "tag:yaml.org,2002:";
    const char *name = (const char *)tag;
    if (tag == NULL)
        return TAG_NONE;
    if (strcmp(name, "!") == 0)
        return TAG_STRING;
    if (strncmp(name, core, sizeof(core) - 1) != 0)
        return TAG_OTHER;
    name += sizeof(core) - 1;
    if (strcmp(name, "str") == 0 || strcmp(name, "timestamp") == 0)
        return TAG_STRING;
    static const char *const scalars[] = {"int", "float", "bool", "null"};
    for (size_t i = 0; i < ARRAY_LEN(scalars); i++)
        if (strcmp(name, scalars[i]) == 0)
            return TAG_SCALAR;
    return strcmp(name, "map") == 0 || strcmp(name, "seq") == 0 ? TAG_NONE : TAG_OTHER;
}

static bool on_scalar(struct reader *reader, const yaml_event_t *event)
{
    if (!count_node(reader, event->start_mark))
        return false;
    enum tag tag = tag_of(event->data.scalar.tag);
    if (tag == TAG_OTHER)
        return refuse(reader, event->start_mark, "YamlTag", "this tag is not supported");
    struct value *value = new_value(reader, event->start_mark);
    struct text text = copy_bytes(reader, event->data.scalar.value, event->data.scalar.length);
    bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (tag == TAG_SCALAR || (tag == TAG_NONE && is_plain)) {
        value_build_scalar(value, text);
    } else {
        value->kind = VALUE_STRING;
        value->string = text;
    }
    if (tag == TAG_SCALAR && value->kind == VALUE_STRING)
        return refuse(reader, event->start_mark, "YamlTag", "the value does not fit its tag");
    if (event->data.scalar.anchor != NULL) {
        const yaml_char_t *name = event->data.scalar.anchor;
        remember(reader, copy_bytes(reader, name, strlen((const char *)name)), value, 1, 0);
    }
    return place(reader, value, event->start_mark, 0, is_plain);
}

static bool on_alias(struct reader *reader, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    const struct anchor *anchor = map_get(&reader->anchors, text_of(name));
    if (anchor == NULL)
        return refuse(reader, event->start_mark, "YamlAlias",
                      "this alias names no anchor that is complete before it");
    reader->nodes += anchor->nodes;
    reader->alias_nodes += anchor->nodes;
    if (reader->alias_nodes > LIMIT_YAML_ALIAS_NODES)
        return refuse(reader, event->start_mark, "DocumentTooLarge",
                      "aliases stand for too many values");
    if (reader->depth + anchor->height > LIMIT_YAML_DEPTH)
        return refuse(reader, event->start_mark, "DocumentTooLarge", "nested too deeply");
    return count_node(reader, event->start_mark) &&
           place(reader, anchor->value, event->start_mark, anchor->height, false);
}

static bool on_open(struct reader *reader, enum value_kind kind, yaml_mark_t mark,
                    const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (!count_node(reader, mark))
        return false;
    if (reader->depth >= LIMIT_YAML_DEPTH)
        return refuse(reader, mark, "DocumentTooLarge", "nested too deeply");
    if (tag_of(tag) != TAG_NONE)
        return refuse(reader, mark, "YamlTag", "this tag is not supported");
    if (reader->depth > 0) {
        const struct frame *outer = &reader->frames[reader->depth - 1];
        if (outer->value->kind == VALUE_MAP && !outer->has_key)
            return refuse(reader, mark, "BadKey", "a key must be a string");
    }
    struct frame *frame = &reader->frames[reader->depth++];
    *frame = (struct frame){.value = new_value(reader, mark), .nodes_before = reader->nodes};
    frame->value->kind = kind;
    if (anchor != NULL)
        frame->anchor = copy_bytes(reader, anchor, strlen((const char *)anchor));
    return true;
}

static bool has_own(const struct value_build *build, size_t own_count, struct text key)
{
    for (size_t i = 0; i < own_count; i++)
        if (text_equal(build->members[i].key, key))
            return true;
    return false;
}

/* What the map says itself wins, then the earlier of several sources. */
static bool merge_from(struct reader *reader, struct value_build *build, const struct value *source)
{
    size_t count = build->count;
    for (size_t i = 0; i < source->map.count; i++) {
        if (++reader->alias_nodes + count > LIMIT_YAML_ALIAS_NODES)
            return false;
        reader->alias_nodes += count; /* has_own looks at so many */
        if (!has_own(build, count, source->map.members[i].key))
            value_build_add(build, source->map.members[i]);
    }
    return true;
}

static bool merge(struct reader *reader, struct frame *frame)
{
    struct value_build merged CLEANUP(value_build_fini) = {0};
    for (size_t i = 0; i < frame->build.count; i++)
        if (!text_is(frame->build.members[i].key, "<<"))
            value_build_add(&merged, frame->build.members[i]);
    for (size_t i = 0; i < frame->build.count; i++) {
        const struct value_member *member = &frame->build.members[i];
        if (!text_is(member->key, "<<"))
            continue;
        struct value *one = member->value;
        bool is_list = one->kind == VALUE_LIST;
        struct value **sources = is_list ? one->list.items : &one;
        for (size_t k = 0; k < (is_list ? one->list.count : 1); k++) {
            if (sources[k]->kind != VALUE_MAP)
                return refuse_at(reader, member, "YamlMerge", "only maps can be merged");
            if (!merge_from(reader, &merged, sources[k]))
                return refuse_at(reader, member, "DocumentTooLarge", "merges of too many values");
        }
    }
    struct value_build old = frame->build;
    frame->build = merged;
    merged = old;
    return true;
}

static bool on_close(struct reader *reader, yaml_mark_t mark)
{
    struct frame *frame = &reader->frames[reader->depth - 1];
    struct value *value = frame->value;
    bool ok = true;
    if (value->kind == VALUE_MAP) {
        size_t twice = value_build_duplicate(&frame->build);
        if (twice < frame->build.count)
            ok = refuse_at(reader, &frame->build.members[twice], "DuplicateKey",
                           "this key stands twice in one object");
        else if (frame->has_merge)
            ok = merge(reader, frame);
    }
    if (!ok)
        return false;
    value_build_finish(&frame->build, value, reader->arena);
    value_build_fini(&frame->build);
    int height = frame->height;
    remember(reader, frame->anchor, value, reader->nodes - frame->nodes_before + 1, height);
    reader->depth--;
    return place(reader, value, mark, height, false);
}

static void close_document(struct reader *reader)
{
    while (reader->depth > 0)
        value_build_fini(&reader->frames[--reader->depth].build);
    map_fini(&reader->anchors);
    map_init(&reader->anchors);
    reader->root = NULL;
}

static bool on_event(struct reader *reader, const yaml_event_t *event,
                     struct value_build *documents)
{
    switch (event->type) {
    case YAML_DOCUMENT_END_EVENT:
        if (reader->root != NULL)
            value_build_add(documents, (struct value_member){.value = reader->root});
        close_document(reader);
        return true;
    case YAML_SCALAR_EVENT:
        return on_scalar(reader, event);
    case YAML_ALIAS_EVENT:
        return on_alias(reader, event);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(reader, VALUE_LIST, event->start_mark, event->data.sequence_start.anchor,
                       event->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return on_open(reader, VALUE_MAP, event->start_mark, event->data.mapping_start.anchor,
                       event->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_close(reader, event->start_mark);
    default:
        return true;
    }
}

/* libyaml gives no mark for bytes that are no text, only how many stand before them. */
static yaml_mark_t mark_of(struct text input, size_t offset)
{
    yaml_mark_t mark = {.index = offset};
    for (size_t i = 0; i < MIN(offset, input.len); i++) {
        bool is_end = input.data[i] == '\n';
        mark.column = is_end ? 0 : mark.column + (((unsigned char)input.data[i] & 0xc0) != 0x80);
        mark.line += is_end;
    }
    return mark;
}

static bool syntax_fault(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem == NULL ? "not valid YAML" : parser->problem;
    struct text what = parser->context == NULL
                           ? text_of(problem)
                           : arena_printf(reader->arena, "%s: %s", parser->context, problem);
    yaml_mark_t mark = parser->problem_mark;
    if (parser->error == YAML_READER_ERROR) {
        what = arena_printf(reader->arena, "%s (byte %zu)", problem, parser->problem_offset);
        mark = mark_of(reader->input, parser->problem_offset);
    }
    return refuse(reader, mark, "YamlSyntax", what.data);
}

static bool read_all(struct reader *reader, struct value_build *documents)
{
    for (bool more = true; more;) {
        yaml_event_t event;
        if (yaml_parser_parse(&reader->parser, &event) == 0)
            return syntax_fault(reader);
        more = event.type != YAML_STREAM_END_EVENT;
        bool ok = on_event(reader, &event, documents);
        yaml_event_delete(&event);
        if (!ok)
            return false;
    }
    return true;
}

bool value_parse_yaml(struct text input, struct text file, struct arena *arena,
                      struct value_documents *ret_documents, struct faults *faults)
{
    struct reader reader = {.file = file, .arena = arena, .faults = faults};
    if (text_starts_with(input, TEXT("\xef\xbb\xbf"))) /* a byte order mark */
        input = text_slice(input, 3, input.len);
    *ret_documents = (struct value_documents){0};
    if (input.len > LIMIT_FILE_BYTES)
        return refuse(&reader, (yaml_mark_t){0}, "DocumentTooLarge", "the file is too large");
    CHECK(yaml_parser_initialize(&reader.parser) != 0); /* fails only without memory */
    reader.input = input;
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)input.data, input.len);
    reader.frames = memory_alloc(sizeof(struct frame) * LIMIT_YAML_DEPTH);
    map_init(&reader.anchors);
    struct value_build documents CLEANUP(value_build_fini) = {0};
    bool ok = read_all(&reader, &documents);
    close_document(&reader);
    map_fini(&reader.anchors);
    free(reader.frames);
    yaml_parser_delete(&reader.parser);

    struct value all = {.kind = VALUE_LIST};
    value_build_finish(&documents, &all, arena);
    *ret_documents = (struct value_documents){all.list.items, all.list.count};
    return ok;
}
