/* What is written of a status: ours replaced, others' kept, times kept while nothing turns. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "control/kube/merge.h"
#include "test.h"

#define US   "\"controllerName\":\"us\""
#define THEM "\"controllerName\":\"them\""
#define OLD  "\"lastTransitionTime\":\"2026-01-01T00:00:00Z\""
#define NOW  "2026-02-02T00:00:00Z"

struct fixture {
    struct arena arena;
    struct builder out;
};

static const struct value *parse(struct fixture *fixture, const char *json)
{
    struct faults faults;
    struct value *value = NULL;
    faults_init(&faults, &fixture->arena);
    if (json != NULL)
        assert_true(value_parse_json(text_of(json), TEXT_NONE, &fixture->arena, &value, &faults));
    faults_fini(&faults);
    return value;
}

/* The patch as JSON; "" when there is nothing to write. */
static void expect(const char *live, const char *wanted, const char *patch)
{
    struct fixture fixture = {0};
    struct json json;
    arena_init(&fixture.arena, 0);
    const struct value *made = merge_status(parse(&fixture, live), parse(&fixture, wanted),
                                            TEXT("us"), TEXT(NOW), &fixture.arena);
    json_init(&json, &fixture.out, 0);
    if (made != NULL)
        json_value(&json, NULL, made);
    assert_string_equal(made == NULL ? "" : fixture.out.data, patch);
    builder_fini(&fixture.out);
    arena_fini(&fixture.arena);
}

static void a_status_that_is_right_is_not_written(void **state)
{
    (void)state;
    expect("{\"conditions\":[{" OLD ",\"message\":\"m\",\"observedGeneration\":3,\"reason\":\"R\","
           "\"status\":\"True\",\"type\":\"Accepted\"}]}",
           "{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\",\"reason\":\"R\","
           "\"message\":\"m\",\"observedGeneration\":3}],\"addresses\":[]}",
           "");
    expect(NULL, "{\"addresses\":[],\"listeners\":[]}", "");
}

static void a_condition_that_does_not_turn_keeps_its_time(void **state)
{
    (void)state;
    expect(
        "{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\",\"reason\":\"R\"," OLD "}]}",
        "{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\",\"reason\":\"S\"}]}",
        "{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\",\"reason\":\"S\"," OLD "}]}");
    expect("{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\",\"reason\":\"R\"," OLD
           "}]}",
           "{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"False\",\"reason\":\"R\"}]}",
           "{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"False\",\"reason\":\"R\","
           "\"lastTransitionTime\":\"" NOW "\"}]}");
}

#define PROGRAMMED(status, reason, generation)                                                     \
    "\"type\":\"Programmed\",\"status\":\"" status "\",\"reason\":\"" reason                       \
    "\",\"observedGeneration\":" generation

static void what_was_confirmed_of_a_generation_stays_while_only_its_references_change(void **state)
{
    (void)state;
    static const char STANDS[] =
        "{\"conditions\":[{" PROGRAMMED("True", "Programmed", "3") "," OLD "}]}";
    expect(STANDS, "{\"conditions\":[{" PROGRAMMED("False", "Pending", "3") "}]}", "");
    expect(STANDS, "{\"conditions\":[{" PROGRAMMED("False", "Pending", "4") "}]}",
           "{\"conditions\":[{" PROGRAMMED("False", "Pending", "4") ",\"lastTransitionTime\":\"" NOW
                                                                    "\"}]}");
    expect(STANDS, "{\"conditions\":[{" PROGRAMMED("False", "Invalid", "3") "}]}",
           "{\"conditions\":[{" PROGRAMMED("False", "Invalid", "3") ",\"lastTransitionTime\":\"" NOW
                                                                    "\"}]}");
}

#define AT(address) "\"addresses\":[{\"value\":\"" address "\"}]"

