/* Commit records: what both planes must compute alike. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/record.h"

#include <inttypes.h>

#include "base/limits.h"
#include "schema/digest.h"
#include "schema/pack.h"
#include "schema/unpack.h"

static Nantian__Config__V1__Digest *digest_message(struct digest digest, struct arena *arena)
{
    Nantian__Config__V1__Digest *message = arena_new(arena, Nantian__Config__V1__Digest);
    nantian__config__v1__digest__init(message);
    message->high = digest.high;
    message->low = digest.low;
    return message;
}

static struct digest digest_value(const Nantian__Config__V1__Digest *message)
{
    return message == NULL ? (struct digest){0, 0} : (struct digest){message->high, message->low};
}

/* The types whose sums are not those of `base` (NULL: all), under that version. */
static struct text write_record(const struct resource_sums *sums, const struct resource_sums *base,
                                const struct snapshot_version *version, struct arena *arena)
{
    Nantian__Config__V1__Snapshot message = NANTIAN__CONFIG__V1__SNAPSHOT__INIT;
    message.changes_only = base != NULL;
    message.version = version_to_message(version, arena);
    message.digest = digest_message(resource_sums_digest(sums), arena);
    message.types = arena_array(arena, Nantian__Config__V1__TypeDigest *, RESOURCE_TYPES);
    for (unsigned i = 0; i < RESOURCE_CONTENT_TYPES; i++) {
        enum resource_type kind = types_push_order()[i];
        if (base != NULL && base->count[kind] == sums->count[kind] &&
            digest_equal(base->digest[kind], sums->digest[kind]))
            continue;
        Nantian__Config__V1__TypeDigest *type = arena_new(arena, Nantian__Config__V1__TypeDigest);
        nantian__config__v1__type_digest__init(type);
        type->type = arena_string(arena, text_of(types_full_name(kind)));
        type->count = sums->count[kind];
        type->digest = digest_message(sums->digest[kind], arena);
        message.types[message.n_types++] = type;
    }
    return schema_pack(&message, arena);
}

struct resource *record_new(const struct resource_sums *sums,
                            const struct snapshot_version *version)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct text bytes = write_record(sums, NULL, version, &arena);
    struct resource *resource =
        resource_new(RESOURCE_SNAPSHOT, TEXT(TYPES_SNAPSHOT_NAME), bytes, TEXT_NONE);
    arena_fini(&arena);
    return resource;
}

struct resource *record_since(struct resource *record, const struct record_content *content,
                              const struct record_content *before)
{
    struct snapshot_version changes;
    if (!version_since(content->version, before->version, &changes))
        return resource_ref(record);
    struct arena arena;
    char hex[33];
    arena_init(&arena, 0);
    struct text bytes = write_record(content->sums, before->sums, &changes, &arena);
    struct resource *resource = resource_new(RESOURCE_SNAPSHOT, TEXT(TYPES_SNAPSHOT_NAME), bytes,
                                             resource_version(record, hex));
    arena_fini(&arena);
    return resource;
}

/* Type after type of `changes` into the place that `whole` has for it. */
static bool lay_types(Nantian__Config__V1__Snapshot *whole,
                      const Nantian__Config__V1__Snapshot *changes, struct arena *arena)
{
    size_t room = whole->n_types + changes->n_types;
    Nantian__Config__V1__TypeDigest **types =
        arena_array(arena, Nantian__Config__V1__TypeDigest *, room + 1);
    for (size_t i = 0; i < whole->n_types; i++)
        types[i] = whole->types[i];
    whole->types = types;
    for (size_t i = 0; i < changes->n_types; i++) {
        size_t at = 0;
        while (at < whole->n_types && strcmp(types[at]->type, changes->types[i]->type) != 0)
            at++;
        types[at] = changes->types[i];
        whole->n_types += at == whole->n_types;
        if (whole->n_types > LIMIT_RECORD_TYPES)
            return false;
    }
    return true;
}

