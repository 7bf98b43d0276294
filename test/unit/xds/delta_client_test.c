/* Our client against a server that says anything: cut streams, lying records, garbage. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "base/random.h"
#include "plane.h"
#include "raw.h"

/* A server of one stream at a time, driven by the test. */
struct scripted {
    struct loop *loop;
    struct grpc_server *grpc;
    struct listener listener;
    struct raw raw; /* the newest stream */
    int calls;
    int nonce;
};

static void on_call(void *owner, struct grpc_call *call)
{
    struct scripted *server = owner;
    if (server->raw.call != NULL)
        link_drop_call(server->raw.call);
    server->calls++;
    server->raw.count = 0;
    server->raw.loop = server->loop;
    server->raw.call = call;
    call->events = raw_events();
    call->owner = &server->raw;
    call->receive_max = LIMIT_GRPC_RECEIVE;
}

static void on_accept(void *owner, int fd, const struct address *peer)
{
    grpc_server_accept(((struct scripted *)owner)->grpc, fd, peer, NULL);
}

static void scripted_start(struct scripted *server, struct loop *loop)
{
    static const struct grpc_method METHODS[] = {{DELTA_METHOD, on_call}};
    static const struct grpc_server_events EVENTS = {0};
    struct address address;
    server->loop = loop;
    server->grpc = grpc_server_new(loop, METHODS, 1, &EVENTS, server);
    assert_true(address_parse(TEXT("127.0.0.1"), 0, &address));
    int fd = listener_open(&address, false);
    address.len = sizeof(address.storage);
    assert_int_equal(getsockname(fd, &address.any, &address.len), 0);
    server->listener.address = address;
    server->listener.owner = server;
    server->listener.on_accept = on_accept;
    assert_true(listener_start(&server->listener, loop, fd));
}

static void scripted_stop(struct scripted *server)
{
    listener_close(&server->listener);
    grpc_server_free(server->grpc);
    settle(server->loop);
    raw_clear(&server->raw);
}

static void scripted_cut(struct scripted *server)
{
    grpc_cancel(server->raw.call);
    WAIT_FOR(server->loop, server->raw.call == NULL);
}

/* One response of one resource; `bytes` NULL: removed. Returns its nonce. */
static int say(struct scripted *server, enum resource_type type, const char *name,
               const char *version, struct text bytes, bool removed)
{
    struct arena arena;
    arena_init(&arena, 0);
    Response response = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_RESPONSE__INIT;
    Resource resource = ENVOY__SERVICE__DISCOVERY__V3__RESOURCE__INIT, *list[] = {&resource};
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    char *gone[] = {arena_string(&arena, text_of(name))};
    any.type_url = arena_string(&arena, text_of(types_url(type)));
    any.value.len = bytes.len;
    any.value.data = (uint8_t *)arena_string(&arena, bytes);
    resource.name = gone[0];
    resource.version = arena_string(&arena, text_of(version));
    resource.resource = &any;
    if (removed) {
        response.removed_resources = gone;
        response.n_removed_resources = 1;
    } else {
        response.resources = list;
        response.n_resources = 1;
    }
    response.type_url = any.type_url;
    response.nonce = arena_string(&arena, arena_printf(&arena, "n%d", ++server->nonce));
    raw_send(&server->raw, &response);
    arena_fini(&arena);
    return server->nonce;
}

/* The record of `set` at `revision`. */
static int commit(struct scripted *server, const struct resource_set *set, uint64_t epoch,
                  uint64_t revision)
{
    struct snapshot_version version = version_at(epoch, revision);
    struct resource *record = record_new(&set->sums, &version);
    char hex[33], text[64];
    copy_words(text, sizeof(text), resource_version(record, hex));
    int nonce = say(server, RESOURCE_SNAPSHOT, "snapshot", text, resource_bytes(record), false);
    resource_unref(record);
    return nonce;
}

static void put(struct resource_set *set, enum resource_type type, const char *name,
                const char *bytes)
{
    struct resource *one = resource_new(type, text_of(name), text_of(bytes), TEXT_NONE);
    resource_set_put(set, one);
    resource_unref(one);
}

