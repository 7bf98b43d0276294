/* Which of several certificates a server name gets. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/certificates.h"
#include "net/tls.h"
#include "test.h"

#define COUNT 4

struct world {
    struct test_identity authority, leaves[COUNT];
    struct tls_certificate *certificates[COUNT];
};

static int setup(void **state)
{
    static const char *const NAMES[COUNT] = {"DNS:first.example", "DNS:*.wild.example",
                                             "DNS:a.wild.example,DNS:B.Example", NULL};
    struct world *world = memory_new(struct world);
    world->authority = test_identity_new(NULL, "Authority", NULL, 10);
    for (int i = 0; i < COUNT; i++) {
        const char *why = NULL;
        struct test_identity *leaf = &world->leaves[i];
        *leaf = test_identity_new(&world->authority, "leaf", NAMES[i], 5);
        world->certificates[i] =
            tls_certificate_new(text_of(leaf->chain_pem), text_of(leaf->key_pem), &why);
        assert_non_null(world->certificates[i]);
    }
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < COUNT; i++) {
        tls_certificate_unref(world->certificates[i]);
        test_identity_free(&world->leaves[i]);
    }
    test_identity_free(&world->authority);
    free(world);
    return 0;
}

static void chosen(const struct world *world, const char *name, int expected)
{
    struct tls_hello hello = {text_of(name), UINT32_MAX};
    assert_ptr_equal(tls_choose(world->certificates, COUNT, &hello), world->certificates[expected]);
}

static void the_very_name_comes_before_a_wildcard_and_that_before_the_first(void **state)
{
    const struct world *world = *state;
    chosen(world, "first.example", 0);
    chosen(world, "b.example", 2);
    chosen(world, "a.wild.example", 2);
    chosen(world, "c.wild.example", 1);
    chosen(world, "wild.example", 0);
    chosen(world, "x.c.wild.example", 0); /* a wildcard stands for one label */
    chosen(world, ".wild.example", 0);
    chosen(world, "leaf", 3); /* the common name, where nothing else is */
    chosen(world, "", 0);
}

static void whoever_can_verify_none_gets_the_one_of_its_name(void **state)
{
    const struct world *world = *state;
    struct tls_hello hello = {TEXT("b.example"), 0};
    assert_ptr_equal(tls_choose(world->certificates, COUNT, &hello), world->certificates[2]);
    assert_null(tls_choose(world->certificates, 0, &hello));
    assert_ptr_equal(tls_choose(world->certificates, 1, &hello), world->certificates[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            the_very_name_comes_before_a_wildcard_and_that_before_the_first, setup, teardown),
        cmocka_unit_test_setup_teardown(whoever_can_verify_none_gets_the_one_of_its_name, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
