/* Our client and our server over real sockets: what is pushed, what is adopted, what survives. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "plane.h"

static void a_data_plane_gets_everything_and_says_so(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct plane plane = {0};
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_LISTENER, "l", "listener");
    control_put(&control, 2, RESOURCE_ROUTE, "r", "route");
    plane_start(&plane, loop, &control.address);
    WAIT_FOR(loop, control.acks == 1);
    assert_int_equal(control.acked_revision, 2);
    assert_int_equal(plane.offers, 1);
    assert_int_equal(plane.edits, 2);
    assert_int_equal(plane_holds(&plane), 2);
    assert_true(text_is(plane_content(&plane, RESOURCE_LISTENER, "l"), "listener"));
    assert_true(text_is(plane_content(&plane, RESOURCE_ROUTE, "r"), "route"));
    const struct delta_node *node = delta_server_node(control.delta, 0);
    assert_string_equal(node->id, "node-1");
    assert_string_equal(node->cluster, "default/web");
    assert_string_equal(node->product, "nantian-proxy");
    assert_string_equal(node->applied, "1.0.2");
    assert_int_equal(node->streams, 1);
    assert_int_equal(node->counters.resources, 2);
    assert_null(delta_server_node(control.delta, 1));

    control_put(&control, 3, RESOURCE_ROUTE, "r", NULL);
    WAIT_FOR(loop, control.acks == 2);
    assert_true(text_is(plane_content(&plane, RESOURCE_ROUTE, "r"), ""));
    assert_int_equal(node->counters.removed, 1);
    plane_stop(&plane);
    WAIT_FOR(loop, control.left == 1);
    assert_int_equal(delta_server_node(control.delta, 0)->streams, 0);
    control_stop(&control);
    loop_free(loop);
}

static void one_change_among_a_hundred_thousand_costs_one_resource(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct plane plane = {0};
    control_start(&control, loop, NULL);
    control_put_routes(&control, 1, 0, 100000, "first");
    plane_start(&plane, loop, &control.address);
    WAIT_FOR(loop, control.acks == 1);
    struct delta_counters before = *delta_server_counters(control.delta);
    assert_int_equal(before.resources, 100000);
    assert_int_equal(plane.edits, 100000);
    assert_true(before.responses >= before.bytes / (2 * LIMIT_XDS_PUSH));
    control_put(&control, 2, RESOURCE_ROUTE, "route-777", "changed");
    WAIT_FOR(loop, control.acks == 2);
    const struct delta_counters *after = delta_server_counters(control.delta);
    assert_int_equal(after->resources - before.resources, 1);
    assert_int_equal(after->snapshots - before.snapshots, 1);
    assert_true(after->bytes - before.bytes < 2048);
    assert_int_equal(plane.edits, 1);
    assert_true(text_is(plane_content(&plane, RESOURCE_ROUTE, "route-777"), "changed"));

    /* The control plane comes back with the same content and version: nothing is sent again. */
    struct address address = control.address;
    struct resource_set kept;
    resource_set_init(&kept);
    resource_set_copy(&kept, delta_server_set(control.delta));
    control_stop(&control);
    control = (struct control){0};
    control_start(&control, loop, &address);
    WAIT_FOR(loop, plane.ups == 2); /* early: it waits, and its statement with it */
    struct delta_edit *edits = memory_alloc(100000 * sizeof(*edits));
    size_t count = 0;
    struct resource *one;
    for (size_t at = 0; (one = resource_set_next(&kept, RESOURCE_ROUTE, &at)) != NULL;)
        edits[count++] = (struct delta_edit){
            .type = RESOURCE_ROUTE, .name = resource_name(one), .bytes = resource_bytes(one)};
    struct snapshot_version version = version_at(1, 2);
    delta_server_publish(control.delta, edits, count, &version);
    settle(loop);
    assert_int_equal(delta_server_streams(control.delta), 1);
    assert_int_equal(delta_server_counters(control.delta)->resources, 0);
    assert_int_equal(delta_server_counters(control.delta)->bytes, 0);
    control_put(&control, 3, RESOURCE_ROUTE, "route-778", "changed too");
    WAIT_FOR(loop, control.acks == 1);
    assert_int_equal(delta_server_counters(control.delta)->resources, 1);
    assert_int_equal(plane.edits, 1);
    free(edits);
    resource_set_fini(&kept);
    plane_stop(&plane);
    control_stop(&control);
    loop_free(loop);
}

