/* Fields of a head: found, replaced, removed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/message.h"
#include "test.h"

static void fields_are_found_without_regard_to_case(void **state)
{
    (void)state;
    struct arena arena;
    struct message head;
    arena_init(&arena, 0);
    message_init(&head);
    message_add(&head, &arena, TEXT("Content-Type"), TEXT("a"));
    message_add(&head, &arena, TEXT("X-Own"), TEXT("b"));
    assert_true(text_is(message_value(&head, NAME_CONTENT_TYPE), "a"));
    assert_true(text_is(message_find(&head, TEXT("x-oWN"))->value, "b"));
    assert_null(message_find(&head, TEXT("x-owner")));
    assert_int_equal(message_value(&head, NAME_DATE).len, 0);
    arena_fini(&arena);
}

static void setting_replaces_all_of_that_name_and_keeps_the_order(void **state)
{
    (void)state;
    struct arena arena;
    struct message head;
    arena_init(&arena, 0);
    message_init(&head);
    for (int i = 0; i < 40; i++)
        message_add(&head, &arena, i % 2 == 0 ? TEXT("x-a") : TEXT("X-B"), TEXT("old"));
    message_set(&head, &arena, TEXT("X-A"), TEXT("new"));
    assert_int_equal(head.field_count, 21);
    assert_true(text_is(head.fields[0].value, "new"));
    assert_true(text_is(head.fields[0].name, "x-a"));
    message_remove(&head, TEXT("x-b"));
    assert_int_equal(head.field_count, 1);
    message_set(&head, &arena, TEXT("te"), TEXT("trailers"));
    assert_int_equal(head.fields[1].id, NAME_TE);
    arena_fini(&arena);
}

static void methods_and_reasons_are_known(void **state)
{
    (void)state;
    assert_int_equal(message_method(TEXT("PATCH")), METHOD_PATCH);
    assert_int_equal(message_method(TEXT("patch")), METHOD_OTHER);
    assert_true(method_is_idempotent(METHOD_DELETE));
    assert_false(method_is_idempotent(METHOD_POST));
    assert_true(text_is(message_reason(431), "Request Header Fields Too Large"));
    assert_int_equal(message_reason(299).len, 0);
}

static void a_cookie_is_found_by_its_whole_name(void **state)
{
    (void)state;
    struct arena arena;
    struct message message;
    struct text value;
    arena_init(&arena, 0);
    message_init(&message);
    message_add(&message, &arena, TEXT("cookie"),
                TEXT("xcart=1; carts=2; Cart=3;cart=a=b ; cart=5"));
    message_add(&message, &arena, TEXT("Cookie"), TEXT("last=; lone"));
    assert_true(message_cookie(&message, TEXT("cart"), &value));
    assert_true(text_is(value, "a=b"));
    assert_true(message_cookie(&message, TEXT("last"), &value));
    assert_int_equal(value.len, 0);
    assert_false(message_cookie(&message, TEXT("lone"), &value));
    assert_false(message_cookie(&message, TEXT("art"), &value));
    arena_fini(&arena);
}

static void a_bearer_token_is_found_whatever_the_case_of_its_scheme(void **state)
{
    (void)state;
    static const struct {
        const char *value, *token;
    } rows[] = {
        {"Bearer a.b-c", "a.b-c"}, {"bearer  x ", "x"}, {"BEARER x y", "x y"},
        {"Bearer ", ""},           {"Bearer", ""},      {"Bearerx", ""},
        {"Basic eDp5", ""},        {"x", ""},           {"", ""},
    };
    struct arena arena;
    arena_init(&arena, 0);
    struct message message;
    message_init(&message);
    assert_int_equal(message_bearer(&message).len, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        message_init(&message);
        message_add(&message, &arena, TEXT("authorization"), text_of(rows[i].value));
        if (!text_is(message_bearer(&message), rows[i].token))
            fail_msg("\"%s\" is read as \"" TEXT_FMT "\"", rows[i].value,
                     TEXT_ARG(message_bearer(&message)));
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_found_without_regard_to_case),
        cmocka_unit_test(setting_replaces_all_of_that_name_and_keeps_the_order),
        cmocka_unit_test(methods_and_reasons_are_known),
        cmocka_unit_test(a_cookie_is_found_by_its_whole_name),
        cmocka_unit_test(a_bearer_token_is_found_whatever_the_case_of_its_scheme),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
