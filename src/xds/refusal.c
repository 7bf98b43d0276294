/* Faults to NACK and back. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/refusal.h"

#include "base/builder.h"
#include "grpc/grpc.h"
#include "schema/pack.h"
#include "schema/types.h"
#include "schema/unpack.h"

#define REFUSAL_URL  "type.googleapis.com/nantian.config.v1.Refusal"
#define MESSAGE_MAX  4096 /* words for people; the details carry every fault */
#define FAULTS_NAMED 5

/* The peer takes UTF-8 only: a name that is none must not cost the whole refusal. */
static char *string_or_empty(struct text text, struct arena *arena)
{
    char *copy = arena_string(arena, text.len == 0 ? TEXT("") : text);
    for (size_t i = 0; !unpack_is_utf8(text) && i < text.len; i++) {
        if (copy[i] == 0 || (unsigned char)copy[i] >= 0x80)
            copy[i] = '?';
    }
    return copy;
}

static Nantian__Config__V1__Fault *fault_message(const struct fault *fault, struct arena *arena)
{
    Nantian__Config__V1__Fault *message = arena_new(arena, Nantian__Config__V1__Fault);
    nantian__config__v1__fault__init(message);
    struct text resource = fault->where, word;
    enum resource_type type;
    struct text rest = fault->where;
    if (text_split(&rest, ' ', &word) &&
        (types_from_name(word, &type) || types_from_full_name(word, &type))) {
        message->type = string_or_empty(text_of(types_full_name(type)), arena);
        resource = rest;
    }
    message->resource = string_or_empty(resource, arena);
    message->field = string_or_empty(fault->field, arena);
    message->reason = string_or_empty(fault->what, arena);
    message->hint = string_or_empty(fault->hint, arena);
    message->local = fault->is_local;
    return message;
}

static struct text words(const struct refusal *refusal, struct arena *arena)
{
    CLEANUP(builder_fini) struct builder out = {0};
    builder_add_string(&out, "snapshot");
    if (refusal->offered != NULL) {
        builder_add_char(&out, ' ');
        builder_add(&out, version_format(refusal->offered, arena));
    }
    builder_printf(&out, " refused (%s)", refusal->reason);
    if (refusal->held != NULL) {
        builder_add_string(&out, ", holding ");
        builder_add(&out, version_format(refusal->held, arena));
    }
    size_t count = refusal->faults == NULL ? 0 : refusal->faults->count;
    for (size_t i = 0; i < MIN(count, FAULTS_NAMED); i++) {
        const struct fault *fault = &refusal->faults->items[i];
        builder_printf(&out, "%s " TEXT_FMT, i == 0 ? ":" : ";", TEXT_ARG(fault->where));
        if (fault->field.len > 0)
            builder_printf(&out, " " TEXT_FMT, TEXT_ARG(fault->field));
        builder_printf(&out, ": " TEXT_FMT, TEXT_ARG(fault->what));
    }
    if (count > FAULTS_NAMED)
        builder_printf(&out, "; and %zu more", count - FAULTS_NAMED + refusal->faults->dropped);
    size_t len = MIN(out.len, (size_t)MESSAGE_MAX);
    while (len > 0 && len < out.len && ((unsigned char)out.data[len] & 0xc0) == 0x80)
        len--;
    return text_of(string_or_empty(text_from(out.data, len), arena));
}

Google__Rpc__Status *refusal_to_status(const struct refusal *refusal, struct arena *arena)
{
    Nantian__Config__V1__Refusal message = NANTIAN__CONFIG__V1__REFUSAL__INIT;
    message.reason = arena_string(arena, text_of(refusal->reason));
    if (refusal->offered != NULL)
        message.offered = version_to_message(refusal->offered, arena);
    if (refusal->held != NULL)
        message.held = version_to_message(refusal->held, arena);
    size_t count = refusal->faults == NULL ? 0 : refusal->faults->count;
    message.faults = arena_array(arena, Nantian__Config__V1__Fault *, count + 1);
    for (size_t i = 0; i < count; i++)
        message.faults[message.n_faults++] = fault_message(&refusal->faults->items[i], arena);
    struct text bytes = schema_pack(&message, arena);

    Google__Protobuf__Any *any = arena_new(arena, Google__Protobuf__Any);
    google__protobuf__any__init(any);
    any->type_url = arena_string(arena, TEXT(REFUSAL_URL));
    any->value.len = bytes.len;
    any->value.data = arena_alloc(arena, bytes.len + 1);
    memcpy(any->value.data, bytes.data, bytes.len);
    Google__Rpc__Status *status = arena_new(arena, Google__Rpc__Status);
    google__rpc__status__init(status);
    bool invalid = strcmp(refusal->reason, "invalid") == 0;
    status->code = invalid ? GRPC_INVALID_ARGUMENT : GRPC_FAILED_PRECONDITION;
    status->message = arena_string(arena, words(refusal, arena));
    status->details = arena_array(arena, Google__Protobuf__Any *, 1);
    status->details[status->n_details++] = any;
    return status;
}

Nantian__Config__V1__Refusal *refusal_from_status(const Google__Rpc__Status *status,
                                                  struct arena *arena)
{
    for (size_t i = 0; i < status->n_details; i++) {
        const Google__Protobuf__Any *any = status->details[i];
        void *message;
        if (text_is(TEXT(REFUSAL_URL), any->type_url) &&
            schema_unpack(&nantian__config__v1__refusal__descriptor, unpack_bytes(&any->value),
                          arena, &message) == ERR_NONE)
            return message;
    }
    return NULL;
}
