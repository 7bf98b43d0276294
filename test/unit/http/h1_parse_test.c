/* A field's name is read as if byte by byte, however it is read. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h1_parse.h"
#include "test.h"

enum { NAME_MAX_LEN = 36 };

/* A name of 'a' with `byte` at `at`, and `behind` bytes after its line. */
static void read_one(size_t len, size_t at, unsigned char byte, size_t behind)
{
    char head[256] = "GET / HTTP/1.1\r\n";
    struct h1_parser parser;
    size_t name_at = strlen(head), size = name_at;
    memset(head + size, 'a', len);
    head[name_at + at] = (char)byte;
    size += len;
    memcpy(head + size, ": v\r\n", 5);
    size += 5;
    memset(head + size, 'b', behind);
    h1_parse_init(&parser, H1_REQUEST);
    enum err err = h1_parse(&parser, head, size + behind);
    bool is_end = byte == ':' && at > 0;
    bool is_good = h1_parse_is_token(text_from(head + name_at, is_end ? at : len));
    assert_int_equal(err, is_good ? ERR_AGAIN : ERR_PROTOCOL);
    if (!is_good)
        return;
    assert_int_equal(parser.count, 1);
    assert_int_equal(parser.lines[0].name_len, is_end ? at : len);
    assert_int_equal(parser.lines[0].underscore, byte == '_');
}

static void every_byte_of_a_name_is_judged_wherever_it_stands(void **state)
{
    (void)state;
    for (size_t len = 1; len <= NAME_MAX_LEN; len++)
        for (size_t at = 0; at < len; at++)
            for (unsigned byte = 0; byte < 256; byte++)
                if (byte != '\r' && byte != '\n')
                    read_one(len, at, (unsigned char)byte, at % 3 * 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_of_a_name_is_judged_wherever_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