static bool lay_version(Nantian__Config__V1__Snapshot *whole,
                        const Nantian__Config__V1__Snapshot *changes, struct arena *arena)
{
    struct snapshot_version base, over;
    if (!version_from_message(whole->version, &base) ||
        !version_from_message(changes->version, &over) || base.epoch != over.epoch ||
        base.hold != over.hold)
        return false;
    for (uint32_t i = 0; i < over.count; i++)
        if (!version_set(&base, text_of(over.vector[i].kind), over.vector[i].revision))
            return false;
    whole->version = version_to_message(&base, arena);
    return true;
}

enum err record_complete(struct text bytes, struct text base, struct arena *arena,
                         struct text *ret_whole)
{
    void *changes, *before;
    const ProtobufCMessageDescriptor *shape = &nantian__config__v1__snapshot__descriptor;
    enum err err = schema_unpack(shape, bytes, arena, &changes);
    if (err != ERR_NONE)
        return err;
    Nantian__Config__V1__Snapshot *said = changes;
    *ret_whole = bytes;
    if (!said->changes_only)
        return ERR_NONE;
    if (base.len == 0 || schema_unpack(shape, base, arena, &before) != ERR_NONE)
        return ERR_INVALID;
    Nantian__Config__V1__Snapshot *whole = before;
    if (!lay_version(whole, said, arena) || !lay_types(whole, said, arena))
        return ERR_INVALID;
    whole->digest = said->digest;
    *ret_whole = schema_pack(whole, arena);
    return ERR_NONE;
}

enum err record_read(struct text bytes, struct arena *arena, struct record *ret_record)
{
    void *message;
    enum err err =
        schema_unpack(&nantian__config__v1__snapshot__descriptor, bytes, arena, &message);
    if (err != ERR_NONE)
        return err;
    struct record record = {.message = message};
    if (record.message->digest == NULL || record.message->changes_only ||
        !version_from_message(record.message->version, &record.version))
        return ERR_INVALID;
    record.digest = digest_value(record.message->digest);
    *ret_record = record;
    return ERR_NONE;
}

static void add_fault(struct faults *faults, const char *type, uint64_t announced, uint64_t held)
{
    struct fault fault = {.code = "SnapshotMismatch", .where = text_of(type)};
    if (announced != held)
        faults_add(faults, &fault, "%" PRIu64 " resources announced, %" PRIu64 " held", announced,
                   held);
    else
        faults_add(faults, &fault, "the %" PRIu64 " resources held are not those announced", held);
}

enum record_fit record_check(const struct record *record, const struct resource_sums *sums,
                             struct faults *faults)
{
    enum record_fit fit = RECORD_FITS;
    struct resource_sums said = {0};
    for (size_t i = 0; i < record->message->n_types; i++) {
        const Nantian__Config__V1__TypeDigest *entry = record->message->types[i];
        enum resource_type type;
        if (types_from_full_name(text_of(entry->type), &type) && type != RESOURCE_SNAPSHOT) {
            said.count[type] += entry->count;
            schema_digest_add(&said.digest[type], digest_value(entry->digest));
        } else if (entry->count > 0) {
            struct fault fault = {.code = "UnknownType",
                                  .where = text_of(entry->type),
                                  .hint = TEXT("The data plane is older than the control plane.")};
            faults_add(faults, &fault, "this data plane does not know the type");
            fit = RECORD_INCOMPLETE;
        }
    }
    for (unsigned i = 0; i < RESOURCE_CONTENT_TYPES; i++) {
        enum resource_type type = types_push_order()[i];
        bool counted = said.count[type] == sums->count[type];
        if (counted && digest_equal(said.digest[type], sums->digest[type]))
            continue;
        add_fault(faults, types_name(type), said.count[type], sums->count[type]);
        if (!counted)
            fit = RECORD_INCOMPLETE;
        else if (fit == RECORD_FITS)
            fit = RECORD_DIGEST;
    }
    if (fit == RECORD_FITS && !digest_equal(record->digest, resource_sums_digest(sums))) {
        struct fault fault = {.code = "SnapshotMismatch", .where = TEXT("Snapshot")};
        faults_add(faults, &fault, "the digest over all types is not theirs");
        fit = RECORD_DIGEST;
    }
    return fit;
}
