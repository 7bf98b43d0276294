/* The counters that end an HTTP/2 connection: where each bound lies, and what is never counted. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "http/h2_flood.h"
#include "test.h"

static void control_frames_are_counted_between_messages(void **state)
{
    (void)state;
    struct h2_flood flood = {0};
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < LIMIT_H2_CONTROL_QUEUE; i++)
            assert_true(h2_flood_control(&flood, 5));
        h2_flood_progress(&flood);
    }
    for (uint32_t i = 0; i < LIMIT_H2_CONTROL_QUEUE; i++)
        assert_true(h2_flood_control(&flood, 5));
    assert_false(h2_flood_control(&flood, 5));
    assert_true(
        h2_flood_control(&flood, 5 + LIMIT_H2_RESET_MS)); /* keep-alive pings add up slowly */
}

static void resets_count_when_they_are_many_and_most(void **state)
{
    (void)state;
    struct h2_flood flood = {0};
    for (uint32_t i = 0; i < LIMIT_H2_RESETS; i++) {
        h2_flood_stream(&flood, 5);
        assert_true(h2_flood_reset(&flood, 5));
    }
    assert_false(h2_flood_reset(&flood, 5));
    flood = (struct h2_flood){0};
    for (uint32_t i = 0; i < 5 * LIMIT_H2_RESETS; i++) {
        h2_flood_stream(&flood, 5);
        h2_flood_stream(&flood, 5);
        assert_true(h2_flood_reset(&flood, 5));
    }
}

static void empty_frames_count_in_a_row(void **state)
{
    (void)state;
    struct h2_flood flood = {0};
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < LIMIT_H2_EMPTY_DATA; i++)
            assert_true(h2_flood_data(&flood, true));
        assert_true(h2_flood_data(&flood, false));
    }
    for (uint32_t i = 0; i < LIMIT_H2_EMPTY_DATA; i++)
        assert_true(h2_flood_data(&flood, true));
    assert_false(h2_flood_data(&flood, true));
    for (uint32_t i = 0; i < LIMIT_H2_EMPTY_CONTINUATIONS; i++)
        assert_true(h2_flood_continuation(&flood, true));
    assert_true(h2_flood_continuation(&flood, false));
    assert_false(h2_flood_continuation(&flood, true));
    assert_true(h2_flood_id(&flood, 1)); /* another head */
    assert_true(h2_flood_continuation(&flood, true));
}

static void skipped_numbers_may_not_be_used_later(void **state)
{
    (void)state;
    struct h2_flood flood = {0};
    assert_true(h2_flood_id(&flood, 1));
    assert_true(h2_flood_id(&flood, 3));
    assert_true(h2_flood_id(&flood, 9));
    assert_true(h2_flood_id(&flood, 3)); /* trailers */
    assert_true(h2_flood_id(&flood, 9));
    assert_false(h2_flood_id(&flood, 5));
    assert_false(h2_flood_id(&flood, 7));
    assert_true(h2_flood_id(&flood, 11));
}

static void what_the_peer_ended_is_remembered_for_a_while(void **state)
{
    (void)state;
    struct h2_flood flood = {0};
    assert_false(h2_flood_has_ended(&flood, 0));
    for (int32_t id = 1; id < 2 * H2_FLOOD_ENDED; id += 2)
        h2_flood_end(&flood, id);
    assert_true(h2_flood_has_ended(&flood, 1));
    assert_false(h2_flood_has_ended(&flood, 2 * H2_FLOOD_ENDED + 1));
    h2_flood_end(&flood, 2 * H2_FLOOD_ENDED + 1);
    assert_false(h2_flood_has_ended(&flood, 1));
    assert_true(h2_flood_has_ended(&flood, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_frames_are_counted_between_messages),
        cmocka_unit_test(resets_count_when_they_are_many_and_most),
        cmocka_unit_test(empty_frames_count_in_a_row),
        cmocka_unit_test(skipped_numbers_may_not_be_used_later),
        cmocka_unit_test(what_the_peer_ended_is_remembered_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
