/* Our server against clients of every kind: stock ones with names, slow ones, rude ones. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>

#include "base/limits.h"
#include "plane.h"
#include "raw.h"

struct caller {
    struct loop *loop;
    struct grpc_channel *channel;
    struct raw raw;
    bool ready, closed;
};

static void on_ready(void *owner, struct grpc_channel *channel)
{
    (void)channel;
    ((struct caller *)owner)->ready = true;
}

static void on_closed(void *owner, struct grpc_channel *channel, const char *why)
{
    (void)channel;
    (void)why;
    ((struct caller *)owner)->closed = true;
}

static void caller_call(struct caller *caller)
{
    caller->raw.call = grpc_start(caller->channel, DELTA_METHOD, raw_events(), &caller->raw);
    assert_non_null(caller->raw.call);
    caller->raw.call->receive_max = LIMIT_GRPC_RECEIVE;
}

static void caller_start(struct caller *caller, struct loop *loop, const struct address *to)
{
    static const struct grpc_channel_events EVENTS = {on_ready, on_closed};
    *caller = (struct caller){.loop = loop};
    caller->channel =
        grpc_channel_open(loop, to, NULL, TEXT_NONE, TEXT("localhost"), &EVENTS, caller);
    WAIT_FOR(loop, caller->ready);
    caller_call(caller);
}

static void caller_stop(struct caller *caller)
{
    grpc_channel_free(caller->channel);
    settle(caller->loop);
    raw_clear(&caller->raw);
}

struct ask {
    const char *subscribe[4], *unsubscribe[4]; /* up to a NULL */
    const char *has[4], *versions[4];
    const char *nonce, *refusal;
};

static size_t copy_names(const char *const from[4], char *to[4])
{
    size_t count = 0;
    for (; count < 4 && from[count] != NULL; count++)
        to[count] = memory_string(text_of(from[count]));
    return count;
}

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest__InitialResourceVersionsEntry Stated;

static const Stated NOTHING_STATED =
    ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INITIAL_RESOURCE_VERSIONS_ENTRY__INIT;

static void ask(struct caller *caller, const char *url, struct ask what)
{
    Request request = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
    Envoy__Service__Discovery__V3__Node node = ENVOY__SERVICE__DISCOVERY__V3__NODE__INIT;
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    char *subscribe[4], *unsubscribe[4], id[] = "raw";
    char *type_url = memory_string(text_of(url));
    char *nonce = memory_string(text_of(what.nonce == NULL ? "" : what.nonce));
    char *words = memory_string(text_of(what.refusal == NULL ? "" : what.refusal));
    Stated entries[4], *list[4];
    char *keys[4], *values[4];
    node.id = id;
    request.node = &node;
    request.type_url = type_url;
    request.response_nonce = nonce;
    request.resource_names_subscribe = subscribe;
    request.n_resource_names_subscribe = copy_names(what.subscribe, subscribe);
    request.resource_names_unsubscribe = unsubscribe;
    request.n_resource_names_unsubscribe = copy_names(what.unsubscribe, unsubscribe);
    request.initial_resource_versions = list;
    request.n_initial_resource_versions = copy_names(what.has, keys);
    (void)copy_names(what.versions, values);
    for (size_t i = 0; i < request.n_initial_resource_versions; i++) {
        entries[i] = NOTHING_STATED;
        entries[i].key = keys[i];
        entries[i].value = values[i];
        list[i] = &entries[i];
    }
    status.message = words;
    if (what.refusal != NULL)
        request.error_detail = &status;
    raw_send(&caller->raw, &request);
    for (size_t i = 0; i < request.n_resource_names_subscribe; i++)
        free(subscribe[i]);
    for (size_t i = 0; i < request.n_resource_names_unsubscribe; i++)
        free(unsubscribe[i]);
    for (size_t i = 0; i < request.n_initial_resource_versions; i++) {
        free(keys[i]);
        free(values[i]);
    }
    free(type_url);
    free(nonce);
    free(words);
}

#define ASK(caller, type, ...) ask((caller), types_url(type), (struct ask){__VA_ARGS__})

