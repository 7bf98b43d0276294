/* An outcome as JSON, for the command line, the API and the golden tests. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/outcome.h"
#include "control/translate/terms/conditions.h"
#include "nantian/config/v1/backend.pb-c.h"
#include "nantian/config/v1/endpoints.pb-c.h"
#include "nantian/config/v1/listener.pb-c.h"
#include "nantian/config/v1/policy.pb-c.h"
#include "nantian/config/v1/route.pb-c.h"
#include "nantian/config/v1/secret.pb-c.h"
#include "nantian/config/v1/session.pb-c.h"
#include "schema/unpack.h"

static const ProtobufCMessageDescriptor *descriptor_of(enum resource_type type)
{
    switch (type) {
    case RESOURCE_LISTENER:
        return &nantian__config__v1__listener__descriptor;
    case RESOURCE_ROUTE:
        return &nantian__config__v1__route__descriptor;
    case RESOURCE_BACKEND:
        return &nantian__config__v1__backend__descriptor;
    case RESOURCE_ENDPOINTS:
        return &nantian__config__v1__endpoints__descriptor;
    case RESOURCE_SECRET:
        return &nantian__config__v1__secret__descriptor;
    case RESOURCE_POLICY:
        return &nantian__config__v1__policy__descriptor;
    case RESOURCE_SNAPSHOT:
    case RESOURCE_TYPES:
        break;
    }
    return NULL;
}

/* Only what is there: the shape of the rest is the same with and without. */
static bool is_secret(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field)
{
    return (type == &nantian__config__v1__secret__descriptor &&
            strcmp(field->name, "private_key") == 0) ||
           (type == &nantian__config__v1__session__descriptor && strcmp(field->name, "key") == 0);
}

static void write_message(struct json *json, const char *key, const ProtobufCMessage *message);

static void write_bytes(struct json *json, const char *key, const ProtobufCBinaryData *bytes)
{
    struct builder summary = {0};
    char digest[33];
    digest_format(hash_digest(text_from((const char *)bytes->data, bytes->len)), digest);
    builder_printf(&summary, "%zu bytes, xxh3 %s", bytes->len, digest);
    json_text(json, key, builder_text(&summary));
    builder_fini(&summary);
}

/* One value at `at`; false: it is the default and stays away (but in arrays). */
static void write_value(struct json *json, const char *key, const ProtobufCFieldDescriptor *field,
                        const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        json_string(json, key, *(char *const *)at);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        write_bytes(json, key, at);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        write_message(json, key, *(ProtobufCMessage *const *)at);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        json_bool(json, key, *(const protobuf_c_boolean *)at != 0);
        break;
    case PROTOBUF_C_TYPE_ENUM: {
        const ProtobufCEnumValue *value =
            protobuf_c_enum_descriptor_get_value(field->descriptor, *(const int *)at);
        json_string(json, key, value == NULL ? "?" : value->name);
        break;
    }
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        json_int(json, key, *(const uint32_t *)at);
        break;
    default:
        json_int(json, key, *(const int64_t *)at);
        break;
    }
}

static bool is_default(const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *string = *(char *const *)at;
        return string == NULL || string[0] == '\0';
    }
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)at)->len == 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(ProtobufCMessage *const *)at == NULL;
    case PROTOBUF_C_TYPE_BOOL:
        return *(const protobuf_c_boolean *)at == 0;
    case PROTOBUF_C_TYPE_ENUM:
        return *(const int *)at == 0;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return *(const uint32_t *)at == 0;
    default:
        return *(const uint64_t *)at == 0;
    }
}

static size_t size_of(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_ENUM:
        return sizeof(uint32_t);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    default:
        return sizeof(uint64_t);
    }
}

static void write_field(struct json *json, const ProtobufCFieldDescriptor *field,
                        const char *message)
{
    const char *at = message + field->offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)(const void *)(message + field->quantifier_offset);
        if (count == 0)
            return;
        json_array_begin(json, field->name);
        const char *items = *(char *const *)(const void *)at;
        for (size_t i = 0; i < count; i++)
            write_value(json, NULL, field, items + i * size_of(field));
        json_array_end(json);
        return;
    }
    bool is_chosen = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    if (is_chosen) {
        uint32_t chosen = *(const uint32_t *)(const void *)(message + field->quantifier_offset);
        if (chosen == field->id)
            write_value(json, field->name, field, at);
    } else if (!is_default(field, at)) {
        write_value(json, field->name, field, at);
    }
}

static void write_message(struct json *json, const char *key, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    json_object_begin(json, key);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (is_secret(type, field))
            json_string(json, field->name, "not shown");
        else
            write_field(json, field, (const char *)message);
    }
    json_object_end(json);
}

static void write_resource(struct json *json, const struct outcome_resource *resource,
                           struct arena *arena)
{
    void *message;
    char *name = arena_string(arena, resource->name);
    if (schema_unpack(descriptor_of(resource->type), resource->bytes, arena, &message) != ERR_NONE)
        json_null(json, name);
    else
        write_message(json, name, message);
}

void outcome_resources_json(const struct outcome *outcome, struct json *json)
{
    struct arena arena;
    arena_init(&arena, 0);
    size_t count;
    struct outcome_resource *all = outcome_resources(outcome, &arena, &count);
    json_object_begin(json, NULL);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || all[i].type != all[i - 1].type)
            json_object_begin(json, types_name(all[i].type));
        write_resource(json, &all[i], &arena);
        if (i + 1 == count || all[i + 1].type != all[i].type)
            json_object_end(json);
    }
    json_object_end(json);
    arena_fini(&arena);
}

void outcome_status_json(const struct outcome *outcome, struct json *json)
{
    struct arena arena;
    arena_init(&arena, 0);
    size_t count;
    const struct object_status **all = outcome_statuses(outcome, &arena, &count);
    json_array_begin(json, NULL);
    for (size_t i = 0; i < count; i++)
        conditions_status_json(json, all[i]);
    json_array_end(json);
    arena_fini(&arena);
}

void outcome_faults_json(const struct outcome *outcome, struct json *json)
{
    static const char *const LEVELS[] = {"error", "warning", "note"};
    struct arena arena;
    arena_init(&arena, 0);
    size_t count;
    const struct fault **all = outcome_faults(outcome, &arena, &count);
    json_array_begin(json, NULL);
    for (size_t i = 0; i < count; i++) {
        const struct fault *fault = all[i];
        json_object_begin(json, NULL);
        json_string(json, "level", LEVELS[fault->level]);
        json_string(json, "code", fault->code);
        json_text(json, "where", fault->where);
        json_text(json, "field", fault->field);
        json_text(json, "what", fault->what);
        if (fault->hint.len > 0)
            json_text(json, "hint", fault->hint);
        if (fault->file.len > 0)
            json_text(json, "file", fault->file);
        json_int(json, "line", fault->line);
        json_int(json, "column", fault->column);
        json_object_end(json);
    }
    json_array_end(json);
    arena_fini(&arena);
}