static void a_refused_snapshot_names_its_fault_and_the_next_one_goes_live(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct plane plane = {.dislikes = "bad"};
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "good", "1");
    plane_start(&plane, loop, &control.address);
    WAIT_FOR(loop, control.acks == 1);
    struct delta_edit edits[] = {edit_of(RESOURCE_ROUTE, "bad", "("),
                                 edit_of(RESOURCE_ROUTE, "good", "2")};
    struct snapshot_version version = version_at(1, 2);
    delta_server_publish(control.delta, edits, 2, &version);
    WAIT_FOR(loop, control.nacks == 1);
    assert_string_equal(control.nack_reason, "invalid");
    assert_string_equal(control.nack_resource, "bad");
    assert_string_equal(control.nack_field, "matches[0].path.value");
    assert_string_equal(control.nack_words,
                        "snapshot 1.0.2 refused (invalid), holding 1.0.1: Route bad "
                        "matches[0].path.value: the regular expression is not valid");
    assert_true(text_is(plane_content(&plane, RESOURCE_ROUTE, "good"), "1"));
    assert_int_equal(plane_holds(&plane), 1);
    const struct delta_node *node = delta_server_node(control.delta, 0);
    assert_true(node->refusing);
    assert_string_equal(node->refused, "1.0.2");
    assert_string_equal(node->applied, "1.0.1");
    settle(loop); /* it is sent once */
    assert_int_equal(plane.offers, 2);
    assert_int_equal(control.nacks, 1);
    assert_int_equal(delta_server_counters(control.delta)->snapshots, 2);

    control_put(&control, 3, RESOURCE_ROUTE, "bad", NULL);
    WAIT_FOR(loop, control.acks == 2);
    assert_true(text_is(plane_content(&plane, RESOURCE_ROUTE, "good"), "2"));
    assert_int_equal(plane.edits, 1);
    assert_false(node->refusing);
    assert_int_equal(delta_server_counters(control.delta)->resources, 3); /* good is not resent */
    plane_stop(&plane);
    control_stop(&control);
    loop_free(loop);
}

static void who_comes_back_with_what_is_current_has_acknowledged_it(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct plane plane = {0};
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "r", "1");
    plane_start(&plane, loop, &control.address);
    WAIT_FOR(loop, control.acks == 1);
    link_restart(plane.link, "test");
    WAIT_FOR(loop, control.acks == 2);
    assert_int_equal(control.acked_revision, 1);
    assert_int_equal(delta_server_counters(control.delta)->snapshots, 1); /* nothing was sent */
    plane_stop(&plane);
    control_stop(&control);
    loop_free(loop);
}

static void who_comes_back_with_refused_resources_staged_is_not_left_behind(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct plane plane = {.dislikes = "bad"};
    control_start(&control, loop, NULL);
    struct address address = control.address;
    control_put(&control, 1, RESOURCE_ROUTE, "good", "1");
    plane_start(&plane, loop, &address);
    WAIT_FOR(loop, control.acks == 1);
    control_put(&control, 2, RESOURCE_ROUTE, "bad", "(");
    WAIT_FOR(loop, control.nacks == 1);
    control_stop(&control);
    control = (struct control){0};
    control_start(&control, loop, &address);
    control_put(&control, 1, RESOURCE_ROUTE, "good", "1");
    WAIT_FOR(loop, control.acks == 1);
    assert_int_equal(control.acked_revision, 1);
    assert_int_equal(plane.offers, 2); /* what runs is not adopted again */
    plane_stop(&plane);
    control_stop(&control);
    loop_free(loop);
}