static void addresses_stay_until_a_data_plane_confirms_others(void **state)
{
    (void)state;
    static const char STANDS[] =
        "{\"conditions\":[{" PROGRAMMED("True", "Programmed", "3") "," OLD "}]," AT("old") "}";
    expect(STANDS, "{\"conditions\":[{" PROGRAMMED("False", "Pending", "3") "}]," AT("new") "}",
           "");
    expect(STANDS, "{\"conditions\":[{" PROGRAMMED("False", "Pending", "3") "}],\"addresses\":[]}",
           "");
    expect(STANDS, "{\"conditions\":[{" PROGRAMMED("True", "Programmed", "3") "}]," AT("new") "}",
           "{" AT("new") "}");
    expect(STANDS, "{\"conditions\":[{" PROGRAMMED("False", "Invalid", "3") "}],\"addresses\":[]}",
           "{\"conditions\":[{" PROGRAMMED("False", "Invalid", "3") ",\"lastTransitionTime\":\"" NOW
                                                                    "\"}],\"addresses\":[]}");
    expect("{\"addresses\":[]}",
           "{\"conditions\":[{" PROGRAMMED("False", "Pending", "3") "}]," AT("new") "}",
           "{\"conditions\":[{" PROGRAMMED("False", "Pending", "3") ",\"lastTransitionTime\":\"" NOW
                                                                    "\"}]," AT("new") "}");
}

static void conditions_of_others_stay_and_leftovers_of_ours_go(void **state)
{
    (void)state;
    expect("{\"conditions\":[{\"type\":\"AddressesAssigned\",\"x\":1},"
           "{\"type\":\"OverlappingTLSConfig\",\"status\":\"True\"," OLD "},"
           "{\"type\":\"Accepted\",\"status\":\"Unknown\"," OLD "}]}",
           "{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\"}]}",
           "{\"conditions\":[{\"type\":\"AddressesAssigned\",\"x\":1},{\"type\":\"Accepted\","
           "\"status\":\"True\",\"lastTransitionTime\":\"" NOW "\"}]}");
}

static void entries_of_other_controllers_keep_their_places(void **state)
{
    (void)state;
    expect("{\"parents\":[{" THEM ",\"parentRef\":{\"name\":\"a\"},\"conditions\":[]},"
           "{" US ",\"parentRef\":{\"name\":\"gone\"}},"
           "{" US ",\"parentRef\":{\"name\":\"a\"},\"conditions\":[]},{" THEM ",\"odd\":true}]}",
           "{\"parents\":[{\"parentRef\":{\"name\":\"b\"}," US "},"
           "{\"parentRef\":{\"name\":\"a\"}," US "}]}",
           "{\"parents\":[{" THEM ",\"parentRef\":{\"name\":\"a\"},\"conditions\":[]},"
           "{\"parentRef\":{\"name\":\"a\"}," US "},{" THEM ",\"odd\":true},"
           "{\"parentRef\":{\"name\":\"b\"}," US "}]}");
}

static void an_object_that_we_say_nothing_of_any_more_loses_our_entries_alone(void **state)
{
    (void)state;
    expect("{\"parents\":[{" THEM "},{" US ",\"parentRef\":{\"name\":\"a\"}}]}", NULL,
           "{\"parents\":[{" THEM "}]}");
    expect("{\"parents\":[{" THEM "}],\"conditions\":[{\"type\":\"Accepted\"}]}", NULL, "");
    expect(NULL, NULL, "");
}

static void listeners_are_matched_by_name(void **state)
{
    (void)state;
    expect("{\"listeners\":[{\"name\":\"a\",\"conditions\":[{\"type\":\"Accepted\",\"status\":"
           "\"True\"," OLD "}]},{\"name\":\"gone\"}]}",
           "{\"listeners\":[{\"name\":\"b\",\"conditions\":[]},{\"name\":\"a\",\"conditions\":"
           "[{\"type\":\"Accepted\",\"status\":\"True\"}]}]}",
           "{\"listeners\":[{\"name\":\"b\",\"conditions\":[]},{\"name\":\"a\",\"conditions\":"
           "[{\"type\":\"Accepted\",\"status\":\"True\"," OLD "}]}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_that_is_right_is_not_written),
        cmocka_unit_test(a_condition_that_does_not_turn_keeps_its_time),
        cmocka_unit_test(what_was_confirmed_of_a_generation_stays_while_only_its_references_change),
        cmocka_unit_test(addresses_stay_until_a_data_plane_confirms_others),
        cmocka_unit_test(conditions_of_others_stay_and_leftovers_of_ours_go),
        cmocka_unit_test(entries_of_other_controllers_keep_their_places),
        cmocka_unit_test(an_object_that_we_say_nothing_of_any_more_loses_our_entries_alone),
        cmocka_unit_test(listeners_are_matched_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
