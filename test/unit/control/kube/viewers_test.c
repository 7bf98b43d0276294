/* Whose token is taken, and how often an API server (a service of the same loop) is asked. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "control/kube/viewers.h"
#include "http/service.h"
#include "test.h"

struct scene {
    struct loop *loop;
    struct service *server;
    struct kube_config config;
    struct client *client;
    struct viewers *viewers;
    struct arena arena;
    int reviews; /* that the API server was asked for */
    int answers;
    int status; /* of the last answer */
};

/* A token is the name of its account, the namespace before it; "none" is nobody's, "other:" is for
 * another audience, and about "broken" the API server fails. */
static void on_review(void *owner, const struct service_request *request,
                      struct service_reply *reply)
{
    struct scene *scene = owner;
    struct text token = request->body, before;
    struct text mark = TEXT("\"token\":\"");
    scene->reviews++;
    assert_non_null(memmem(token.data, token.len, "[\"nantian-viewer\"]", 18));
    const char *at = memmem(token.data, token.len, mark.data, mark.len);
    assert_non_null(at);
    token = text_from(at + mark.len, (size_t)(token.data + token.len - at) - mark.len);
    assert_true(text_split(&token, '"', &before));
    bool is_other = text_starts_with(before, TEXT("other:"));
    before = text_slice(before, is_other ? 6 : 0, before.len);
    if (text_is(before, "broken"))
        service_fail(reply, 500, "broken");
    else if (text_is(before, "none"))
        builder_add_string(&reply->body, "{\"status\":{\"authenticated\":false}}");
    else
        builder_printf(&reply->body,
                       "{\"status\":{\"authenticated\":true,\"audiences\":[\"%s\"],\"user\":"
                       "{\"username\":\"system:serviceaccount:" TEXT_FMT "\"}}}",
                       is_other ? "xds" : "nantian-viewer", TEXT_ARG(before));
}

static void on_answer(void *owner, uint64_t ticket, int status, const char *why)
{
    struct scene *scene = owner;
    assert_true(ticket > 0 && (status == 200 || why != NULL));
    scene->answers++;
    scene->status = status;
}

static void scene_start(struct scene *scene)
{
    static const struct service_path PATHS[] = {
        {"POST", "/apis/authentication.k8s.io/v1/tokenreviews", on_review, false},
    };
    const char *why = NULL;
    struct address address;
    *scene = (struct scene){.loop = loop_new(NULL)};
    arena_init(&scene->arena, 0);
    scene->server = service_new(scene->loop, PATHS, ARRAY_LEN(PATHS), scene);
    assert_true(address_parse(TEXT("127.0.0.1"), 0, &address));
    assert_true(service_listen(scene->server, &address));
    scene->config.address = service_address(scene->server);
    scene->config.authority = TEXT("localhost");
    scene->client = client_new(scene->loop, &scene->config, 60000, &why);
    scene->viewers = viewers_new(scene->loop, scene->client, TEXT("ours"), on_answer, scene);
}

static void scene_stop(struct scene *scene)
{
    viewers_free(scene->viewers);
    client_free(scene->client);
    service_free(scene->server);
    arena_fini(&scene->arena);
    loop_free(scene->loop);
}

static void start(struct scene *scene, const char *field, const char *value)
{
    struct message head;
    message_init(&head);
    if (field != NULL)
        message_add(&head, &scene->arena, text_of(field), text_of(value));
    viewers_ask(scene->viewers, 7, &head);
}

static void wait_answers(struct scene *scene, int count)
{
    uint64_t until = clock_monotonic_ns() + 60000000000ull;
    while (scene->answers < count && clock_monotonic_ns() < until)
        loop_turn(scene->loop, 5);
    assert_int_equal(scene->answers, count);
}

static int judge(struct scene *scene, const char *field, const char *value)
{
    int before = scene->answers;
    scene->status = 0;
    start(scene, field, value);
    wait_answers(scene, before + 1);
    return scene->status;
}

static void one_account_of_one_namespace_is_let_in(void **state)
{
    (void)state;
    static const struct {
        const char *field, *value;
        int status, reviews;
    } rows[] = {
        {NULL, NULL, 401, 0},
        {"nantian-token", "", 401, 0},
        {"authorization", "Basic b3VyczpuYW50aWFuLXZpZXdlcg==", 401, 0},
        {"authorization", "Bearer ", 401, 0},
        {"authorization", "ours:nantian-viewer", 401, 0},
        {"cookie", "nantian-token=ours:nantian-viewer", 401, 0},
        {"nantian-token", "none", 401, 1},
        {"nantian-token", "other:ours:nantian-viewer", 401, 1},
        {"nantian-token", "ours:nantian-viewers", 403, 1},
        {"nantian-token", "ours:nantian-control", 403, 1},
        {"nantian-token", "theirs:nantian-viewer", 403, 1},
        {"nantian-token", "ours:", 401, 1},
        {"nantian-token", "broken", 503, 1},
        {"authorization", "Bearer none", 401, 1},
        {"nantian-token", "ours:nantian-viewer", 200, 1},
        {"authorization", "bearer ours:nantian-viewer", 200, 0}, /* it is known by now */
    };
    struct scene scene;
    scene_start(&scene);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        scene.reviews = 0;
        int status = judge(&scene, rows[i].field, rows[i].value);
        if (status != rows[i].status || scene.reviews != rows[i].reviews)
            fail_msg("row %zu: %d after %d reviews", i, status, scene.reviews);
    }
    scene_stop(&scene);
}

static void what_is_good_is_remembered_and_nothing_else(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(judge(&scene, "nantian-token", "ours:nantian-viewer"), 200);
        assert_int_equal(judge(&scene, "nantian-token", "none"), 401);
        assert_int_equal(judge(&scene, "nantian-token", "broken"), 503);
        assert_int_equal(judge(&scene, "nantian-token", "theirs:nantian-viewer"), 403);
    }
    assert_int_equal(scene.reviews, 1 + 5 * 3);
    scene_stop(&scene);
}

static void few_are_asked_about_at_a_time(void **state)
{
    (void)state;
    enum { ASKED = 3 * LIMIT_VIEWER_REVIEWS };
    struct scene scene;
    scene_start(&scene);
    for (int i = 0; i < ASKED; i++)
        start(&scene, "nantian-token", "none");
    assert_int_equal(scene.answers, ASKED - LIMIT_VIEWER_REVIEWS);
    assert_int_equal(scene.status, 503);
    wait_answers(&scene, ASKED);
    assert_int_equal(scene.reviews, LIMIT_VIEWER_REVIEWS);
    assert_int_equal(judge(&scene, "nantian-token", "ours:nantian-viewer"), 200);
    start(&scene, "nantian-token", "none"); /* and waits when all ends */
    scene_stop(&scene);
}

static void a_token_that_is_too_long_is_asked_of_nobody(void **state)
{
    (void)state;
    struct scene scene;
    char *token = calloc(1, LIMIT_VIEWER_TOKEN + 2);
    scene_start(&scene);
    memset(token, 'x', LIMIT_VIEWER_TOKEN + 1);
    assert_int_equal(judge(&scene, "nantian-token", token), 401);
    assert_int_equal(scene.reviews, 0);
    free(token);
    scene_stop(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_account_of_one_namespace_is_let_in),
        cmocka_unit_test(what_is_good_is_remembered_and_nothing_else),
        cmocka_unit_test(few_are_asked_about_at_a_time),
        cmocka_unit_test(a_token_that_is_too_long_is_asked_of_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