static void a_refused_snapshot_is_not_tried_again_after_a_new_stream(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct plane plane = {.dislikes = "bad"};
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "bad", "(");
    plane_start(&plane, loop, &control.address);
    WAIT_FOR(loop, control.nacks == 1);
    link_restart(plane.link, "test");
    WAIT_FOR(loop, control.nacks == 2);
    assert_int_equal(plane.offers, 1); /* answered from memory */
    assert_string_equal(control.nack_reason, "invalid");
    assert_string_equal(control.nack_resource, "bad");
    assert_int_equal(delta_server_counters(control.delta)->resources, 1);
    plane_stop(&plane);
    control_stop(&control);
    loop_free(loop);
}

static void a_fault_of_what_has_changed_since_is_not_told(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct plane plane = {.wait = true};
    struct arena arena;
    struct faults faults;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    control_start(&control, loop, NULL);
    struct delta_edit edits[] = {edit_of(RESOURCE_ROUTE, "mended", "("),
                                 edit_of(RESOURCE_ROUTE, "still", "(")};
    struct snapshot_version version = version_at(1, 1);
    delta_server_publish(control.delta, edits, 2, &version);
    plane_start(&plane, loop, &control.address);
    WAIT_FOR(loop, plane.offers == 1);
    control_put(&control, 2, RESOURCE_ROUTE, "mended", "good");
    struct fault fault = {.code = "InvalidRegex", .where = TEXT("Route mended")};
    faults_add(&faults, &fault, "the regular expression is not valid");
    fault.where = TEXT("Route still");
    faults_add(&faults, &fault, "the regular expression is not valid");
    delta_client_refuse(plane.client, &faults);
    WAIT_FOR(loop, control.nacks == 1);
    assert_true(control.nack_has_refusal);
    assert_string_equal(control.nack_resource, "still"); /* the first that is named */
    WAIT_FOR(loop, plane.offers == 2);
    delta_client_accept(plane.client);
    WAIT_FOR(loop, control.acks == 1);
    plane_stop(&plane);
    control_stop(&control);
    faults_fini(&faults);
    arena_fini(&arena);
    loop_free(loop);
}

static void while_a_snapshot_is_adopted_later_ones_become_one(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct plane plane = {.wait = true};
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "r", "1");
    plane_start(&plane, loop, &control.address);
    WAIT_FOR(loop, plane.offers == 1);
    for (uint64_t revision = 2; revision <= 60; revision++) {
        char content[16];
        (void)snprintf(content, sizeof(content), "%d", (int)revision);
        control_put(&control, revision, RESOURCE_ROUTE, "r", content);
        loop_turn(loop, 0);
    }
    settle(loop);
    assert_int_equal(plane.offers, 1);
    assert_int_equal(delta_server_counters(control.delta)->snapshots, 1);
    assert_true(text_ends_with(plane.version_text, TEXT(".1"))); /* not answered: still valid */
    delta_client_accept(plane.client);
    assert_int_equal(plane_holds(&plane), 1);
    WAIT_FOR(loop, plane.offers == 2);
    assert_int_equal(plane.revision, 60);
    delta_client_accept(plane.client);
    WAIT_FOR(loop, control.acks == 2);
    assert_int_equal(control.acked_revision, 60);
    assert_int_equal(delta_server_counters(control.delta)->resources, 2);
    assert_true(text_is(plane_content(&plane, RESOURCE_ROUTE, "r"), "60"));
    plane_stop(&plane);
    control_stop(&control);
    loop_free(loop);
}