/* "+name=bytes" and "-name" of a response, sorted as sent, separated by blanks. */
static void describe(struct caller *caller, int at, char *out, size_t room)
{
    struct arena arena;
    struct builder words = {0};
    arena_init(&arena, 0);
    Response *response = raw_response(&caller->raw, at, &arena);
    for (size_t i = 0; i < response->n_resources; i++)
        builder_printf(&words, "%s+%s=%.*s", words.len ? " " : "", response->resources[i]->name,
                       (int)response->resources[i]->resource->value.len,
                       (const char *)response->resources[i]->resource->value.data);
    for (size_t i = 0; i < response->n_removed_resources; i++)
        builder_printf(&words, "%s-%s", words.len ? " " : "", response->removed_resources[i]);
    copy_words(out, room, builder_text(&words));
    builder_fini(&words);
    arena_fini(&arena);
}

static void expect_response(struct caller *caller, int at, const char *what)
{
    char got[512];
    WAIT_FOR(caller->loop, caller->raw.count > at);
    describe(caller, at, got, sizeof(got));
    assert_string_equal(got, what);
}

static void expect_silence(struct caller *caller, int count)
{
    settle(caller->loop);
    assert_int_equal(caller->raw.count, count);
}

static void names_are_sent_one_by_one_and_forgotten_when_told_so(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct caller caller;
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "a", "1");
    control_put(&control, 2, RESOURCE_ROUTE, "b", "1");
    caller_start(&caller, loop, &control.address);
    ASK(&caller, RESOURCE_ROUTE, .subscribe = {"a", "missing"});
    expect_response(&caller, 0, "+a=1 -missing");
    control_put(&control, 3, RESOURCE_ROUTE, "b", "2");
    expect_silence(&caller, 1);
    control_put(&control, 4, RESOURCE_ROUTE, "a", "2");
    expect_response(&caller, 1, "+a=2");
    control_put(&control, 5, RESOURCE_ROUTE, "missing", "here");
    expect_response(&caller, 2, "+missing=here");
    ASK(&caller, RESOURCE_ROUTE, .subscribe = {"b"}, .unsubscribe = {"a"}, .nonce = "1");
    expect_response(&caller, 3, "+b=2");
    control_put(&control, 6, RESOURCE_ROUTE, "a", "3");
    expect_silence(&caller, 4);
    ASK(&caller, RESOURCE_ROUTE, .subscribe = {"b"}); /* again: it wants it again */
    expect_response(&caller, 4, "+b=2");
    control_put(&control, 7, RESOURCE_ROUTE, "b", NULL);
    expect_response(&caller, 5, "-b");
    assert_int_equal(delta_server_counters(control.delta)->snapshots, 0);
    caller_stop(&caller);
    control_stop(&control);
    loop_free(loop);
}

static void a_wildcard_can_be_taken_and_given_back(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct caller caller;
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "a", "1");
    caller_start(&caller, loop, &control.address);
    ASK(&caller, RESOURCE_ROUTE, .subscribe = {"*", "a"});
    expect_response(&caller, 0, "+a=1");
    ASK(&caller, RESOURCE_ROUTE, .unsubscribe = {"a"}); /* the wildcard still covers it */
    expect_response(&caller, 1, "+a=1");
    ASK(&caller, RESOURCE_ROUTE, .unsubscribe = {"*"});
    expect_silence(&caller, 2);
    control_put(&control, 2, RESOURCE_ROUTE, "b", "1");
    expect_silence(&caller, 2);
    ASK(&caller, RESOURCE_ROUTE, .subscribe = {"*"});
    WAIT_FOR(loop, caller.raw.count == 3);
    caller_stop(&caller);
    control_stop(&control);
    loop_free(loop);
}

static void a_statement_leaves_only_the_differences(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct caller caller;
    char hex[33], version[64];
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "a", "1");
    control_put(&control, 2, RESOURCE_ROUTE, "b", "1");
    copy_words(
        version, sizeof(version),
        resource_version(
            resource_set_get(delta_server_set(control.delta), RESOURCE_ROUTE, TEXT("a")), hex));
    caller_start(&caller, loop, &control.address);
    ASK(&caller, RESOURCE_ROUTE, .has = {"a", "b", "gone"}, .versions = {version, "old", "old"});
    expect_response(&caller, 0, "+b=1 -gone");
    expect_silence(&caller, 1);
    caller_stop(&caller);
    control_stop(&control);
    loop_free(loop);
}

