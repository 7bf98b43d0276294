/* Field lists into messages and back, byte by byte. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/macros.h"
#include "http/h2_message.h"
#include "test.h"

#define LEN_MAX 24

static bool takes(struct text name, struct text value)
{
    struct arena arena;
    struct message message;
    struct h2_head head;
    arena_init(&arena, 0);
    h2_message_begin(&head, &message, H2_REQUEST);
    bool good = h2_message_field(&head, &message, &arena, name, value);
    if (good) {
        assert_int_equal(message.field_count, 1);
        assert_true(text_equal(message.fields[0].value, value));
    }
    arena_fini(&arena);
    return good;
}

static void a_control_byte_is_found_wherever_it_stands_in_a_value(void **state)
{
    (void)state;
    char value[LEN_MAX];
    for (size_t len = 1; len <= LEN_MAX; len++)
        for (size_t at = 0; at < len; at++)
            for (int byte = 0; byte < 256; byte++) {
                memset(value, 'v', len);
                value[at] = (char)byte;
                bool blank = byte == ' ' || byte == '\t', ends = at == 0 || at == len - 1;
                bool good = blank ? !ends : byte >= 0x20 && byte != 0x7f;
                assert_int_equal(takes(TEXT("x-a"), text_from(value, len)), good);
            }
    memset(value, '\x80', LEN_MAX);
    value[9] = '\t';
    assert_true(takes(TEXT("x-a"), text_from(value, LEN_MAX)));
}

static void names_are_tokens_in_lower_case(void **state)
{
    (void)state;
    static const char GOOD[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
    for (int byte = 0; byte < 256; byte++) {
        const char name[] = {'x', (char)byte, 'x'};
        bool good = byte != 0 && strchr(GOOD, byte) != NULL;
        assert_int_equal(takes(text_from(name, 3), TEXT("v")), good);
    }
    assert_true(takes(TEXT("user-agent"), TEXT("v")));
    assert_false(takes(TEXT("User-agent"), TEXT("v"))); /* one that is known by number */
    assert_false(takes(TEXT("user-Agent"), TEXT("v")));
    assert_false(takes(TEXT(""), TEXT("v")));
}

static void what_goes_out_has_lower_case_names_and_text_of_its_own(void **state)
{
    (void)state;
    struct arena arena, other;
    struct message message;
    size_t count;
    arena_init(&arena, 0);
    arena_init(&other, 0);
    message_init(&message);
    message.status = 204;
    message.framing = FRAMING_LENGTH;
    message.content_length = UINT64_MAX;
    message_add(&message, &other, arena_text(&other, TEXT("X-One")),
                arena_text(&other, TEXT("One")));
    message_add(&message, &other, arena_text(&other, TEXT("Server")),
                arena_text(&other, TEXT("Two")));
    const struct h2_field *fields = h2_message_fields(&message, H2_RESPONSE, false, &arena, &count);
    arena_fini(&other);
    static const struct h2_field EXPECTED[] = {
        {{":status", 7}, {"204", 3}},
        {{"content-length", 14}, {"18446744073709551615", 20}},
        {{"x-one", 5}, {"One", 3}},
        {{"server", 6}, {"Two", 3}},
    };
    assert_int_equal(count, ARRAY_LEN(EXPECTED));
    for (size_t i = 0; i < count; i++) {
        assert_true(text_equal(fields[i].name, EXPECTED[i].name));
        assert_true(text_equal(fields[i].value, EXPECTED[i].value));
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_control_byte_is_found_wherever_it_stands_in_a_value),
        cmocka_unit_test(names_are_tokens_in_lower_case),
        cmocka_unit_test(what_goes_out_has_lower_case_names_and_text_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
