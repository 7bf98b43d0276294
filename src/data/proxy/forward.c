/* X-Forwarded-* and X-Request-Id. One pass over the fields; a client that is not trusted cannot
 * say who it is, nor say it twice. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/forward.h"

#include "http/field.h"

#define REQUEST_ID_MAX 128

static void id_hex(char *out, uint64_t value, int digits)
{
    static const char HEX[] = "0123456789abcdef";
    for (int i = digits - 1; i >= 0; i--) {
        out[i] = HEX[value & 15];
        value >>= 4;
    }
}

/* A random UUID (RFC 9562, version 4). */
static struct text make_id(struct exchange *x)
{
    char *out = arena_alloc(x->arena, 36);
    uint64_t high = random_next(loop_random(x->loop)), low = random_next(loop_random(x->loop));
    id_hex(out, high >> 32, 8);
    id_hex(out + 9, high >> 16 & 0xffff, 4);
    id_hex(out + 14, 0x4000 | (high & 0xfff), 4);
    id_hex(out + 19, 0x8000 | (low >> 48 & 0x3fff), 4);
    id_hex(out + 24, low & UINT64_C(0xffffffffffff), 12);
    out[8] = out[13] = out[18] = out[23] = '-';
    return text_from(out, 36);
}

/* Kept as the client sent it when a log can show it: visible ASCII, not too long. */
static bool is_usable_id(struct text id)
{
    if (id.len == 0 || id.len > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (id.data[i] <= 0x20 || id.data[i] >= 0x7f)
            return false;
    return true;
}

static struct text append_client(struct exchange *x, struct text before, struct text client)
{
    return arena_printf(x->arena, TEXT_FMT ", " TEXT_FMT, TEXT_ARG(before), TEXT_ARG(client));
}

enum place { PLACE_FOR, PLACE_PROTO, PLACE_HOST, PLACE_PORT, PLACE_ID, PLACE_COUNT };

static enum place place_of(enum name_id id)
{
    switch (id) {
    case NAME_X_FORWARDED_FOR:
        return PLACE_FOR;
    case NAME_X_FORWARDED_PROTO:
        return PLACE_PROTO;
    case NAME_X_FORWARDED_HOST:
        return PLACE_HOST;
    case NAME_X_FORWARDED_PORT:
        return PLACE_PORT;
    case NAME_X_REQUEST_ID:
        return PLACE_ID;
    default:
        return PLACE_COUNT;
    }
}

void forward_forget(struct message *request)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < request->field_count; i++) {
        struct field *field = &request->fields[i];
        if (UNLIKELY(field_is_of_gateways(field->id, field->name)))
            continue;
        if (UNLIKELY(kept != i))
            request->fields[kept] = *field;
        kept++;
    }
    request->field_count = kept;
}

/* The first field of each kind stays in its place; later ones go. */
static void sort_out(struct message *request, struct field *places[PLACE_COUNT])
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < request->field_count; i++) {
        struct field *field = &request->fields[i];
        enum place place = field->id == NAME_OTHER ? PLACE_COUNT : place_of(field->id);
        if (UNLIKELY(place < PLACE_COUNT && places[place] != NULL))
            continue;
        if (kept != i)
            request->fields[kept] = *field;
        if (place < PLACE_COUNT)
            places[place] = &request->fields[kept];
        kept++;
    }
    request->field_count = kept;
}

/* Room for all of ours at once, so that what points into the fields stays. */
static void reserve(struct message *request, struct arena *arena)
{
    if (request->field_cap - request->field_count >= PLACE_COUNT)
        return;
    uint32_t cap = request->field_count + 2 * PLACE_COUNT;
    struct field *fields = arena_alloc(arena, cap * sizeof(*fields));
    if (request->field_count > 0)
        memcpy(fields, request->fields, request->field_count * sizeof(*fields));
    request->fields = fields;
    request->field_cap = cap;
}

void forward_request(struct exchange *x, const struct forward *forward)
{
    static const struct field NEW[PLACE_COUNT] = {
        [PLACE_FOR] = {{"x-forwarded-for", 15}, {NULL, 0}, NAME_X_FORWARDED_FOR},
        [PLACE_PROTO] = {{"x-forwarded-proto", 17}, {NULL, 0}, NAME_X_FORWARDED_PROTO},
        [PLACE_HOST] = {{"x-forwarded-host", 16}, {NULL, 0}, NAME_X_FORWARDED_HOST},
        [PLACE_PORT] = {{"x-forwarded-port", 16}, {NULL, 0}, NAME_X_FORWARDED_PORT},
        [PLACE_ID] = {{"x-request-id", 12}, {NULL, 0}, NAME_X_REQUEST_ID},
    };
    struct message *request = x->request;
    struct field *places[PLACE_COUNT] = {NULL};
    reserve(request, x->arena);
    sort_out(request, places);
    struct text values[PLACE_COUNT] = {
        [PLACE_FOR] = forward->client,
        [PLACE_PROTO] = request->scheme,
        [PLACE_HOST] = request->authority,
        [PLACE_PORT] = forward->port,
    };
    for (int i = 0; i < PLACE_COUNT; i++) {
        struct field *field = places[i];
        bool is_kept = field != NULL && (i == PLACE_ID ? is_usable_id(field->value)
                                                       : forward->is_trusted && i != PLACE_FOR);
        if (is_kept)
            continue;
        if (i == PLACE_ID)
            values[i] = make_id(x);
        if (i == PLACE_FOR && field != NULL && forward->is_trusted)
            values[i] = append_client(x, field->value, forward->client);
        if (field == NULL) {
            field = &request->fields[request->field_count++];
            *field = NEW[i];
        }
        field->value = values[i];
    }
    if (x->host_rewrite.len > 0)
        request->authority = x->host_rewrite;
}
