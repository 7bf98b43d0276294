/* Client hellos, good and bad, whole and in pieces. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/builder.h"
#include "net/client_hello.h"
#include "test.h"

struct sketch {
    const char *extensions; /* bytes behind the length of all */
    size_t extensions_len;
    size_t session_len;
    size_t tail; /* bytes behind the last field, counted as of the message */
};

static void add_number(struct builder *out, size_t value, size_t size)
{
    while (size-- > 0)
        builder_add_char(out, (char)(value >> (8 * size)));
}

static void add_zeros(struct builder *out, size_t count)
{
    while (count-- > 0)
        builder_add_char(out, 0);
}

static void build(struct builder *out, const struct sketch *sketch, size_t record)
{
    struct builder body = {0};
    add_number(&body, 0x0303, 2);
    add_zeros(&body, 32);
    add_number(&body, sketch->session_len, 1);
    add_zeros(&body, sketch->session_len);
    builder_add(&body, text_from("\0\2\x13\1\1\0", 6));
    if (sketch->extensions != NULL) {
        add_number(&body, sketch->extensions_len, 2);
        builder_add(&body, text_from(sketch->extensions, sketch->extensions_len));
    }
    add_zeros(&body, sketch->tail);
    struct builder message = {0};
    add_number(&message, 1, 1);
    add_number(&message, body.len, 3);
    builder_add(&message, builder_text(&body));
    for (size_t at = 0; at < message.len; at += record) {
        struct text part = text_slice(builder_text(&message), at, MIN(at + record, message.len));
        builder_add(out, text_from("\x16\3\1", 3));
        add_number(out, part.len, 2);
        builder_add(out, part);
    }
    builder_fini(&body);
    builder_fini(&message);
}

#define NAME(bytes) bytes, sizeof(bytes) - 1
#define GOOD                                                                                       \
    "\0\0\0\x0e\0\x0c\0\0\x09"                                                                     \
    "A.Example"

static void expect(const struct sketch *sketch, size_t record, enum err expected, const char *name)
{
    struct builder out = {0};
    struct client_hello hello;
    build(&out, sketch, record);
    struct text bytes = builder_text(&out);
    assert_int_equal(client_hello_parse(bytes, &hello), expected);
    if (expected == ERR_NONE) {
        assert_string_equal(hello.server_name, name);
        for (size_t len = 0; len < bytes.len; len++)
            assert_int_equal(client_hello_parse(text_slice(bytes, 0, len), &hello), ERR_AGAIN);
    }
    builder_fini(&out);
}

static void the_name_is_found_however_the_records_are_cut(void **state)
{
    (void)state;
    const struct sketch named = {NAME(GOOD), 32, 0}, none = {NULL, 0, 0, 0},
                        other = {NAME("\0\x17\0\0" GOOD "\0\x2b\0\1\1"), 0, 0};
    const size_t records[] = {16384, 100, 7, 1};
    for (size_t i = 0; i < ARRAY_LEN(records); i++) {
        expect(&named, records[i], ERR_NONE, "a.example");
        expect(&other, records[i], ERR_NONE, "a.example");
        expect(&none, records[i], ERR_NONE, "");
    }
}

static void what_does_not_fit_exactly_is_refused(void **state)
{
    (void)state;
    const struct sketch bad[] = {
        {NAME(GOOD), 33, 0},     /* a session too long */
        {NAME(GOOD), 0, 1},      /* a byte behind the extensions */
        {NULL, 0, 0, 1},         /* half a length */
        {NAME(GOOD GOOD), 0, 0}, /* the name twice */
        {NAME("\0\0\0\x0f\0\x0c\0\0\x09"
              "A.Example"),
         0, 0}, /* longer than there is */
        {NAME("\0\0\0\x0e\0\x0b\0\0\x09"
              "A.Example"),
         0, 0}, /* a list that is shorter */
        {NAME("\0\0\0\x0e\0\x0c\1\0\x09"
              "A.Example"),
         0, 0}, /* another kind of name */
        {NAME("\0\0\0\x0e\0\x0c\0\0\x09"
              "A Example"),
         0, 0},                                 /* no host name */
        {NAME("\0\0\0\x05\0\x03\0\0\0"), 0, 0}, /* an empty name */
        {NAME("\0\0\0\0"), 0, 0},               /* an empty list */
        {NAME("\0\0\0"), 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect(&bad[i], 16384, ERR_PROTOCOL, NULL);
}

static void other_things_are_no_hello(void **state)
{
    (void)state;
    struct client_hello hello;
    const struct text others[] = {TEXT("GET / HTTP/1.1"),
                                  TEXT("\x15\3\1"),
                                  TEXT("\x16\2"),
                                  text_from("\x16\3\1\0\0", 5),
                                  text_from("\x16\3\1\x40\1", 5),
                                  text_from("\x16\3\1\0\1\2", 6)};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(client_hello_parse(others[i], &hello), ERR_PROTOCOL);
    assert_int_equal(client_hello_parse(TEXT_NONE, &hello), ERR_AGAIN);
    assert_int_equal(client_hello_parse(text_from("\x16\3\1\0\4\1\1\0\0", 9), &hello), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_is_found_however_the_records_are_cut),
        cmocka_unit_test(what_does_not_fit_exactly_is_refused),
        cmocka_unit_test(other_things_are_no_hello),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
