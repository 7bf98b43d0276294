/* An authority vouches for what is made by it, and nothing else does. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"
#include "net/tls_make.h"
#include "test.h"

static void a_certificate_is_made_by_an_authority(void **state)
{
    (void)state;
    struct arena arena;
    struct tls_made authority, made, again;
    const char *why = NULL;
    arena_init(&arena, 0);
    assert_true(tls_make_authority("ours", 3600, &arena, &authority));
    assert_true(tls_make_certificate(TEXT("a.example"), 60, &authority, &arena, &made));
    assert_true(tls_make_certificate(TEXT("a.example"), 60, &authority, &arena, &again));
    assert_false(text_equal(made.chain, again.chain));
    assert_false(text_equal(made.key, again.key));
    struct tls_certificate *certificate = tls_certificate_new(made.chain, made.key, &why);
    assert_non_null(certificate);
    tls_certificate_unref(certificate);
    arena_fini(&arena);
}

static void what_is_no_authority_makes_none(void **state)
{
    (void)state;
    struct arena arena;
    struct tls_made authority, other, made;
    arena_init(&arena, 0);
    assert_true(tls_make_authority("ours", 3600, &arena, &authority));
    assert_true(tls_make_authority("theirs", 3600, &arena, &other));
    assert_true(tls_make_certificate(TEXT("a.example"), 60, &authority, &arena, &made));
    struct tls_made none;
    assert_false(tls_make_certificate(TEXT("a.example"), 60, &made, &arena, &none));
    const struct tls_made mixed = {authority.chain, other.key};
    assert_false(tls_make_certificate(TEXT("a.example"), 60, &mixed, &arena, &none));
    const struct tls_made junk = {TEXT("no PEM"), TEXT("")};
    assert_false(tls_make_certificate(TEXT("a.example"), 60, &junk, &arena, &none));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_is_made_by_an_authority),
        cmocka_unit_test(what_is_no_authority_makes_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
