/* Who is over his rate of handshakes is refused while others want any. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "data/proxy/handshakes.h"
#include "test.h"

#define SECOND UINT64_C(1000000000)

static unsigned admitted(struct handshakes *handshakes, const char *client, unsigned count,
                         uint64_t now_ns)
{
    unsigned let_in = 0;
    for (unsigned i = 0; i < count; i++)
        let_in += handshakes_admit(handshakes, text_of(client), now_ns);
    return let_in;
}

static void one_address_alone_has_no_bound(void **state)
{
    (void)state;
    struct handshakes *handshakes = handshakes_new(10);
    assert_int_equal(admitted(handshakes, "a", 5000, SECOND), 5000);
    handshakes_free(handshakes);
}

static void beside_others_each_address_has_its_rate(void **state)
{
    (void)state;
    struct handshakes *handshakes = handshakes_new(10);
    assert_int_equal(admitted(handshakes, "b", 1, SECOND), 1);
    assert_int_equal(admitted(handshakes, "a", 5000, SECOND), 10);
    assert_int_equal(admitted(handshakes, "b", 9, SECOND), 9);
    assert_int_equal(admitted(handshakes, "a", 5000, 2 * SECOND), 10);
    handshakes_free(handshakes);
}

static void an_address_that_is_alone_again_has_no_bound_again(void **state)
{
    (void)state;
    struct handshakes *handshakes = handshakes_new(10);
    uint64_t later = SECOND + LIMIT_HANDSHAKE_SHARED_MS * UINT64_C(1000000);
    (void)admitted(handshakes, "b", 1, SECOND);
    assert_int_equal(admitted(handshakes, "a", 100, SECOND), 10);
    assert_int_equal(admitted(handshakes, "a", 100, later - 1), 10);
    assert_int_equal(admitted(handshakes, "a", 100, later), 100);
    handshakes_free(handshakes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_address_alone_has_no_bound),
        cmocka_unit_test(beside_others_each_address_has_its_rate),
        cmocka_unit_test(an_address_that_is_alone_again_has_no_bound_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
