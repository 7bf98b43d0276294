/* The guard in front of the protobuf decoder. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/builder.h"
#include "base/limits.h"
#include "base/random.h"
#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "nantian/config/v1/endpoints.pb-c.h"
#include "nantian/config/v1/route.pb-c.h"
#include "schema/pack.h"
#include "schema/unpack.h"
#include "test.h"

static enum err unpack_into_nothing(const ProtobufCMessageDescriptor *type, struct text bytes)
{
    struct arena arena;
    void *message;
    arena_init(&arena, 0);
    enum err err = schema_unpack(type, bytes, &arena, &message);
    arena_fini(&arena);
    return err;
}

static const ProtobufCMessageDescriptor *route_type(void)
{
    return &nantian__config__v1__route__descriptor;
}

static void a_message_comes_back_as_it_was_packed(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    Nantian__Config__V1__Route route = NANTIAN__CONFIG__V1__ROUTE__INIT;
    char name[] = "caf\xc3\xa9", host[] = "example.com", *hosts[] = {host};
    route.name = name;
    route.rule = 7;
    route.created = -5;
    route.hostnames = hosts;
    route.n_hostnames = 1;
    struct text bytes = schema_pack(&route, &arena);
    void *message;
    assert_int_equal(schema_unpack(route_type(), bytes, &arena, &message), ERR_NONE);
    Nantian__Config__V1__Route *back = message;
    assert_string_equal(back->name, name);
    assert_int_equal(back->rule, 7);
    assert_int_equal(back->created, -5);
    assert_string_equal(back->hostnames[0], host);
    assert_string_equal(back->listener, "");
    struct text again = schema_pack(back, &arena);
    assert_true(text_equal(bytes, again));
    arena_fini(&arena);
}

static void an_empty_message_is_all_defaults(void **state)
{
    (void)state;
    assert_int_equal(unpack_into_nothing(route_type(), TEXT_NONE), ERR_NONE);
    assert_int_equal(unpack_into_nothing(route_type(), TEXT("")), ERR_NONE);
}

/* A type that contains itself: field 1 is the message again. */
static const ProtobufCFieldDescriptor NEST_FIELDS[1];
static const ProtobufCIntRange NEST_RANGES[] = {{1, 0}, {0, 1}};
static const unsigned NEST_NAMES[] = {0};
static const ProtobufCMessageDescriptor NEST = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "Nest",
    .short_name = "Nest",
    .c_name = "Nest",
    .package_name = "",
    .sizeof_message = sizeof(ProtobufCMessage) + sizeof(void *),
    .n_fields = 1,
    .fields = NEST_FIELDS,
    .fields_sorted_by_name = NEST_NAMES,
    .n_field_ranges = 1,
    .field_ranges = NEST_RANGES,
};
static const ProtobufCFieldDescriptor NEST_FIELDS[1] = {{
    .name = "nest",
    .id = 1,
    .label = PROTOBUF_C_LABEL_NONE,
    .type = PROTOBUF_C_TYPE_MESSAGE,
    .offset = sizeof(ProtobufCMessage),
    .descriptor = &NEST,
}};

/* `levels` messages inside one another, from the inside out. */
static void nest(struct builder *out, size_t levels)
{
    for (size_t i = 0; i < levels; i++) {
        char head[12] = {0x0a};
        size_t at = 1;
        for (size_t len = out->len; at == 1 || len > 0; len >>= 7, at++)
            head[at] = (char)((len & 0x7f) | (len >> 7 ? 0x80 : 0));
        builder_reserve(out, at);
        memmove(out->data + at, out->data, out->len);
        memcpy(out->data, head, at);
        out->len += at;
    }
}

static void nesting_is_taken_to_its_limit_and_no_deeper(void **state)
{
    (void)state;
    struct builder out = {0};
    nest(&out, LIMIT_PROTO_DEPTH - 1);
    assert_int_equal(unpack_into_nothing(&NEST, builder_text(&out)), ERR_NONE);
    nest(&out, 1);
    assert_int_equal(unpack_into_nothing(&NEST, builder_text(&out)), ERR_LIMIT);
    builder_clear(&out);
    nest(&out, 20000);
    assert_int_equal(unpack_into_nothing(&NEST, builder_text(&out)), ERR_LIMIT);
    builder_fini(&out);
}

static void deep_unknown_fields_cost_nothing(void **state)
{
    (void)state;
    struct builder out = {0};
    nest(&out, 20000);
    out.data[0] = 0x7a; /* field 15 of Any: unknown */
    assert_int_equal(unpack_into_nothing(&google__protobuf__any__descriptor, builder_text(&out)),
                     ERR_NONE);
    builder_fini(&out);
}

