/* Pieces: made in one go, in an arena of their own. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/piece.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "schema/digest.h"
#include "schema/pack.h"

#define PIECE_BLOCK 256 /* small: there may be 100,000 routes */

struct piece *piece_new(struct store_key key)
{
    struct piece *piece = memory_new(struct piece);
    arena_init(&piece->arena, PIECE_BLOCK);
    faults_init(&piece->faults, &piece->arena);
    piece->key = piece_key_copy(&piece->arena, key);
    return piece;
}

void piece_free(struct piece *piece)
{
    if (piece == NULL)
        return;
    faults_fini(&piece->faults);
    arena_fini(&piece->arena);
    free(piece);
}

/* Grows an array in the arena; the old one stays there, which is cheap for the short lists here. */
static void *grow(struct arena *arena, void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return items;
    size_t more = *cap == 0 ? 2 : *cap * 2;
    void *grown = arena_alloc(arena, more * size);
    if (count > 0)
        memcpy(grown, items, count * size);
    *cap = more;
    return grown;
}

void piece_add_resource(struct piece *piece, enum resource_type type, struct text name,
                        const void *message, struct arena *scratch)
{
    struct text bytes = schema_pack(message, scratch);
    /* Name, NUL and bytes in one run: that is what the digest is taken over. */
    char *keyed = arena_alloc(&piece->arena, name.len + 1 + bytes.len);
    memcpy(keyed, name.data, name.len);
    keyed[name.len] = '\0';
    if (bytes.len > 0)
        memcpy(keyed + name.len + 1, bytes.data, bytes.len);
    piece->resources = grow(&piece->arena, piece->resources, piece->resource_count,
                            &piece->resource_cap, sizeof(*piece->resources));
    piece->resources[piece->resource_count++] = (struct outcome_resource){
        .type = type,
        .name = text_from(keyed, name.len),
        .bytes = text_from(keyed + name.len + 1, bytes.len),
        .digest = schema_digest_keyed(text_from(keyed, name.len + 1 + bytes.len)),
        .owner = &piece->key,
    };
}

struct object_status *piece_status(struct piece *piece, const struct kind_object *object,
                                   struct text controller)
{
    if (piece->status == NULL) {
        piece->status = arena_new(&piece->arena, struct object_status);
        piece->status->key = piece->key;
        piece->status->generation = object->meta.generation;
        piece->status->controller = controller;
    }
    return piece->status;
}

void piece_add_want(struct piece *piece, const struct piece_want *want)
{
    for (size_t i = 0; i < piece->want_count; i++) {
        if (text_equal(piece->wants[i].resource, want->resource) &&
            piece->wants[i].type == want->type &&
            text_equal(piece->wants[i].gateway, want->gateway))
            return;
    }
    piece->wants = grow(&piece->arena, piece->wants, piece->want_count, &piece->want_cap,
                        sizeof(*piece->wants));
    struct piece_want *copy = &piece->wants[piece->want_count++];
    *copy = *want;
    copy->resource = arena_text(&piece->arena, want->resource);
    copy->object = piece_key_copy(&piece->arena, want->object);
    copy->gateway = arena_text(&piece->arena, want->gateway);
    copy->client = piece_key_copy(&piece->arena, want->client);
}

void piece_add_foreign(struct piece *piece, struct text namespace)
{
    for (size_t i = 0; i < piece->foreign_count; i++) {
        if (text_equal(piece->foreign[i], namespace))
            return;
    }
    struct text *grown = arena_array(&piece->arena, struct text, piece->foreign_count + 1);
    if (piece->foreign_count > 0)
        memcpy(grown, piece->foreign, piece->foreign_count * sizeof(*grown));
    grown[piece->foreign_count++] = arena_text(&piece->arena, namespace);
    piece->foreign = grown;
}

void piece_add_target(struct piece *piece, struct store_key target)
{
    struct store_key *grown = arena_array(&piece->arena, struct store_key, piece->target_count + 1);
    if (piece->target_count > 0)
        memcpy(grown, piece->targets, piece->target_count * sizeof(*grown));
    grown[piece->target_count++] = piece_key_copy(&piece->arena, target);
    piece->targets = grown;
}

void piece_fault(struct piece *piece, const struct kind_object *object,
                 const struct piece_spot *spot, struct text what)
{
    struct fault fault = {
        .level = spot->level,
        .code = spot->code,
        .where = kind_describe(object, &piece->arena),
        .field = spot->field,
        .what = what,
        .hint = spot->hint,
        .file = object->meta.file,
        .line = spot->place.line != 0 ? spot->place.line : object->meta.place.line,
        .column = spot->place.line != 0 ? spot->place.column : object->meta.place.column,
    };
    faults_copy(&piece->faults, &fault);
}

void piece_take_faults(struct piece *piece, const struct piece *from)
{
    for (size_t i = 0; i < from->faults.count; i++)
        faults_copy(&piece->faults, &from->faults.items[i]);
}

static struct text join(struct arena *arena, struct text head, struct text namespace,
                        struct text name)
{
    char *out = arena_alloc(arena, head.len + namespace.len + name.len + 2);
    size_t len = 0;
    if (head.len > 0) {
        memcpy(out, head.data, head.len);
        len = head.len;
        out[len++] = '/';
    }
    if (namespace.len > 0)
        memcpy(out + len, namespace.data, namespace.len);
    len += namespace.len;
    out[len++] = '/';
    if (name.len > 0)
        memcpy(out + len, name.data, name.len);
    return text_from(out, len + name.len);
}

struct text piece_key(struct arena *arena, struct store_key key)
{
    return join(arena, text_of(kind_name(key.kind)), key.namespace, key.name);
}

struct text piece_path(struct arena *arena, struct text namespace, struct text name)
{
    return join(arena, TEXT_NONE, namespace, name);
}

struct store_key piece_key_of(const struct kind_object *object)
{
    return (struct store_key){object->id, object->meta.namespace, object->meta.name};
}

struct store_key piece_key_copy(struct arena *arena, struct store_key key)
{
    return (struct store_key){key.kind, arena_text(arena, key.namespace),
                              arena_text(arena, key.name)};
}

bool piece_keys_equal(struct store_key a, struct store_key b)
{
    return piece_keys_compare(a, b) == 0;
}

int piece_keys_compare(struct store_key a, struct store_key b)
{
    if (a.kind != b.kind)
        return a.kind < b.kind ? -1 : 1;
    int order = text_compare(a.namespace, b.namespace);
    return order != 0 ? order : text_compare(a.name, b.name);
}
