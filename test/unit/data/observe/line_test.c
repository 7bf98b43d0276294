/* No value, whatever its bytes, leaves its JSON string or its line. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "base/value.h"
#include "data/observe/line.h"
#include "test.h"

static void expect(const char *bytes, size_t len, const char *words)
{
    char out[4096];
    struct line line = {out};
    line_escaped(&line, text_from(bytes, len), LINE_VALUE_MAX);
    assert_int_equal(line.at - out, strlen(words));
    assert_memory_equal(out, words, strlen(words));
}

static void what_json_or_a_terminal_would_misread_is_escaped(void **state)
{
    (void)state;
    expect("plain text, long enough for words", 33, "plain text, long enough for words");
    expect("a\"b\\c", 5, "a\\\"b\\\\c");
    expect("a\nb\r\t\0\x1b[31m", 11, "a\\u000ab\\u000d\\u0009\\u0000\\u001b[31m");
    expect("\x7f", 1, "\\u007f");
    expect("\xc2\x9b", 2, "\\u009b");
    expect("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", 9, "\\u2028\\u2029\xe2\x80\xaa");
    expect("caf\xc3\xa9", 5, "caf\xc3\xa9");
    expect("\xff\xfe", 2, "\\ufffd\\ufffd");
    expect("\xc0\xaf", 2, "\\ufffd\\ufffd");
    expect("\xed\xa0\x80", 3, "\\ufffd\\ufffd\\ufffd");
    expect("\xf0\x9f\x98\x80!", 5, "\xf0\x9f\x98\x80!");
    expect("\xe2\x82", 2, "\\ufffd\\ufffd");
}

static void every_byte_string_is_one_json_string(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 42);
    for (int round = 0; round < 3000; round++) {
        char bytes[200], out[4096];
        size_t len = random_below(&random, sizeof(bytes));
        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)(random_below(&random, 4) == 0 ? random_next(&random)
                                                            : 'a' + random_below(&random, 26));
        struct line line = {out};
        line_value(&line, text_from(bytes, len));
        struct arena arena;
        struct faults faults;
        struct value *value = NULL;
        arena_init(&arena, 0);
        faults_init(&faults, &arena);
        struct text text = text_from(out, (size_t)(line.at - out));
        assert_true(value_parse_json(text, TEXT("line"), &arena, &value, &faults));
        for (size_t i = 0; i < text.len; i++)
            assert_true((unsigned char)text.data[i] >= 0x20 && text.data[i] != 0x7f);
        assert_true(text.len <= LINE_VALUE_MAX + 2);
        faults_fini(&faults);
        arena_fini(&arena);
    }
}

static void one_byte_is_escaped_wherever_it_stands(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 40; len++) {
        for (size_t at = 0; at < len; at++) {
            char bytes[40], words[64];
            memset(bytes, 'a', sizeof(bytes));
            bytes[at] = '"';
            snprintf(words, sizeof(words), "%.*s\\\"%.*s", (int)at, bytes, (int)(len - at - 1),
                     bytes + at + 1);
            expect(bytes, len, words);
            bytes[at] = 'b';
            snprintf(words, sizeof(words), "%.*s", (int)len, bytes);
            expect(bytes, len, words);
        }
    }
}

static void a_long_value_is_cut(void **state)
{
    (void)state;
    char *bytes = malloc(65536), *out = malloc(65536);
    memset(bytes, '\n', 65536);
    struct line line = {out};
    line_escaped(&line, text_from(bytes, 65536), LINE_VALUE_MAX);
    assert_true(line.at - out <= LINE_VALUE_MAX);
    memset(bytes, 'x', 65536);
    line.at = out;
    line_escaped(&line, text_from(bytes, 65536), LINE_VALUE_MAX);
    assert_true(line.at - out <= LINE_VALUE_MAX && line.at - out > LINE_VALUE_MAX - 16);
    free(bytes);
    free(out);
}

static void secrets_in_queries_are_hidden(void **state)
{
    (void)state;
    char out[4096];
    struct line line = {out};
    line_query(&line, TEXT("a=1&token=abc&Access_Token=x&b"), LINE_PATH_MAX);
    *line.at = '\0';
    assert_string_equal(out, "a=1&token=***&Access_Token=***&b");
}

static void numbers_are_written_whole(void **state)
{
    (void)state;
    const struct {
        uint64_t value;
        const char *words;
    } rows[] = {{0, "0"},
                {7, "7"},
                {10, "10"},
                {99, "99"},
                {100, "100"},
                {1234567, "1234567"},
                {UINT64_MAX, "18446744073709551615"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char out[32];
        struct line line = {out};
        line_u64(&line, rows[i].value);
        *line.at = '\0';
        assert_string_equal(out, rows[i].words);
    }
    char out[32];
    struct line line = {out};
    line_ms(&line, 1002003004);
    *line.at = '\0';
    assert_string_equal(out, "1002.003");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_json_or_a_terminal_would_misread_is_escaped),
        cmocka_unit_test(every_byte_string_is_one_json_string),
        cmocka_unit_test(one_byte_is_escaped_wherever_it_stands),
        cmocka_unit_test(a_long_value_is_cut),
        cmocka_unit_test(secrets_in_queries_are_hidden),
        cmocka_unit_test(numbers_are_written_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
