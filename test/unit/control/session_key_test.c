/* The key of sessions: what one replica seals, another one opens. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <unistd.h>

#include "control/session_key.h"
#include "test.h"

static void derive(const struct session_key *key, uint8_t out[32])
{
    session_key_derive(key, TEXT("default/rule"), out);
}

static void replicas_with_one_secret_derive_the_same_keys(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct session_key one = {0}, two = {0}, other = {0};
    uint8_t first[32], second[32], third[32];
    session_key_share(&one, TEXT("-----BEGIN PRIVATE KEY-----"), &arena);
    session_key_share(&two, TEXT("-----BEGIN PRIVATE KEY-----"), &arena);
    session_key_share(&other, TEXT("-----BEGIN PRIVATE KEY----- 2"), &arena);
    derive(&one, first);
    derive(&two, second);
    derive(&other, third);
    assert_memory_equal(first, second, sizeof(first));
    assert_memory_not_equal(first, third, sizeof(first));
    arena_fini(&arena);
}

static void a_key_of_our_own_outlives_a_restart(void **state)
{
    (void)state;
    char directory[] = "/tmp/session-key-XXXXXX";
    assert_non_null(mkdtemp(directory));
    struct arena arena;
    arena_init(&arena, 0);
    struct session_key before = {0}, after = {0}, given = {0};
    uint8_t first[32], second[32];
    assert_null(session_key_open(&before, TEXT_NONE, text_of(directory), &arena));
    assert_null(session_key_open(&after, TEXT_NONE, text_of(directory), &arena));
    derive(&before, first);
    derive(&after, second);
    assert_memory_equal(first, second, sizeof(first));
    assert_non_null(session_key_open(&given, TEXT("too short"), text_of(directory), &arena));
    (void)unlink(arena_printf(&arena, "%s/session.key", directory).data);
    (void)rmdir(directory);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicas_with_one_secret_derive_the_same_keys),
        cmocka_unit_test(a_key_of_our_own_outlives_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