/* The client's answer to a nonce came: 1 an ACK, -1 a NACK, 0 none yet. */
static int answer_to(struct scripted *server, int nonce, char *ret_reason, size_t room)
{
    char want[32];
    int answer = 0;
    (void)snprintf(want, sizeof(want), "n%d", nonce);
    for (int i = 0; i < server->raw.count && answer == 0; i++) {
        struct arena arena;
        arena_init(&arena, 0);
        Request *request = raw_request(&server->raw, i, &arena);
        if (strcmp(request->response_nonce, want) == 0) {
            answer = request->error_detail == NULL ? 1 : -1;
            const Nantian__Config__V1__Refusal *refusal =
                answer < 0 ? refusal_from_status(request->error_detail, &arena) : NULL;
            if (ret_reason != NULL && answer < 0)
                copy_words(
                    ret_reason, room,
                    text_of(refusal == NULL ? request->error_detail->message : refusal->reason));
        }
        arena_fini(&arena);
    }
    return answer;
}

static void expect_ack(struct scripted *server, int nonce)
{
    WAIT_FOR(server->loop, answer_to(server, nonce, NULL, 0) == 1);
}

static void expect_nack(struct scripted *server, int nonce, const char *reason)
{
    char got[300];
    WAIT_FOR(server->loop, answer_to(server, nonce, got, sizeof(got)) == -1);
    assert_string_equal(got, reason);
}

/* What the newest stream's first request of that type said the client has; "" for nothing. */
static void stated_version(struct scripted *server, enum resource_type type, const char *name,
                           char *out, size_t room)
{
    out[0] = '\0';
    for (int i = 0; i < server->raw.count; i++) {
        struct arena arena;
        arena_init(&arena, 0);
        Request *request = raw_request(&server->raw, i, &arena);
        for (size_t k = 0; strcmp(request->type_url, types_url(type)) == 0 &&
                           k < request->n_initial_resource_versions;
             k++) {
            if (strcmp(request->initial_resource_versions[k]->key, name) == 0)
                copy_words(out, room, text_of(request->initial_resource_versions[k]->value));
        }
        arena_fini(&arena);
    }
}

struct scene {
    struct loop *loop;
    struct scripted server;
    struct plane plane;
    struct resource_set set; /* what the server means */
};

static void scene_start(struct scene *scene)
{
    *scene = (struct scene){.loop = loop_new(NULL)};
    resource_set_init(&scene->set);
    scripted_start(&scene->server, scene->loop);
    plane_start(&scene->plane, scene->loop, &scene->server.listener.address);
    WAIT_FOR(scene->loop, scene->server.raw.count == RESOURCE_TYPES);
}

static void scene_stop(struct scene *scene)
{
    plane_stop(&scene->plane);
    scripted_stop(&scene->server);
    resource_set_fini(&scene->set);
    loop_free(scene->loop);
}

/* The client's next stream, with all its first requests. */
static void next_stream(struct scene *scene, int calls)
{
    WAIT_FOR(scene->loop, scene->server.calls == calls);
    WAIT_FOR(scene->loop, scene->server.raw.count >= RESOURCE_TYPES);
}

static void serve(struct scene *scene, enum resource_type type, const char *name, const char *bytes)
{
    put(&scene->set, type, name, bytes);
    say(&scene->server, type, name, "v1", text_of(bytes), false);
}

static void first_snapshot(struct scene *scene)
{
    serve(scene, RESOURCE_ROUTE, "r", "1");
    expect_ack(&scene->server, commit(&scene->server, &scene->set, 1, 10));
    assert_int_equal(plane_holds(&scene->plane), 10);
}

static void the_node_stands_in_the_first_request_and_snapshot_is_asked_for_last(void **state)
{
    (void)state;
    struct scene scene;
    struct arena arena;
    scene_start(&scene);
    arena_init(&arena, 0);
    for (int i = 0; i < RESOURCE_TYPES; i++) {
        Request *request = raw_request(&scene.server.raw, i, &arena);
        assert_string_equal(request->type_url, types_url(types_push_order()[i]));
        assert_int_equal(request->node != NULL, i == 0);
        assert_int_equal(request->n_initial_resource_versions, 0);
        assert_int_equal(request->n_resource_names_subscribe, 0);
    }
    assert_string_equal(raw_request(&scene.server.raw, 0, &arena)->node->id, "node-1");
    arena_fini(&arena);
    scene_stop(&scene);
}

