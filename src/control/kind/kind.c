/* From a document to objects: type, metadata, spec, digests; Lists unrolled. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/kind.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "control/kind/canonical.h"
#include "control/kind/gateway_parameters.h"
#include "control/kind/meta.h"
#include "control/kind/registry.h"
#include "control/kind/service.h"

#define OBJECT_BLOCK 1024 /* most objects take one or two */
#define WHERE_MAX    400  /* kind, namespace and name, cut if they are absurd */

/* What one call of kind_decode carries along. */
struct source {
    struct text file;
    enum kind_mode mode;
    struct kind_objects *objects;
    struct faults *faults;
};

struct kind_object *kind_object_ref(struct kind_object *object)
{
    object->refs++;
    return object;
}

void kind_object_unref(struct kind_object *object)
{
    if (object == NULL || --object->refs > 0)
        return;
    arena_fini(&object->arena);
    free(object);
}

void kind_objects_fini(struct kind_objects *objects)
{
    if (objects == NULL)
        return;
    for (size_t i = 0; i < objects->count; i++)
        kind_object_unref(objects->items[i]);
    free(objects->items);
    *objects = (struct kind_objects){0};
}

struct text kind_describe(const struct kind_object *object, struct arena *arena)
{
    const struct kind_meta *meta = &object->meta;
    if (meta->namespace.len == 0)
        return arena_printf(arena, "%s " TEXT_FMT, kind_name(object->id), TEXT_ARG(meta->name));
    return arena_printf(arena, "%s " TEXT_FMT "/" TEXT_FMT, kind_name(object->id),
                        TEXT_ARG(meta->namespace), TEXT_ARG(meta->name));
}

static void refuse(const struct source *source, const struct value *at, struct fault fault,
                   const char *what)
{
    fault.file = source->file;
    fault.line = at->line;
    fault.column = at->column;
    faults_add(source->faults, &fault, "%s", what);
}

static struct text group_of(struct text api_version)
{
    size_t slash = text_find(api_version, '/', 0);
    return slash == api_version.len ? TEXT("") : text_slice(api_version, 0, slash);
}

static bool is_listed(const char *const *names, size_t count, struct text text)
{
    for (size_t i = 0; i < count && names[i] != NULL; i++)
        if (text_is(text, names[i]))
            return true;
    return false;
}

/* Other people's kinds are ignored, but a slip in one of ours is said. */
static void unknown_kind(const struct source *source, const struct value *document,
                         struct text api_version, struct text kind)
{
    const struct registry_kind *guess = registry_guess(group_of(api_version), kind);
    const struct value *at = value_get(document, "kind");
    struct arena *arena = source->faults->arena;
    struct fault fault = {.level = FAULT_NOTE, .code = "UnknownKind", .field = TEXT("kind")};
    if (guess == NULL) {
        refuse(source, at == NULL ? document : at, fault,
               arena_printf(arena, TEXT_FMT " (" TEXT_FMT ") is not used here", TEXT_ARG(kind),
                            TEXT_ARG(api_version))
                   .data);
        return;
    }
    fault.level = source->mode == KIND_STRICT ? FAULT_ERROR : FAULT_WARNING;
    fault.hint = arena_printf(arena, "did you mean apiVersion: %s%s%s, kind: %s?", guess->group,
                              guess->group[0] == '\0' ? "" : "/", guess->versions[0], guess->name);
    refuse(source, at == NULL ? document : at, fault,
           arena_printf(arena, "there is no kind " TEXT_FMT " in " TEXT_FMT, TEXT_ARG(kind),
                        TEXT_ARG(api_version))
               .data);
}

static bool check_version(struct decode *decode, const struct registry_kind *kind,
                          const struct value *at, struct text api_version)
{
    size_t slash = text_find(api_version, '/', 0);
    struct text version = slash == api_version.len
                              ? api_version
                              : text_slice(api_version, slash + 1, api_version.len);
    const char *hint = decode_child(decode, "write %s%s%s", kind->group,
                                    kind->group[0] == '\0' ? "" : "/", kind->versions[0]);
    struct decode_fault fault = {.at = at, .child = "apiVersion", .hint = hint};
    if (!is_listed(kind->versions, ARRAY_LEN(kind->versions), version)) {
        fault.code = "UnknownVersion";
        decode_add(decode, &fault, "%s has no version " TEXT_FMT, kind->name, TEXT_ARG(version));
        return false;
    }
    if (is_listed(kind->deprecated, ARRAY_LEN(kind->deprecated), version)) {
        fault.code = "DeprecatedVersion";
        fault.level = FAULT_NOTE;
        decode_add(decode, &fault, "version " TEXT_FMT " of %s is deprecated", TEXT_ARG(version),
                   kind->name);
    }
    return true;
}