static void an_unknown_type_is_told_to_the_owner_and_ignored(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct caller caller;
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "a", "1");
    caller_start(&caller, loop, &control.address);
    ask(&caller, "type.googleapis.com/envoy.config.cluster.v3.Cluster", (struct ask){0});
    WAIT_FOR(loop, control.unknown == 1);
    ASK(&caller, RESOURCE_ROUTE, .nonce = "");
    expect_response(&caller, 0, "+a=1");
    caller_stop(&caller);
    control_stop(&control);
    loop_free(loop);
}

static void a_stock_client_refuses_in_words_only(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct caller caller;
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "a", "1");
    caller_start(&caller, loop, &control.address);
    ASK(&caller, RESOURCE_ROUTE, .nonce = NULL);
    WAIT_FOR(loop, caller.raw.count == 1);
    ASK(&caller, RESOURCE_ROUTE, .nonce = "1", .refusal = "I do not like it");
    WAIT_FOR(loop, control.nacks == 1);
    assert_false(control.nack_has_refusal);
    assert_string_equal(control.nack_words, "I do not like it");
    assert_string_equal(control.nack_type, types_url(RESOURCE_ROUTE));
    expect_silence(&caller, 1);
    control_put(&control, 2, RESOURCE_ROUTE, "a", "2");
    expect_response(&caller, 1, "+a=2");
    ASK(&caller, RESOURCE_ROUTE, .nonce = "99", .refusal = "of another stream");
    ASK(&caller, RESOURCE_ROUTE, .nonce = "no number", .refusal = "nonsense");
    settle(loop);
    assert_int_equal(control.nacks, 1);
    caller_stop(&caller);
    control_stop(&control);
    loop_free(loop);
}

static void subscribe_all(struct caller *caller)
{
    for (unsigned i = 0; i < RESOURCE_TYPES; i++)
        ASK(caller, types_push_order()[i], .nonce = NULL);
}

static void a_client_that_does_not_answer_holds_the_newest_only(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct caller caller;
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "a", "1");
    caller_start(&caller, loop, &control.address);
    subscribe_all(&caller);
    WAIT_FOR(loop, caller.raw.count == 2); /* the route and the record */
    for (uint64_t revision = 2; revision < 1000; revision++) {
        char content[16];
        (void)snprintf(content, sizeof(content), "%d", (int)revision);
        control_put(&control, revision, RESOURCE_ROUTE, "a", content);
    }
    expect_silence(&caller, 2);
    ASK(&caller, RESOURCE_SNAPSHOT, .nonce = "2");
    expect_response(&caller, 2, "+a=999");
    WAIT_FOR(loop, caller.raw.count == 4);
    assert_int_equal(delta_server_counters(control.delta)->resources, 2);
    caller_stop(&caller);
    control_stop(&control);
    loop_free(loop);
}

static void who_does_not_say_that_it_reads_changes_gets_whole_records(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct caller caller;
    struct arena arena;
    struct record record;
    arena_init(&arena, 0);
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "a", "1");
    caller_start(&caller, loop, &control.address);
    subscribe_all(&caller);
    WAIT_FOR(loop, caller.raw.count == 2);
    ASK(&caller, RESOURCE_SNAPSHOT, .nonce = "2");
    control_put(&control, 2, RESOURCE_ROUTE, "a", "2");
    WAIT_FOR(loop, caller.raw.count == 4);
    const Resource *one = raw_response(&caller.raw, 3, &arena)->resources[0];
    struct text bytes = unpack_bytes(&one->resource->value);
    assert_int_equal(record_read(bytes, &arena, &record), ERR_NONE);
    assert_int_equal(record.message->n_types, RESOURCE_CONTENT_TYPES);
    arena_fini(&arena);
    caller_stop(&caller);
    control_stop(&control);
    loop_free(loop);
}

static void a_client_too_far_behind_must_come_back(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct caller caller, other;
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "a", "1");
    caller_start(&caller, loop, &control.address);
    caller_start(&other, loop, &control.address);
    subscribe_all(&caller);
    WAIT_FOR(loop, caller.raw.count == 2);
    for (uint64_t i = 0; i < 3; i++) /* more changes than the log holds */
        control_put_routes(&control, 2 + i, 0, LIMIT_XDS_LOG / 2 + 10, i & 1 ? "odd" : "even");
    ASK(&caller, RESOURCE_SNAPSHOT, .nonce = "2");
    WAIT_FOR(loop, caller.raw.ends == 1);
    assert_int_equal(caller.raw.status, GRPC_UNAVAILABLE);
    assert_string_equal(caller.raw.words, "too far behind: connect again");
    assert_int_equal(delta_server_counters(control.delta)->resyncs, 1);
    ASK(&other, RESOURCE_SECRET, .nonce = NULL);
    settle(loop);
    assert_int_equal(other.raw.ends, 0);
    caller_stop(&caller);
    caller_stop(&other);
    control_stop(&control);
    loop_free(loop);
}