static void a_stream_lost_while_a_snapshot_is_adopted_costs_nothing(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct plane plane = {.wait = true};
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "r", "1");
    plane_start(&plane, loop, &control.address);
    WAIT_FOR(loop, plane.offers == 1);
    link_restart(plane.link, "test");
    WAIT_FOR(loop, control.joined == 2);
    WAIT_FOR(loop, delta_server_counters(control.delta)->snapshots == 2);
    settle(loop);
    assert_int_equal(plane.offers, 1); /* the second waits on the table */
    delta_client_accept(plane.client);
    WAIT_FOR(loop, control.acks == 1);
    assert_int_equal(plane.offers, 1);
    assert_int_equal(delta_client_counters(plane.client)->same, 1);
    assert_int_equal(delta_server_counters(control.delta)->resources, 1);
    plane_stop(&plane);
    control_stop(&control);
    loop_free(loop);
}

static void an_older_or_incomparable_control_plane_is_refused_until_it_catches_up(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct plane plane = {0};
    control_start(&control, loop, NULL);
    struct address address = control.address;
    control_put(&control, 10, RESOURCE_ROUTE, "r", "new");
    plane_start(&plane, loop, &address);
    WAIT_FOR(loop, control.acks == 1);
    control_stop(&control);
    control = (struct control){0};
    control_start(&control, loop, &address);
    control_put(&control, 9, RESOURCE_ROUTE, "r", "old");
    WAIT_FOR(loop, control.nacks == 1);
    assert_string_equal(control.nack_reason, "older");
    assert_string_equal(plane.refused_reason, "older");
    assert_string_equal(control.nack_words, "snapshot 1.0.9 refused (older), holding 1.0.10");
    assert_true(text_is(plane_content(&plane, RESOURCE_ROUTE, "r"), "new"));
    assert_int_equal(delta_client_counters(plane.client)->refused_older, 1);

    struct delta_edit edit = edit_of(RESOURCE_ROUTE, "r", "other view");
    struct snapshot_version version = version_at(1, 9);
    assert_true(version_set(&version, TEXT("other"), 1));
    delta_server_publish(control.delta, &edit, 1, &version);
    WAIT_FOR(loop, control.nacks == 2);
    assert_string_equal(control.nack_reason, "incomparable");
    assert_int_equal(delta_client_counters(plane.client)->refused_incomparable, 1);
    assert_int_equal(plane.offers, 1);

    control_put(&control, 11, RESOURCE_ROUTE, "r", "caught up");
    WAIT_FOR(loop, control.acks == 1);
    assert_true(text_is(plane_content(&plane, RESOURCE_ROUTE, "r"), "caught up"));
    version = version_at(2, 1); /* another epoch: revisions may go back */
    edit.bytes = TEXT("restored");
    delta_server_publish(control.delta, &edit, 1, &version);
    WAIT_FOR(loop, control.acks == 2);
    assert_true(text_is(plane_content(&plane, RESOURCE_ROUTE, "r"), "restored"));
    plane_stop(&plane);
    control_stop(&control);
    loop_free(loop);
}

static void what_was_restored_from_disk_is_stated_and_only_the_difference_comes(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct plane plane = {0}, next = {0};
    control_start(&control, loop, NULL);
    control_put_routes(&control, 1, 0, 1000, "first");
    plane_start(&plane, loop, &control.address);
    WAIT_FOR(loop, control.acks == 1);
    struct resource_set kept;
    resource_set_init(&kept);
    resource_set_copy(&kept, delta_client_accepted(plane.client));
    plane_stop(&plane);
    control_put(&control, 2, RESOURCE_ROUTE, "route-5", NULL);
    control_put(&control, 3, RESOURCE_ROUTE, "route-6", "changed");
    uint64_t before = delta_server_counters(control.delta)->resources;
    plane_open(&next, loop, &control.address);
    assert_true(delta_client_restore(next.client, &kept));
    assert_int_equal(plane_holds(&next), 1);
    link_start(next.link);
    WAIT_FOR(loop, control.acks == 2);
    assert_int_equal(next.edits, 2);
    assert_int_equal(delta_server_counters(control.delta)->resources - before, 1);
    assert_int_equal(delta_server_counters(control.delta)->removed, 1);
    assert_int_equal(resource_set_total(delta_client_accepted(next.client)), 999);
    resource_set_clear(&kept);
    assert_false(delta_client_restore(next.client, &kept)); /* no commit record */
    resource_set_fini(&kept);
    plane_stop(&next);
    control_stop(&control);
    loop_free(loop);
}