static void nothing_is_applied_before_the_record_wherever_the_stream_is_cut(void **state)
{
    (void)state;
    for (int cut = 0; cut <= 4; cut++) {
        struct scene scene;
        char version[64];
        scene_start(&scene);
        first_snapshot(&scene);
        int sent = 0;
        static const char *const NAMES[] = {"a", "b", "c", "d"};
        for (; sent < cut; sent++) {
            serve(&scene, RESOURCE_BACKEND, NAMES[sent], "content");
            expect_ack(&scene.server, scene.server.nonce);
        }
        scripted_cut(&scene.server);
        next_stream(&scene, 2);
        assert_int_equal(scene.plane.offers, 1);
        assert_int_equal(plane_holds(&scene.plane), 10);
        assert_int_equal(resource_set_total(delta_client_accepted(scene.plane.client)), 1);
        /* The client states what it has staged, so that only the rest is sent. */
        for (int i = 0; i < 4; i++) {
            stated_version(&scene.server, RESOURCE_BACKEND, NAMES[i], version, sizeof(version));
            assert_string_equal(version, i < cut ? "v1" : "");
        }
        stated_version(&scene.server, RESOURCE_SNAPSHOT, "snapshot", version, sizeof(version));
        assert_int_equal(strlen(version), 32); /* of the accepted one */
        for (; sent < 4; sent++)
            serve(&scene, RESOURCE_BACKEND, NAMES[sent], "content");
        expect_ack(&scene.server, commit(&scene.server, &scene.set, 1, 11));
        assert_int_equal(plane_holds(&scene.plane), 11);
        assert_int_equal(scene.plane.edits, 4);
        scene_stop(&scene);
    }
}

static void a_record_without_its_resources_is_refused_and_the_stream_begins_anew(void **state)
{
    (void)state;
    struct scene scene;
    char version[64];
    scene_start(&scene);
    first_snapshot(&scene);
    put(&scene.set, RESOURCE_ROUTE, "never sent", "x");
    expect_nack(&scene.server, commit(&scene.server, &scene.set, 1, 11), "incomplete");
    assert_int_equal(scene.plane.offers, 1);
    assert_string_equal(scene.plane.refused_reason, "incomplete");
    next_stream(&scene, 2); /* after LIMIT_XDS_LINGER_MS and the backoff */
    stated_version(&scene.server, RESOURCE_ROUTE, "r", version, sizeof(version));
    assert_string_equal(version, "v1");
    serve(&scene, RESOURCE_ROUTE, "never sent", "x");
    expect_ack(&scene.server, commit(&scene.server, &scene.set, 1, 11));
    assert_int_equal(plane_holds(&scene.plane), 11);
    scene_stop(&scene);
}

static void resources_behind_their_record_mend_it(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene);
    first_snapshot(&scene);
    put(&scene.set, RESOURCE_ROUTE, "late", "x");
    int nonce = commit(&scene.server, &scene.set, 1, 11);
    expect_nack(&scene.server, nonce, "incomplete");
    say(&scene.server, RESOURCE_ROUTE, "late", "v1", TEXT("x"), false);
    WAIT_FOR(scene.loop, plane_holds(&scene.plane) == 11);
    settle(scene.loop);
    assert_int_equal(scene.server.calls, 1);
    assert_int_equal(scene.plane.offers, 2);
    scene_stop(&scene);
}

static void another_digest_than_announced_is_refused(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene);
    first_snapshot(&scene);
    put(&scene.set, RESOURCE_ROUTE, "r", "meant");
    say(&scene.server, RESOURCE_ROUTE, "r", "v2", TEXT("sent"), false);
    expect_nack(&scene.server, commit(&scene.server, &scene.set, 1, 11), "digest");
    assert_int_equal(delta_client_counters(scene.plane.client)->refused_mismatch, 1);
    assert_true(text_is(plane_content(&scene.plane, RESOURCE_ROUTE, "r"), "1"));
    scene_stop(&scene);
}