/* Of all that makes two objects differ, positions and statuses apart. */
static void set_digests(struct kind_object *object, const struct value *document)
{
    static const char *const outside[] = {"apiVersion", "kind", "metadata", "status"};
    struct builder out CLEANUP(builder_fini) = {0};
    struct value rest = *document;
    rest.map.members = memory_alloc(sizeof(struct value_member) * (rest.map.count + 1));
    rest.map.count = 0;
    for (size_t i = 0; i < document->map.count; i++)
        if (!is_listed(outside, ARRAY_LEN(outside), document->map.members[i].key))
            rest.map.members[rest.map.count++] = document->map.members[i];
    canonical_add(&out, &rest);
    free(rest.map.members);
    for (size_t i = 0; object->id == KIND_GATEWAY_PARAMETERS && i < KIND_OVERLAYS; i++) {
        builder_add_char(&out, '\n'); /* in an overlay a null says something */
        builder_add(&out, object->gateway_parameters->overlays[i]);
    }
    object->spec_digest = hash_digest(builder_text(&out));

    const struct value *metadata = value_get(document, "metadata");
    static const char *const parts[] = {
        "labels", "annotations", "uid", "creationTimestamp", "generation", "deletionTimestamp"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const struct value *part = value_get(metadata, parts[i]);
        builder_add_char(&out, '\n');
        builder_add_string(&out, parts[i]);
        builder_add_char(&out, ':');
        if (part != NULL)
            canonical_add(&out, part);
    }
    builder_add(&out, object->meta.api_version);
    for (size_t i = 0; object->id == KIND_SERVICE && i < object->service->ingress.count; i++)
        builder_printf(&out, "\n" TEXT_FMT, TEXT_ARG(object->service->ingress.items[i]));
    object->digest = hash_digest(builder_text(&out));
}

/* The fields beside metadata that every kind with a spec has. */
static const struct decode_field top_fields[] = {
    {.name = "apiVersion"}, {.name = "kind"},   {.name = "metadata"},
    {.name = "spec"},       {.name = "status"},
};

static const struct decode_shape top_shape = {
    .size = sizeof(struct kind_place),
    .fields = top_fields,
    .count = ARRAY_LEN(top_fields),
};

static void decode_content(struct decode *decode, struct kind_object *object,
                           const struct registry_kind *kind, const struct value *document)
{
    struct kind_place ignored = {0};
    if (kind->has_spec)
        decode_struct(decode, &top_shape, document, &ignored);
    const struct decode_shape *shape = kind->shape;
    if (shape == NULL)
        return;
    if (kind->alpha_shape != NULL && text_ends_with(object->meta.api_version, TEXT("/v1alpha2")))
        shape = kind->alpha_shape;
    void *content = arena_zalloc(&object->arena, shape->size);
    object->any = content;
    if (!kind->has_spec) {
        decode_struct(decode, shape, document, content);
    } else {
        const struct value *spec = value_get(document, "spec");
        if (spec == NULL || spec->kind == VALUE_NULL)
            decode_add(
                decode,
                &(struct decode_fault){.code = "MissingField", .at = document, .child = "spec"},
                "spec is required");
        decode_member(decode, shape, spec, "spec", content);
    }
    if (kind->id == KIND_SERVICE)
        service_read_status(content, value_get(document, "status"), &object->arena);
    if (kind->id == KIND_ENDPOINT_SLICE)
        ((struct kind_endpoint_slice *)content)->service_name =
            kind_pairs_get(&object->meta.labels, "kubernetes.io/service-name");
}

static void settle_namespace(struct decode *decode, struct kind_meta *meta,
                             const struct registry_kind *kind, const struct value *metadata)
{
    if (kind->is_namespaced) {
        if (meta->namespace.len == 0)
            meta->namespace = TEXT("default");
        return;
    }
    if (meta->namespace.len > 0)
        decode_add(decode,
                   &(struct decode_fault){.code = "FieldConflict",
                                          .at = value_get(metadata, "namespace"),
                                          .child = "metadata.namespace",
                                          .level = FAULT_WARNING},
                   "%s belongs to no namespace", kind->name);
    meta->namespace = TEXT_NONE;
}