static void the_same_content_under_a_newer_version_is_only_noted(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct plane plane = {0};
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "r", "1");
    plane_start(&plane, loop, &control.address);
    WAIT_FOR(loop, control.acks == 1);
    control_put(&control, 2, RESOURCE_ROUTE, "r", "1");
    WAIT_FOR(loop, control.acks == 2);
    assert_int_equal(plane.offers, 1);
    assert_int_equal(plane.same, 1);
    assert_int_equal(plane_holds(&plane), 2);
    control_put(&control, 2, RESOURCE_ROUTE, "r", "1"); /* nothing at all */
    settle(loop);
    assert_int_equal(delta_server_counters(control.delta)->snapshots, 2);
    plane_stop(&plane);
    control_stop(&control);
    loop_free(loop);
}

static bool only_mine(void *owner, const struct delta_node *node, enum resource_type type,
                      struct text name)
{
    (void)owner;
    (void)type;
    assert_string_equal(node->id, "node-1");
    return text_starts_with(name, TEXT("mine"));
}

static void a_filtered_stream_gets_its_own_and_a_record_that_fits(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {.visible = only_mine};
    struct plane plane = {0};
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "mine-1", "1");
    control_put(&control, 2, RESOURCE_ROUTE, "theirs-1", "1");
    plane_start(&plane, loop, &control.address);
    WAIT_FOR(loop, control.acks == 1);
    assert_int_equal(resource_set_total(delta_client_accepted(plane.client)), 1);
    control_put(&control, 3, RESOURCE_ROUTE, "mine-2", "1");
    WAIT_FOR(loop, control.acks == 2);
    control_put(&control, 4, RESOURCE_ROUTE, "mine-1", "2");
    WAIT_FOR(loop, control.acks == 3);
    control_put(&control, 5, RESOURCE_ROUTE, "mine-1", NULL);
    WAIT_FOR(loop, control.acks == 4);
    control_put(&control, 6, RESOURCE_ROUTE, "theirs-1", "2");
    WAIT_FOR(loop, control.acks == 5); /* same content, newer version */
    assert_int_equal(plane.same, 1);
    assert_int_equal(control.nacks, 0);
    assert_int_equal(delta_server_counters(control.delta)->resources, 3);
    link_restart(plane.link, "test");
    WAIT_FOR(loop, control.joined == 2);
    settle(loop);
    assert_int_equal(delta_server_counters(control.delta)->resources, 3);
    control_put(&control, 7, RESOURCE_ROUTE, "mine-2", "2");
    WAIT_FOR(loop, control.acks == 6);
    plane_stop(&plane);
    control_stop(&control);
    loop_free(loop);
}

struct showing {
    struct control control; /* first: the owner of its events */
    bool shows;
};

static bool if_shown(void *owner, const struct delta_node *node, enum resource_type type,
                     struct text name)
{
    (void)node;
    (void)type;
    return ((struct showing *)owner)->shows || !text_is(name, "late");
}

static void turn_late(struct showing *showing, bool shows)
{
    showing->shows = shows;
    delta_server_turn(showing->control.delta, TEXT("default/web"), RESOURCE_BACKEND, TEXT("late"));
}

