/* Parts by name, what refers to them, and the two ends of a change: see part.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/compile/part.h"

#include <stdlib.h>

#include "base/memory.h"

struct part *part_find(const struct compile *compile, enum resource_type type, struct text name)
{
    return map_get(&compile->parts[type], name);
}

struct part *part_take(struct change *change, enum resource_type type, struct text name)
{
    struct part *part = part_find(change->compile, type, name);
    if (part != NULL)
        return part;
    part = memory_alloc(sizeof(*part) + name.len + 1);
    part->type = type;
    part->slot = SLOT_NONE;
    char *copy = (char *)(part + 1);
    if (name.len > 0)
        memcpy(copy, name.data, name.len);
    part->name = text_from(copy, name.len);
    map_put(&change->compile->parts[type], part->name, part);
    return part;
}

void part_touch(struct change *change, struct part *part)
{
    if (part->staged)
        return;
    part->staged = true;
    part->next_present = part->present;
    change->touched = memory_grow(change->touched, change->touched_count, &change->touched_cap,
                                  sizeof(struct part *));
    change->touched[change->touched_count++] = part;
}

bool part_will_be(const struct part *part)
{
    return part != NULL && (part->staged ? part->next_present : part->present);
}

struct text part_bytes(const struct part *part)
{
    if (part->edited)
        return text_from(part->next_bytes, part->next_bytes_len);
    return text_from(part->bytes, part->bytes_len);
}

void part_use(struct change *change, struct part *part, int32_t delta)
{
    part_touch(change, part);
    part->users_delta += delta;
}

/* ---- slots ---- */

static uint64_t oldest_life(struct compile *compile)
{
    struct snapshot_lives *lives = &compile->lives;
    size_t kept = 0;
    uint64_t oldest = UINT64_MAX;
    for (size_t i = 0; i < lives->count; i++) {
        if (atomic_load_explicit(&lives->items[i].life->ended, memory_order_acquire)) {
            snapshot_life_unref(lives->items[i].life);
            continue;
        }
        oldest = MIN(oldest, lives->items[i].number);
        lives->items[kept++] = lives->items[i];
    }
    lives->count = kept;
    return oldest;
}

void part_lives_add(struct compile *compile, uint64_t number, struct snapshot_life *life)
{
    struct snapshot_lives *lives = &compile->lives;
    lives->items = memory_grow(lives->items, lives->count, &lives->cap, sizeof(*lives->items));
    lives->items[lives->count].number = number;
    lives->items[lives->count++].life = life;
    oldest_life(compile);
}

void part_slot(struct change *change, struct part *part)
{
    if (part->slot != SLOT_NONE)
        return;
    struct slots *slots = &change->compile->slots[part->type];
    part->slot_is_new = true;
    /* A snapshot that still names the slot's last owner must be gone. */
    if (slots->freed_first < slots->freed_count &&
        slots->freed[slots->freed_first].number <= oldest_life(change->compile)) {
        part->slot = slots->freed[slots->freed_first++].slot;
        return;
    }
    part->slot = slots->count++;
}

static void slot_free(struct compile *compile, struct part *part, uint64_t number)
{
    if (part->slot == SLOT_NONE)
        return;
    struct slots *slots = &compile->slots[part->type];
    if (slots->freed_first > 0 && slots->freed_first * 2 >= slots->freed_count) {
        slots->freed_count -= slots->freed_first;
        memmove(slots->freed, slots->freed + slots->freed_first,
                sizeof(*slots->freed) * slots->freed_count);
        slots->freed_first = 0;
    }
    slots->freed =
        memory_grow(slots->freed, slots->freed_count, &slots->freed_cap, sizeof(*slots->freed));
    slots->freed[slots->freed_count++] = (struct slot_freed){part->slot, number};
    part->slot = SLOT_NONE;
}

/* ---- the end of a change ---- */

static void drop_listener(struct part_listener *listener)
{
    listener_config_unref(listener->config);
    free(listener->addresses);
    free(listener->secrets);
    free(listener->client_cas);
    free(listener);
}

void part_drop_value(enum resource_type type, void *value)
{
    if (value == NULL)
        return;
    if (type == RESOURCE_ROUTE) {
        route_unref(value);
    } else if (type == RESOURCE_SECRET) {
        struct part_secret *secret = value;
        tls_certificate_unref(secret->certificate);
        free((char *)(uintptr_t)secret->ca.data);
        free(secret);
    } else if (type == RESOURCE_LISTENER) {
        drop_listener(value);
    } else if (type == RESOURCE_BACKEND) {
        struct part_backend *backend = value;
        backend_unref(backend->backend);
        free(backend->cas);
        free(backend->resolved);
        free(backend->down);
        free(backend);
    }
}

void part_free(struct part *part)
{
    part_drop_value(part->type, part->value);
    free(part->bytes);
    free(part);
}

static void settle(struct part *part)
{
    part->next = NULL;
    part->next_bytes = NULL;
    part->next_bytes_len = 0;
    part->users_delta = 0;
    part->staged = part->edited = part->slot_is_new = false;
}

static void forget_if_empty(struct compile *compile, struct part *part)
{
    if (part->present || part->users > 0)
        return;
    map_remove(&compile->parts[part->type], part->name);
    part_free(part);
}

void part_commit(struct change *change)
{
    struct compile *compile = change->compile;
    for (size_t i = 0; i < change->touched_count; i++) {
        struct part *part = change->touched[i];
        if (part->next != NULL || !part->next_present) {
            part_drop_value(part->type, part->value);
            part->value = part->next;
        }
        if (part->edited) {
            free(part->bytes);
            part->bytes = part->next_bytes;
            part->bytes_len = part->next_bytes_len;
        }
        part->present = part->next_present;
        part->users = (uint32_t)((int32_t)part->users + part->users_delta);
        if (!part->present)
            slot_free(compile, part, compile->number);
        settle(part);
    }
    for (size_t i = 0; i < change->touched_count; i++)
        forget_if_empty(compile, change->touched[i]);
}

void part_abort(struct change *change)
{
    for (size_t i = 0; i < change->touched_count; i++) {
        struct part *part = change->touched[i];
        part_drop_value(part->type, part->next);
        free(part->next_bytes);
        if (part->slot_is_new) /* nobody saw it: free from the start */
            slot_free(change->compile, part, 0);
        settle(part);
    }
    for (size_t i = 0; i < change->touched_count; i++)
        forget_if_empty(change->compile, change->touched[i]);
}

struct fault part_fault(struct change *change, const struct part *part, const char *code,
                        struct text field)
{
    return (struct fault){
        .code = code,
        .where = arena_printf(&change->scratch, "%s " TEXT_FMT, types_full_name(part->type),
                              TEXT_ARG(part->name)),
        .field = field,
    };
}

void compile_fault_split(const struct fault *fault, struct text *ret_type,
                         struct text *ret_resource)
{
    size_t blank = text_find(fault->where, ' ', 0);
    *ret_type = text_slice(fault->where, 0, blank);
    *ret_resource = text_slice(fault->where, blank + 1, fault->where.len);
}

void *part_message(struct change *change, const struct part *part,
                   const ProtobufCMessageDescriptor *type, struct text bytes)
{
    arena_reset(&change->scratch);
    void *message = NULL;
    enum err err = schema_unpack(type, bytes, &change->scratch, &message);
    if (err == ERR_NONE)
        return message;
    struct fault fault = part_fault(change, part, "Malformed", TEXT_NONE);
    faults_add(change->faults, &fault, "the bytes are no message of this type (%s)", err_name(err));
    return NULL;
}