static struct text describe_raw(char buffer[WHERE_MAX], const struct registry_kind *kind,
                                const struct value *metadata)
{
    struct text name = value_string(value_get(metadata, "name"));
    struct text namespace = value_string(value_get(metadata, "namespace"));
    if (namespace.len == 0 && kind->is_namespaced)
    namespace = TEXT("default");
    bool has_namespace = kind->is_namespaced;
    name = name.len == 0 ? TEXT("") : name;
    int len = snprintf(buffer, WHERE_MAX, "%s %.*s%s%.*s", kind->name,
                       has_namespace ? (int)MIN(namespace.len, (size_t)64) : 0, namespace.data,
                       has_namespace ? "/" : "", (int)MIN(name.len, (size_t)256), name.data);
    return text_from(buffer, (size_t)len);
}

static void decode_object(const struct source *source, const struct registry_kind *kind,
                          const struct value *document, struct text api_version)
{
    const struct value *metadata = value_get(document, "metadata");
    char where[WHERE_MAX];
    struct kind_object *object = memory_new(struct kind_object);
    object->id = kind->id;
    object->refs = 1;
    arena_init(&object->arena, OBJECT_BLOCK);
    struct decode decode = {.arena = &object->arena,
                            .faults = source->faults,
                            .where = describe_raw(where, kind, metadata),
                            .file = source->file,
                            .mode = source->mode};
    const struct value *version_at = value_get(document, "apiVersion");
    bool usable =
        check_version(&decode, kind, version_at == NULL ? document : version_at, api_version);
    object->meta.place = (struct kind_place){document->line, document->column};
    if (metadata == NULL || metadata->kind == VALUE_NULL)
        decode_add(
            &decode,
            &(struct decode_fault){.code = "MissingField", .at = document, .child = "metadata"},
            "metadata is required");
    else
        meta_decode(&decode, metadata, kind->name_format, &object->meta);
    settle_namespace(&decode, &object->meta, kind, metadata);
    object->meta.api_version = arena_text(&object->arena, api_version);
    object->meta.kind = text_of(kind->name);
    object->meta.file = arena_text(&object->arena, source->file);
    decode_content(&decode, object, kind, document);
    set_digests(object, document);
    object->error_count = decode.errors;
    if (!usable || object->meta.name.len == 0) {
        kind_object_unref(object);
        return;
    }
    struct kind_objects *objects = source->objects;
    objects->items =
        memory_grow(objects->items, objects->count, &objects->cap, sizeof(struct kind_object *));
    objects->items[objects->count++] = object;
}

/* `api_version` and `kind` are those of the List around it, for items that name none. */
static void decode_document(const struct source *source, const struct value *document,
                            struct text api_version, struct text kind)
{
    const struct fault not_an_object = {.code = "NotAnObject",
                                        .hint = TEXT("a file holds objects of Kubernetes only")};
    if (document->kind == VALUE_NULL)
        return;
    if (document->kind != VALUE_MAP) {
        refuse(source, document, not_an_object, "this document is no Kubernetes object");
        return;
    }
    struct text own_version = value_string(value_get(document, "apiVersion"));
    struct text own_kind = value_string(value_get(document, "kind"));
    api_version = own_version.len > 0 ? own_version : api_version;
    kind = own_kind.len > 0 ? own_kind : kind;
    if (api_version.len == 0 || kind.len == 0) {
        refuse(source, document, not_an_object,
               kind.len == 0 ? "this document has no kind" : "this document has no apiVersion");
        return;
    }
    const struct value *items = value_get(document, "items");
    if (text_ends_with(kind, TEXT("List")) && items != NULL && items->kind == VALUE_LIST) {
        struct text item_kind = text_slice(kind, 0, kind.len - 4);
        for (size_t i = 0; i < items->list.count; i++)
            decode_document(source, items->list.items[i],
                            item_kind.len > 0 ? api_version : TEXT_NONE, item_kind);
        return;
    }
    const struct registry_kind *found = registry_find(group_of(api_version), kind);
    if (found == NULL)
        unknown_kind(source, document, api_version, kind);
    else
        decode_object(source, found, document, api_version);
}

void kind_decode(const struct value *document, struct text file, enum kind_mode mode,
                 struct kind_objects *objects, struct faults *faults)
{
    const struct source source = {.file = file, .mode = mode, .objects = objects, .faults = faults};
    if (document != NULL)
        decode_document(&source, document, TEXT_NONE, TEXT_NONE);
}
