/* The key and its answer. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/websocket.h"
#include "test.h"

static void the_example_of_the_specification_is_accepted(void **state) /* RFC 6455 1.3 */
{
    (void)state;
    struct text key = TEXT("dGhlIHNhbXBsZSBub25jZQ==");
    assert_true(websocket_accepts(key, TEXT("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    assert_false(websocket_accepts(key, TEXT("s3pPLMBiTxaQ9kYGzzhZRbK+xOp=")));
    assert_false(websocket_accepts(key, TEXT("s3pPLMBiTxaQ9kYGzzhZRbK+xOo")));
    assert_false(websocket_accepts(key, TEXT("")));
    assert_false(websocket_accepts(key, key));
    assert_false(websocket_accepts(TEXT(""), TEXT("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
}

static void each_key_is_another_of_the_right_form(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct text one = websocket_key(&arena), two = websocket_key(&arena);
    assert_int_equal(one.len, 24);
    assert_true(one.data[22] == '=' && one.data[23] == '=');
    assert_false(text_equal(one, two));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_specification_is_accepted),
        cmocka_unit_test(each_key_is_another_of_the_right_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
