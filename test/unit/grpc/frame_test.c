/* Framing, percent-coding, status words and timeouts of gRPC. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/frame.h"
#include "test.h"

static void a_frame_is_whole_when_all_of_it_is_there(void **state)
{
    (void)state;
    struct text message;
    size_t len;
    const char bytes[] = {0, 0, 0, 0, 3, 'a', 'b', 'c', 0};
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(grpc_frame_read(text_from(bytes, i), 100, &message, &len),
                         GRPC_FRAME_PARTIAL);
    assert_int_equal(len, 8);
    assert_int_equal(grpc_frame_read(text_from(bytes, 9), 100, &message, &len), GRPC_FRAME_WHOLE);
    assert_int_equal(len, 8);
    assert_true(text_is(message, "abc"));
}

static void bad_frames_are_told_apart(void **state)
{
    (void)state;
    struct text message;
    size_t len;
    assert_int_equal(grpc_frame_read(text_from("\x01", 1), 9, &message, &len),
                     GRPC_FRAME_COMPRESSED);
    assert_int_equal(grpc_frame_read(text_from("\x02", 1), 9, &message, &len), GRPC_FRAME_BROKEN);
    assert_int_equal(grpc_frame_read(text_from("\0\0\0\0\x0a", 5), 9, &message, &len),
                     GRPC_FRAME_LARGE);
    assert_int_equal(grpc_frame_read(text_from("\0\xff\xff\xff\xff", 5), 4u << 20, &message, &len),
                     GRPC_FRAME_LARGE);
}

static void words_survive_percent_coding(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    const struct text words = TEXT(" a%b \x01\xff\r\n ");
    struct text coded = grpc_message_escape(&arena, words);
    assert_true(text_is(coded, "%20a%25b %01%FF%0D%0A%20"));
    assert_true(text_equal(grpc_message_unescape(&arena, coded), words));
    assert_true(text_is(grpc_message_unescape(&arena, TEXT("50%")), "50%"));
    assert_true(text_is(grpc_message_unescape(&arena, TEXT("%4")), "%4"));
    assert_true(text_is(grpc_message_unescape(&arena, TEXT("%zz%41")), "%zzA"));
    assert_int_equal(grpc_message_escape(&arena, TEXT_NONE).len, 0);
    arena_fini(&arena);
}

static void statuses_are_read_and_mapped(void **state)
{
    (void)state;
    assert_int_equal(grpc_status_parse(TEXT("0")), GRPC_OK);
    assert_int_equal(grpc_status_parse(TEXT("14")), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_status_parse(TEXT("17")), GRPC_UNKNOWN);
    assert_int_equal(grpc_status_parse(TEXT("")), GRPC_UNKNOWN);
    assert_int_equal(grpc_status_parse(TEXT("+1")), GRPC_UNKNOWN);
    assert_int_equal(grpc_status_of_http(404), GRPC_UNIMPLEMENTED);
    assert_int_equal(grpc_status_of_http(503), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_status_of_http(200), GRPC_UNKNOWN);
}

static void timeouts_have_units(void **state)
{
    (void)state;
    uint64_t ms;
    assert_true(grpc_timeout_parse(TEXT("5S"), &ms));
    assert_int_equal(ms, 5000);
    assert_true(grpc_timeout_parse(TEXT("1n"), &ms));
    assert_int_equal(ms, 1);
    assert_true(grpc_timeout_parse(TEXT("99999999H"), &ms));
    assert_false(grpc_timeout_parse(TEXT("123456789m"), &ms));
    assert_false(grpc_timeout_parse(TEXT("m"), &ms));
    assert_false(grpc_timeout_parse(TEXT("5x"), &ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_whole_when_all_of_it_is_there),
        cmocka_unit_test(bad_frames_are_told_apart),
        cmocka_unit_test(words_survive_percent_coding),
        cmocka_unit_test(statuses_are_read_and_mapped),
        cmocka_unit_test(timeouts_have_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
