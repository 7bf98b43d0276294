/* Resources in the files of the state directory: see state_record.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/state_record.h"

#include "xds/record.h"

void state_record_put_u64(char *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (char)(value >> (8 * i) & 0xff);
}

uint64_t state_record_get(const char *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return value;
}

static void put_front(char front[STATE_RECORD_FRONT], unsigned type, const uint32_t lens[3])
{
    front[0] = (char)type;
    for (unsigned k = 0; k < 3; k++) {
        char wide[8];
        state_record_put_u64(wide, lens[k]);
        memcpy(front + 1 + 4 * (size_t)k, wide, 4);
    }
}

void state_record_front(const struct resource *resource, char front[STATE_RECORD_FRONT])
{
    const uint32_t lens[] = {resource->name_len, resource->version_len, resource->bytes_len};
    put_front(front, resource->type, lens);
}

void state_record_add(struct builder *out, const struct resource *resource)
{
    char front[STATE_RECORD_FRONT], hex[33];
    state_record_front(resource, front);
    builder_add(out, text_from(front, sizeof(front)));
    builder_add(out, resource_name(resource));
    if (resource->version_len > 0)
        builder_add(out, resource_version(resource, hex));
    builder_add(out, resource_bytes(resource));
}

void state_record_add_gone(struct builder *out, const struct resource *resource)
{
    char front[STATE_RECORD_FRONT];
    const uint32_t lens[] = {resource->name_len, 0, 0};
    put_front(front, resource->type | STATE_RECORD_GONE, lens);
    builder_add(out, text_from(front, sizeof(front)));
    builder_add(out, resource_name(resource));
}

bool state_record_take(struct text *rest, size_t len, struct text *ret_part)
{
    if (len > rest->len)
        return false;
    *ret_part = text_slice(*rest, 0, len);
    *rest = text_slice(*rest, len, rest->len);
    return true;
}

const char *state_record_apply(struct text *rest, bool in_log, struct resource_set *set)
{
    struct text front, name, version, bytes;
    if (!state_record_take(rest, STATE_RECORD_FRONT, &front) ||
        !state_record_take(rest, state_record_get(front.data + 1, 4), &name) ||
        !state_record_take(rest, state_record_get(front.data + 5, 4), &version) ||
        !state_record_take(rest, state_record_get(front.data + 9, 4), &bytes))
        return "a resource goes beyond the end";
    unsigned type = (unsigned char)front.data[0];
    bool gone = in_log && (type & STATE_RECORD_GONE) != 0;
    type = gone ? type & ~STATE_RECORD_GONE : type;
    if (type >= RESOURCE_TYPES)
        return "it holds a type of a newer program";
    if (!types_name_is_valid(name) || version.len > RESOURCE_VERSION_MAX)
        return "a resource has no usable name";
    if (gone)
        return resource_set_remove(set, (enum resource_type)type, name) ? NULL
                                                                        : "what goes was not there";
    if (!in_log && resource_set_get(set, (enum resource_type)type, name) != NULL)
        return "it holds a resource twice";
    struct resource *resource = resource_new((enum resource_type)type, name, bytes, version);
    resource_set_put(set, resource);
    resource_unref(resource);
    return NULL;
}

const char *state_record_judge(const struct resource_set *set)
{
    struct resource *resource = resource_set_get(set, RESOURCE_SNAPSHOT, TEXT(TYPES_SNAPSHOT_NAME));
    if (resource == NULL || resource_set_count(set, RESOURCE_SNAPSHOT) != 1)
        return "it holds no commit record";
    struct arena arena;
    struct faults faults;
    struct record record;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    const char *why = NULL;
    if (record_read(resource_bytes(resource), &arena, &record) != ERR_NONE)
        why = "its commit record cannot be read";
    else if (record_check(&record, &set->sums, &faults) != RECORD_FITS)
        why = "its commit record does not fit its resources";
    faults_fini(&faults);
    arena_fini(&arena);
    return why;
}