static void before_the_first_publish_nothing_is_sent_and_nothing_is_lost(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct caller caller;
    control_start(&control, loop, NULL);
    caller_start(&caller, loop, &control.address);
    ASK(&caller, RESOURCE_ROUTE, .has = {"gone"}, .versions = {"old"});
    expect_silence(&caller, 0);
    assert_int_equal(control.joined, 1);
    control_put(&control, 1, RESOURCE_ROUTE, "a", "1");
    expect_response(&caller, 0, "+a=1 -gone");
    caller_stop(&caller);
    control_stop(&control);
    loop_free(loop);
}

static void garbage_costs_its_sender_the_stream_and_nobody_else(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct caller rude, polite;
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "a", "1");
    caller_start(&polite, loop, &control.address);
    ASK(&polite, RESOURCE_ROUTE, .nonce = NULL);
    WAIT_FOR(loop, polite.raw.count == 1);
    caller_start(&rude, loop, &control.address);
    for (int i = 0; i < 5; i++) {
        if (i > 0)
            caller_call(&rude);
        assert_int_equal(grpc_send(rude.raw.call, TEXT("\x0a\xff\xff\x03zz"), 0), ERR_NONE);
        WAIT_FOR(loop, rude.raw.ends == i + 1);
        assert_int_equal(rude.raw.status, GRPC_INVALID_ARGUMENT);
        assert_string_equal(rude.raw.words, "a request could not be read");
    }
    control_put(&control, 2, RESOURCE_ROUTE, "a", "2");
    expect_response(&polite, 1, "+a=2");
    assert_int_equal(polite.raw.ends, 0);
    caller_stop(&rude);
    caller_stop(&polite);
    control_stop(&control);
    loop_free(loop);
}

static void nodes_are_listed_by_name_and_remembered_for_a_while(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct control control = {0};
    struct caller caller;
    struct plane plane = {0};
    control_start(&control, loop, NULL);
    control_put(&control, 1, RESOURCE_ROUTE, "a", "1");
    caller_start(&caller, loop, &control.address);
    ASK(&caller, RESOURCE_ROUTE, .nonce = NULL);
    plane_start(&plane, loop, &control.address);
    WAIT_FOR(loop, control.joined == 2 && control.acks == 1);
    assert_string_equal(delta_server_node(control.delta, 0)->id, "node-1");
    assert_string_equal(delta_server_node(control.delta, 1)->id, "raw");
    assert_null(delta_server_node(control.delta, 2));
    caller_stop(&caller);
    WAIT_FOR(loop, control.left == 1);
    assert_int_equal(delta_server_node(control.delta, 1)->streams, 0);
    link_restart(plane.link, "test");
    WAIT_FOR(loop, control.joined == 3);
    assert_int_equal(delta_server_node(control.delta, 0)->streams, 1);
    plane_stop(&plane);
    control_stop(&control);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_sent_one_by_one_and_forgotten_when_told_so),
        cmocka_unit_test(a_wildcard_can_be_taken_and_given_back),
        cmocka_unit_test(a_statement_leaves_only_the_differences),
        cmocka_unit_test(an_unknown_type_is_told_to_the_owner_and_ignored),
        cmocka_unit_test(a_stock_client_refuses_in_words_only),
        cmocka_unit_test(a_client_that_does_not_answer_holds_the_newest_only),
        cmocka_unit_test(who_does_not_say_that_it_reads_changes_gets_whole_records),
        cmocka_unit_test(a_client_too_far_behind_must_come_back),
        cmocka_unit_test(before_the_first_publish_nothing_is_sent_and_nothing_is_lost),
        cmocka_unit_test(garbage_costs_its_sender_the_stream_and_nobody_else),
        cmocka_unit_test(nodes_are_listed_by_name_and_remembered_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