static void a_hundred_stale_and_replayed_records_are_refused(void **state)
{
    (void)state;
    struct scene scene;
    struct random random;
    random_seed(&random, 10);
    scene_start(&scene);
    first_snapshot(&scene);
    for (int i = 0; i < 100; i++) {
        scene.server.raw.count = 0;
        bool epoch = random_below(&random, 4) == 0;
        put(&scene.set, RESOURCE_ROUTE, "r", i % 2 ? "stale" : "staler");
        say(&scene.server, RESOURCE_ROUTE, "r", "v0",
            resource_bytes(resource_set_get(&scene.set, RESOURCE_ROUTE, TEXT("r"))), false);
        int nonce = commit(&scene.server, &scene.set, epoch ? 0 : 1,
                           epoch ? 1000 : random_below(&random, 10));
        expect_nack(&scene.server, nonce, "older");
        assert_true(text_is(plane_content(&scene.plane, RESOURCE_ROUTE, "r"), "1"));
    }
    assert_int_equal(scene.plane.offers, 1);
    assert_int_equal(delta_client_counters(scene.plane.client)->refused_older, 100);
    assert_int_equal(scene.server.calls, 1);
    scene_stop(&scene);
}

/* The record of `set` at `revision`, as what changed since `before` at `base`. */
static int commit_changes(struct scene *scene, uint64_t revision,
                          const struct resource_sums *before, uint64_t base)
{
    struct snapshot_version version = version_at(1, revision), from = version_at(1, base);
    struct resource *record = record_new(&scene->set.sums, &version);
    struct resource *changes =
        record_since(record, &(struct record_content){&scene->set.sums, &version},
                     &(struct record_content){before, &from});
    int nonce =
        say(&scene->server, RESOURCE_SNAPSHOT, "snapshot", "v1", resource_bytes(changes), false);
    resource_unref(record);
    resource_unref(changes);
    return nonce;
}

static void changes_count_from_the_last_record_of_their_stream_and_move_nothing_back(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene);
    first_snapshot(&scene);
    struct resource_sums before = scene.set.sums;
    serve(&scene, RESOURCE_ROUTE, "r", "2");
    expect_ack(&scene.server, commit_changes(&scene, 12, &before, 10));
    assert_int_equal(plane_holds(&scene.plane), 12);
    before = scene.set.sums;
    serve(&scene, RESOURCE_ROUTE, "r", "3");
    expect_nack(&scene.server, commit_changes(&scene, 11, &before, 12), "older");
    expect_ack(&scene.server, commit_changes(&scene, 13, &before, 11));
    assert_true(text_is(plane_content(&scene.plane, RESOURCE_ROUTE, "r"), "3"));

    /* A new stream begins with nothing: what it is a change of must be told there. */
    scripted_cut(&scene.server);
    next_stream(&scene, 2);
    before = scene.set.sums;
    serve(&scene, RESOURCE_ROUTE, "r", "4");
    expect_nack(&scene.server, commit_changes(&scene, 14, &before, 13), "incomplete");
    assert_true(text_is(plane_content(&scene.plane, RESOURCE_ROUTE, "r"), "3"));
    expect_ack(&scene.server, commit(&scene.server, &scene.set, 1, 14));
    assert_int_equal(plane_holds(&scene.plane), 14);
    scene_stop(&scene);
}

static void unusable_responses_are_refused_by_name(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene);
    first_snapshot(&scene);
    struct scripted *server = &scene.server;
    expect_nack(server, say(server, RESOURCE_ROUTE, "", "v", TEXT("x"), false),
                "a resource has no usable name");
    expect_nack(server, say(server, RESOURCE_ROUTE, "a\nb", "v", TEXT("x"), false),
                "a resource has no usable name");
    expect_nack(server, say(server, RESOURCE_SNAPSHOT, "other", "v", TEXT(""), false),
                "not one commit record named \"snapshot\"");
    expect_nack(server, say(server, RESOURCE_SNAPSHOT, "snapshot", "v", TEXT("\xff\xff"), false),
                "incomplete");
    expect_nack(server, say(server, RESOURCE_SNAPSHOT, "snapshot", "v", TEXT(""), false),
                "incomplete");
    expect_ack(server, say(server, RESOURCE_SNAPSHOT, "snapshot", "v", TEXT(""), true));
    expect_ack(server, say(server, RESOURCE_ROUTE, "unheard of", "v", TEXT(""), true));
    Response response = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_RESPONSE__INIT;
    char url[] = "type.googleapis.com/envoy.config.cluster.v3.Cluster", nonce[] = "n999";
    response.type_url = url;
    response.nonce = nonce;
    raw_send(&server->raw, &response);
    expect_nack(server, 999, "a response of a type that was not asked for");
    expect_ack(server, commit(server, &scene.set, 1, 11));
    assert_int_equal(plane_holds(&scene.plane), 11);
    scene_stop(&scene);
}