static void strings_must_be_utf8_without_nul(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        bool good;
    } CASES[] = {
        {"abc", 3, true},           {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, true},
        {"a\0b", 3, false},         {"\xc0\xaf", 2, false},
        {"\xed\xa0\x80", 3, false}, {"\xf4\x90\x80\x80", 4, false},
        {"\xe2\x82", 2, false},     {"\x80", 1, false},
        {"\xff", 1, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        char wire[32] = {0x22, (char)CASES[i].len}; /* Route.name */
        memcpy(wire + 2, CASES[i].bytes, CASES[i].len);
        enum err err = unpack_into_nothing(route_type(), text_from(wire, CASES[i].len + 2));
        assert_int_equal(err, CASES[i].good ? ERR_NONE : ERR_PROTOCOL);
    }
}

static void broken_framing_is_refused(void **state)
{
    (void)state;
    static const struct text CASES[] = {
        {"\x22\x05"
         "abc",
         5},                                                  /* longer than the message */
        {"\x22", 1},                                          /* no length */
        {"\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* 2^64 - 1 bytes */
        {"\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11}, /* varint without end */
        {"\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11}, /* more than 64 bits */
        {"\x02\x00", 2},                                      /* field 0 */
        {"\x0b\x0c", 2},                                      /* groups */
        {"\x0e", 1},                                          /* wire type 6 */
        {"\xff\xff\xff\xff\x7f\x00", 6},                      /* field number beyond 2^29 */
        {"\x21\x00\x00", 3},                                  /* 64 bits cut */
        {"\x20\x05", 2},                                      /* a string as a number */
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_int_equal(unpack_into_nothing(route_type(), CASES[i]), ERR_PROTOCOL);
}

static void a_message_that_would_swell_is_refused(void **state)
{
    (void)state;
    /* Empty endpoints: two bytes each on the wire, some hundred in memory. */
    size_t count = 1000000;
    char *wire = malloc(count * 2);
    for (size_t i = 0; i < count; i++) {
        wire[2 * i] = 0x0a;
        wire[2 * i + 1] = 0;
    }
    assert_int_equal(unpack_into_nothing(&nantian__config__v1__endpoints__descriptor,
                                         text_from(wire, count * 2)),
                     ERR_LIMIT);
    free(wire);
}

static void any_cut_and_any_flipped_bit_is_survived(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    Envoy__Service__Discovery__V3__Resource resource =
        ENVOY__SERVICE__DISCOVERY__V3__RESOURCE__INIT;
    Envoy__Service__Discovery__V3__Resource *list[] = {&resource, &resource, &resource};
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    char name[] = "a/b/c", removed[] = "gone", *gone[] = {removed, removed};
    any.type_url = name;
    any.value.data = (uint8_t *)name;
    any.value.len = 5;
    resource.name = name;
    resource.resource = &any;
    Envoy__Service__Discovery__V3__DeltaDiscoveryResponse response =
        ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_RESPONSE__INIT;
    response.resources = list;
    response.n_resources = 3;
    response.removed_resources = gone;
    response.n_removed_resources = 2;
    struct text bytes = schema_pack(&response, &arena);
    const ProtobufCMessageDescriptor *type =
        &envoy__service__discovery__v3__delta_discovery_response__descriptor;
    for (size_t len = 0; len <= bytes.len; len++) {
        char *cut = malloc(len + 1); /* its own piece, so that a read beyond it is seen */
        memcpy(cut, bytes.data, len);
        cut = realloc(cut, len == 0 ? 1 : len);
        (void)!unpack_into_nothing(type, text_from(cut, len));
        free(cut);
    }
    struct random random;
    random_seed(&random, 42);
    char *copy = malloc(bytes.len);
    for (int round = 0; round < 20000; round++) {
        memcpy(copy, bytes.data, bytes.len);
        for (uint64_t i = random_below(&random, 4); i < 4; i++)
            copy[random_below(&random, bytes.len)] = (char)random_next(&random);
        (void)!unpack_into_nothing(type, text_from(copy, bytes.len));
    }
    free(copy);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_comes_back_as_it_was_packed),
        cmocka_unit_test(an_empty_message_is_all_defaults),
        cmocka_unit_test(nesting_is_taken_to_its_limit_and_no_deeper),
        cmocka_unit_test(deep_unknown_fields_cost_nothing),
        cmocka_unit_test(strings_must_be_utf8_without_nul),
        cmocka_unit_test(broken_framing_is_refused),
        cmocka_unit_test(a_message_that_would_swell_is_refused),
        cmocka_unit_test(any_cut_and_any_flipped_bit_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