static void what_a_node_begins_or_ceases_to_see_comes_and_goes_with_the_next_publish(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct showing showing = {.control = {.visible = if_shown}};
    struct control *control = &showing.control;
    struct plane plane = {0};
    control_start(control, loop, NULL);
    control_put(control, 1, RESOURCE_BACKEND, "late", "1");
    plane_start(&plane, loop, &control->address);
    WAIT_FOR(loop, control->acks == 1);
    assert_int_equal(resource_set_total(delta_client_accepted(plane.client)), 0);
    turn_late(&showing, true);
    control_put(control, 2, RESOURCE_ROUTE, "r", "1");
    WAIT_FOR(loop, control->acks == 2);
    assert_int_equal(resource_set_total(delta_client_accepted(plane.client)), 2);
    delta_server_turn(control->delta, TEXT("other/web"), RESOURCE_BACKEND, TEXT("late"));
    turn_late(&showing, false);
    control_put(control, 3, RESOURCE_ROUTE, "r", NULL);
    WAIT_FOR(loop, control->acks == 3);
    assert_int_equal(resource_set_total(delta_client_accepted(plane.client)), 0);
    assert_int_equal(control->nacks, 0);
    plane_stop(&plane);
    control_stop(control);
    loop_free(loop);
}

/* What a cluster's replica publishes: a component for each of many kinds. */
static struct snapshot_version version_of_kinds(uint64_t routes, uint64_t secrets)
{
    struct snapshot_version version = version_at(1, 1);
    for (int i = 0; i < 20; i++) {
        char kind[32];
        (void)snprintf(kind, sizeof(kind), "SomeKindOfObject%02d", i);
        assert_true(version_set(&version, text_of(kind), 1000000));
    }
    assert_true(version_set(&version, TEXT("HTTPRoute"), routes));
    assert_true(version_set(&version, TEXT("Secret"), secrets));
    return version;
}

static void put_at(struct control *control, struct snapshot_version version, const char *content)
{
    struct delta_edit edit = edit_of(RESOURCE_ROUTE, "r", content);
    delta_server_publish(control->delta, &edit, 1, &version);
}

static void a_record_names_what_changed_and_what_is_held_is_whole(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0}, other = {0};
    struct plane plane = {0};
    control_start(&control, loop, NULL);
    struct address address = control.address;
    put_at(&control, version_of_kinds(10, 10), "1");
    plane_start(&plane, loop, &address);
    WAIT_FOR(loop, control.acks == 1);
    uint64_t first = delta_server_counters(control.delta)->bytes;
    put_at(&control, version_of_kinds(11, 10), "2");
    WAIT_FOR(loop, control.acks == 2);
    uint64_t second = delta_server_counters(control.delta)->bytes - first;
    assert_true(first > 2000);
    assert_true(second < 600);
    struct snapshot_version held = version_of_kinds(11, 10);
    assert_int_equal(version_compare(delta_client_version(plane.client), &held), VERSION_EQUAL);
    struct resource *record = resource_set_get(delta_server_set(control.delta), RESOURCE_SNAPSHOT,
                                               TEXT(TYPES_SNAPSHOT_NAME));
    struct resource *kept = resource_set_get(delta_client_accepted(plane.client), RESOURCE_SNAPSHOT,
                                             TEXT(TYPES_SNAPSHOT_NAME));
    assert_true(text_equal(resource_bytes(record), resource_bytes(kept)));
    link_restart(plane.link, "test"); /* it states the whole: nothing is sent again */
    WAIT_FOR(loop, control.acks == 3);
    assert_int_equal(delta_server_counters(control.delta)->bytes, first + second);

    /* Another replica has newer routes and, in a kind that no change named, less. */
    control_stop(&control);
    control_start(&other, loop, &address);
    put_at(&other, version_of_kinds(12, 9), "3");
    WAIT_FOR(loop, other.nacks == 1);
    assert_string_equal(other.nack_reason, "incomparable");
    put_at(&other, version_of_kinds(13, 9), "4"); /* said short on this stream: no better */
    WAIT_FOR(loop, other.nacks == 2);
    assert_string_equal(other.nack_reason, "incomparable");
    assert_true(text_is(plane_content(&plane, RESOURCE_ROUTE, "r"), "2"));
    put_at(&other, version_of_kinds(13, 10), "4");
    WAIT_FOR(loop, other.acks == 1);
    assert_true(text_is(plane_content(&plane, RESOURCE_ROUTE, "r"), "4"));
    held = version_of_kinds(13, 10);
    assert_int_equal(version_compare(delta_client_version(plane.client), &held), VERSION_EQUAL);
    plane_stop(&plane);
    control_stop(&other);
    loop_free(loop);
}