static void garbage_ends_the_stream_and_leaves_what_runs(void **state)
{
    (void)state;
    struct scene scene;
    struct random random;
    char bytes[300];
    int calls = 1;
    random_seed(&random, 77);
    scene_start(&scene);
    first_snapshot(&scene);
    struct arena arena;
    arena_init(&arena, 0);
    struct text good = {bytes, sizeof(bytes)};
    for (int round = 0; round < 6; round++) {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (char)random_next(&random);
        bytes[0] = 0x12; /* a resource whose length goes beyond the end */
        bytes[1] = (char)0xff;
        bytes[2] = 0x7f;
        assert_int_equal(grpc_send(scene.server.raw.call, good, 0), ERR_NONE);
        next_stream(&scene, ++calls);
        assert_true(text_is(plane_content(&scene.plane, RESOURCE_ROUTE, "r"), "1"));
        assert_int_equal(plane_holds(&scene.plane), 10);
    }
    arena_fini(&arena);
    assert_int_equal(delta_client_counters(scene.plane.client)->protocol_errors, 6);
    assert_string_equal(link_last_error(scene.plane.link), "a response could not be read");
    expect_ack(&scene.server, commit(&scene.server, &scene.set, 1, 12));
    scene_stop(&scene);
}

static void a_server_that_cannot_take_the_statement_is_asked_for_everything(void **state)
{
    (void)state;
    struct scene scene;
    char version[64];
    scene_start(&scene);
    first_snapshot(&scene);
    scripted_cut(&scene.server);
    next_stream(&scene, 2);
    grpc_finish(scene.server.raw.call, GRPC_RESOURCE_EXHAUSTED, "message larger than max");
    next_stream(&scene, 3);
    stated_version(&scene.server, RESOURCE_ROUTE, "r", version, sizeof(version));
    assert_string_equal(version, "");
    assert_true(text_is(plane_content(&scene.plane, RESOURCE_ROUTE, "r"), "1"));
    resource_set_clear(&scene.set);
    serve(&scene, RESOURCE_ROUTE, "r", "1");
    serve(&scene, RESOURCE_ROUTE, "s", "1");
    expect_ack(&scene.server, commit(&scene.server, &scene.set, 1, 11));
    assert_int_equal(scene.plane.edits, 1);
    scene_stop(&scene);
}

static void the_backoff_grows_is_jittered_and_has_an_end(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 3);
    uint64_t step = LIMIT_RECONNECT_MIN_MS;
    for (uint32_t attempt = 0; attempt < 40; attempt++) {
        uint64_t low = UINT64_MAX, high = 0;
        for (int i = 0; i < 200; i++) {
            uint64_t wait = link_backoff_ms(&random, attempt);
            low = MIN(low, wait);
            high = MAX(high, wait);
        }
        assert_true(low >= step / 2 && high <= step && low < high);
        step = MIN(step * 2, (uint64_t)LIMIT_RECONNECT_MAX_MS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_node_stands_in_the_first_request_and_snapshot_is_asked_for_last),
        cmocka_unit_test(nothing_is_applied_before_the_record_wherever_the_stream_is_cut),
        cmocka_unit_test(a_record_without_its_resources_is_refused_and_the_stream_begins_anew),
        cmocka_unit_test(resources_behind_their_record_mend_it),
        cmocka_unit_test(another_digest_than_announced_is_refused),
        cmocka_unit_test(a_hundred_stale_and_replayed_records_are_refused),
        cmocka_unit_test(changes_count_from_the_last_record_of_their_stream_and_move_nothing_back),
        cmocka_unit_test(unusable_responses_are_refused_by_name),
        cmocka_unit_test(garbage_ends_the_stream_and_leaves_what_runs),
        cmocka_unit_test(a_server_that_cannot_take_the_statement_is_asked_for_everything),
        cmocka_unit_test(the_backoff_grows_is_jittered_and_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
