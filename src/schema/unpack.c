/* The guard in front of protobuf-c: its decoder recurses without a bound, takes any bytes as a
 * string and grows without a limit, so a message is walked by its descriptor first. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "schema/unpack.h"

#include "base/limits.h"

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static size_t utf8_sequence(const unsigned char *at, size_t left)
{
    static const struct {
        unsigned char first, last, second_min, second_max, len;
    } FORMS[] = {
        {0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(FORMS); i++) {
        if (at[0] < FORMS[i].first || at[0] > FORMS[i].last)
            continue;
        if (FORMS[i].len > left)
            return 0;
        if (FORMS[i].len > 1 && (at[1] < FORMS[i].second_min || at[1] > FORMS[i].second_max))
            return 0;
        for (size_t k = 2; k < FORMS[i].len; k++) {
            if ((at[k] & 0xc0) != 0x80)
                return 0;
        }
        return FORMS[i].len;
    }
    return 0;
}

bool unpack_is_utf8(struct text text)
{
    const unsigned char *at = (const unsigned char *)text.data;
    size_t left = text.len;
    while (left > 0) {
        size_t len = 1;
        if (at[0] >= 0x80 || at[0] == 0)
            len = utf8_sequence(at, left);
        if (len == 0)
            return false;
        at += len;
        left -= len;
    }
    return true;
}

static bool read_varint(struct text *rest, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 10 && i < rest->len; i++) {
        uint64_t byte = (unsigned char)rest->data[i];
        if (i == 9 && byte > 1)
            return false;
        value |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *rest = text_slice(*rest, i + 1, rest->len);
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool skip(struct text *rest, uint64_t len)
{
    if (len > rest->len)
        return false;
    *rest = text_slice(*rest, (size_t)len, rest->len);
    return true;
}

/* Field numbers end at 2^29; protobuf-c computes with 32 bits. */
static bool read_tag(struct text *rest, uint32_t *ret_field, unsigned *ret_wire)
{
    uint64_t tag;
    if (!read_varint(rest, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return false;
    *ret_field = (uint32_t)(tag >> 3);
    *ret_wire = tag & 7;
    return true;
}

static enum err walk(const ProtobufCMessageDescriptor *type, struct text rest, unsigned depth);

static enum err walk_bytes(const ProtobufCFieldDescriptor *field, struct text value, unsigned depth)
{
    if (field == NULL)
        return ERR_NONE;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return unpack_is_utf8(value) ? ERR_NONE : ERR_PROTOCOL;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return walk(field->descriptor, value, depth + 1);
    return ERR_NONE;
}

static enum err walk(const ProtobufCMessageDescriptor *type, struct text rest, unsigned depth)
{
    if (depth > LIMIT_PROTO_DEPTH)
        return ERR_LIMIT;
    while (rest.len > 0) {
        uint32_t number;
        unsigned wire;
        uint64_t value;
        if (!read_tag(&rest, &number, &wire))
            return ERR_PROTOCOL;
        bool good = false;
        if (wire == WIRE_VARINT) {
            good = read_varint(&rest, &value);
        } else if (wire == WIRE_64) {
            good = skip(&rest, 8);
        } else if (wire == WIRE_32) {
            good = skip(&rest, 4);
        } else if (wire == WIRE_BYTES && read_varint(&rest, &value) && value <= rest.len) {
            enum err err = walk_bytes(protobuf_c_message_descriptor_get_field(type, number),
                                      text_slice(rest, 0, (size_t)value), depth);
            if (err != ERR_NONE)
                return err;
            good = skip(&rest, value);
        }
        if (!good)
            return ERR_PROTOCOL;
    }
    return ERR_NONE;
}

struct bounded {
    struct arena *arena;
    size_t left;
    bool reached;
};

static void *bounded_alloc(void *data, size_t size)
{
    struct bounded *bounded = data;
    if (size > bounded->left) {
        bounded->reached = true;
        return NULL;
    }
    bounded->left -= size;
    return arena_alloc(bounded->arena, size);
}

static void bounded_free(void *data, void *piece)
{
    (void)data;
    (void)piece; /* goes with the arena */
}

enum err schema_unpack(const ProtobufCMessageDescriptor *type, struct text bytes,
                       struct arena *arena, void **ret_message)
{
    enum err err = walk(type, bytes, 1);
    if (err != ERR_NONE)
        return err;
    struct bounded bounded = {arena, LIMIT_PROTO_SLACK + bytes.len * LIMIT_PROTO_EXPANSION, false};
    ProtobufCAllocator allocator = {bounded_alloc, bounded_free, &bounded};
    const uint8_t *data = bytes.len == 0 ? (const uint8_t *)"" : (const uint8_t *)bytes.data;
    void *message = protobuf_c_message_unpack(type, &allocator, bytes.len, data);
    if (message == NULL)
        return bounded.reached ? ERR_LIMIT : ERR_PROTOCOL;
    *ret_message = message;
    return ERR_NONE;
}