static void what_is_published_while_a_push_is_under_way_is_not_acknowledged_with_it(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct plane plane = {0};
    control_start(&control, loop, NULL);
    control_put_routes(&control, 1, 0, 100000, "first");
    plane_start(&plane, loop, &control.address);
    WAIT_FOR(loop, delta_server_counters(control.delta)->responses > 0);
    assert_int_equal(delta_server_counters(control.delta)->snapshots, 0); /* it takes a while */
    control_put(&control, 2, RESOURCE_ROUTE, "route-7", "second");
    WAIT_FOR(loop, control.acks == 1);
    assert_int_equal(control.acked_revision, 1);
    WAIT_FOR(loop, control.acks == 2);
    assert_int_equal(control.acked_revision, 2);
    assert_int_equal(control.nacks, 0);
    assert_true(text_is(plane_content(&plane, RESOURCE_ROUTE, "route-7"), "second"));
    plane_stop(&plane);
    control_stop(&control);
    loop_free(loop);
}

static void a_unix_socket_is_private_and_a_dead_one_is_replaced(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    char base[] = "/tmp/nantian-xds-XXXXXX", path[64];
    assert_non_null(mkdtemp(base));
    (void)snprintf(path, sizeof(path), "unix:%s/xds.sock", base);
    struct address address;
    assert_true(address_parse_endpoint(text_of(path), &address));
    int dead = listener_open(&address, false);
    assert_true(dead >= 0);
    close(dead); /* its file stays */
    struct control control = {0}, second = {0};
    struct plane plane = {0};
    control_start(&control, loop, &address);
    struct xds_server *other = xds_server_new(loop, second.delta, NULL);
    assert_string_equal(xds_server_listen(other, &address, NULL), "the address is in use");
    xds_server_free(other);
    assert_int_equal(access(path + 5, F_OK), 0);
    control_put(&control, 1, RESOURCE_ROUTE, "r", "1");
    plane_start(&plane, loop, &address);
    WAIT_FOR(loop, control.acks == 1);
    plane_stop(&plane);
    control_stop(&control);
    assert_int_not_equal(access(path + 5, F_OK), 0);
    assert_int_equal(rmdir(base), 0);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_data_plane_gets_everything_and_says_so),
        cmocka_unit_test(one_change_among_a_hundred_thousand_costs_one_resource),
        cmocka_unit_test(a_refused_snapshot_names_its_fault_and_the_next_one_goes_live),
        cmocka_unit_test(who_comes_back_with_what_is_current_has_acknowledged_it),
        cmocka_unit_test(who_comes_back_with_refused_resources_staged_is_not_left_behind),
        cmocka_unit_test(a_refused_snapshot_is_not_tried_again_after_a_new_stream),
        cmocka_unit_test(a_fault_of_what_has_changed_since_is_not_told),
        cmocka_unit_test(while_a_snapshot_is_adopted_later_ones_become_one),
        cmocka_unit_test(a_stream_lost_while_a_snapshot_is_adopted_costs_nothing),
        cmocka_unit_test(an_older_or_incomparable_control_plane_is_refused_until_it_catches_up),
        cmocka_unit_test(what_was_restored_from_disk_is_stated_and_only_the_difference_comes),
        cmocka_unit_test(the_same_content_under_a_newer_version_is_only_noted),
        cmocka_unit_test(a_filtered_stream_gets_its_own_and_a_record_that_fits),
        cmocka_unit_test(what_a_node_begins_or_ceases_to_see_comes_and_goes_with_the_next_publish),
        cmocka_unit_test(a_record_names_what_changed_and_what_is_held_is_whole),
        cmocka_unit_test(what_is_published_while_a_push_is_under_way_is_not_acknowledged_with_it),
        cmocka_unit_test(a_unix_socket_is_private_and_a_dead_one_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
