/* Hostname intersection as Gateway API defines it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/terms/hostname.h"
#include "test.h"

static void check(const char *a, const char *b, bool meets)
{
    if (hostname_intersects(text_of(a), text_of(b)) != meets ||
        hostname_intersects(text_of(b), text_of(a)) != meets)
        fail_msg("\"%s\" and \"%s\"", a, b);
}

static void an_empty_hostname_meets_everything(void **state)
{
    (void)state;
    check("", "", true);
    check("", "example.com", true);
    check("", "*.example.com", true);
}

static void a_wildcard_holds_one_or_more_labels_but_not_the_bare_domain(void **state)
{
    (void)state;
    check("*.example.com", "a.example.com", true);
    check("*.example.com", "b.a.example.com", true);
    check("*.example.com", "example.com", false);
    check("*.example.com", "aexample.com", false);
    check("*.example.com", ".example.com", false);
    check("*.example.com", "*.a.example.com", true);
    check("*.example.com", "*.example.com", true);
    check("*.com", "*.example.com", true);
    check("*.example.com", "*.example.org", false);
}

static void names_without_wildcard_are_equal_or_not(void **state)
{
    (void)state;
    check("example.com", "example.com", true);
    check("example.com", "example.org", false);
    check("a.example.com", "example.com", false);
}

static void lower_case_is_a_copy(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    assert_true(text_is(hostname_lower(&arena, TEXT("A.eXample.COM")), "a.example.com"));
    assert_int_equal(hostname_lower(&arena, TEXT_NONE).len, 0);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_hostname_meets_everything),
        cmocka_unit_test(a_wildcard_holds_one_or_more_labels_but_not_the_bare_domain),
        cmocka_unit_test(names_without_wildcard_are_equal_or_not),
        cmocka_unit_test(lower_case_is_a_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
