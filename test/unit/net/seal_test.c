/* Sealed values: opened with their key, by nobody else, and not after a change of one bit. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/seal.h"
#include "test.h"

#define LEN 24

static struct seal_key key_of(const char *secret, const char *label)
{
    uint8_t derived[SEAL_KEY];
    struct seal_key key;
    seal_derive(text_of(secret), text_of(label), derived);
    seal_key_init(&key, derived);
    return key;
}

static void what_was_closed_is_opened_again(void **state)
{
    (void)state;
    struct seal_key key = key_of("secret", "a"), same = key_of("secret", "a");
    uint8_t value[SEAL_VALUE_MAX], sealed[SEAL_TAG + SEAL_VALUE_MAX], out[SEAL_VALUE_MAX];
    for (size_t len = 0; len <= SEAL_VALUE_MAX; len++) {
        for (size_t i = 0; i < len; i++)
            value[i] = (uint8_t)(i * 7 + len);
        seal_close(&key, value, len, sealed);
        assert_true(seal_open(&same, sealed, SEAL_TAG + len, out));
        assert_memory_equal(out, value, len);
    }
}

static void another_key_or_a_changed_bit_opens_nothing(void **state)
{
    (void)state;
    struct seal_key key = key_of("secret", "a");
    struct seal_key others[] = {key_of("secret", "b"), key_of("secreu", "a")};
    uint8_t value[LEN] = {1, 2, 3}, sealed[SEAL_TAG + LEN], out[SEAL_VALUE_MAX];
    seal_close(&key, value, LEN, sealed);
    for (size_t i = 0; i < 2; i++)
        assert_false(seal_open(&others[i], sealed, sizeof(sealed), out));
    for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(seal_open(&key, sealed, sizeof(sealed), out));
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_false(seal_open(&key, sealed, sizeof(sealed) - 1, out));
    assert_false(seal_open(&key, sealed, SEAL_TAG - 1, out));
    assert_true(seal_open(&key, sealed, sizeof(sealed), out));
}

static void values_that_differ_a_little_look_nothing_alike(void **state)
{
    (void)state;
    struct seal_key key = key_of("secret", "a");
    uint8_t value[LEN] = {0}, one[SEAL_TAG + LEN], two[SEAL_TAG + LEN];
    seal_close(&key, value, LEN, one);
    value[LEN - 1] = 1;
    seal_close(&key, value, LEN, two);
    size_t same = 0;
    for (size_t i = 0; i < sizeof(one); i++)
        same += one[i] == two[i];
    assert_in_range(same, 0, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_closed_is_opened_again),
        cmocka_unit_test(another_key_or_a_changed_bit_opens_nothing),
        cmocka_unit_test(values_that_differ_a_little_look_nothing_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
