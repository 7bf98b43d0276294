/* gRPC-Web: types, the text of requests, and frames, in every cut and with a client that is slow.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/builder.h"
#include "base/memory.h"
#include "data/proxy/rpc_web.h"
#include "test.h"

/* What the client got; it takes `room` bytes at a time. */
struct world {
    struct loop *loop;
    struct arena arena;
    struct exchange x;
    struct message request, response;
    struct http_stream client;
    struct builder got;
    size_t room;
    bool has_ended;
};

static size_t take(struct http_stream *stream, struct text bytes, bool end)
{
    struct world *world = stream->owner;
    size_t taken = MIN(bytes.len, world->room);
    builder_add(&world->got, text_slice(bytes, 0, taken));
    if (end && taken == bytes.len)
        world->has_ended = true;
    return taken;
}

static const struct http_stream_ops OPS = {.write = take};

static struct rpc_web *begin(struct world *world, const char *type, const char *accept)
{
    message_init(&world->request);
    message_init(&world->response);
    builder_clear(&world->got);
    world->has_ended = false;
    world->room = SIZE_MAX;
    world->request.method = METHOD_POST;
    message_add(&world->request, &world->arena, TEXT("content-type"), text_of(type));
    if (accept != NULL)
        message_add(&world->request, &world->arena, TEXT("accept"), text_of(accept));
    return rpc_web_begin(&world->x);
}

static int setup(void **state)
{
    struct world *world = memory_new(struct world);
    world->loop = loop_new(NULL);
    arena_init(&world->arena, 0);
    world->client.ops = &OPS;
    world->client.owner = world;
    world->x = (struct exchange){.arena = &world->arena,
                                 .loop = world->loop,
                                 .client = &world->client,
                                 .request = &world->request,
                                 .response = &world->response};
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    builder_fini(&world->got);
    arena_fini(&world->arena);
    loop_free(world->loop);
    free(world);
    return 0;
}

static void only_its_types_are_its_calls(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *type, *accept, *inward, *outward;
    } ROWS[] = {
        {"application/grpc-web", NULL, "application/grpc", "application/grpc-web"},
        {"application/grpc-web+proto", NULL, "application/grpc+proto",
         "application/grpc-web+proto"},
        {"Application/gRPC-Web-Text; charset=utf-8", "*/*", "application/grpc",
         "application/grpc-web-text"},
        {"application/grpc-web-text+json", NULL, "application/grpc+json",
         "application/grpc-web-text+json"},
        {"application/grpc-web+proto", "text/html, application/grpc-web-text",
         "application/grpc+proto", "application/grpc-web-text+proto"},
        {"application/grpc-web-text", "application/grpc-web", "application/grpc",
         "application/grpc-web"},
        {"application/grpc", NULL, NULL, NULL},
        {"application/grpc-website", NULL, NULL, NULL},
        {"application/grpc-we", NULL, NULL, NULL},
        {"", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct rpc_web *web = begin(world, ROWS[i].type, ROWS[i].accept);
        assert_true((web != NULL) == (ROWS[i].inward != NULL));
        if (web == NULL)
            continue;
        assert_true(text_is(message_value(&world->request, NAME_CONTENT_TYPE), ROWS[i].inward));
        assert_true(text_is(message_value(&world->request, NAME_TE), "trailers"));
        world->response.status = 200;
        message_add(&world->response, &world->arena, TEXT("content-type"),
                    TEXT("application/grpc"));
        rpc_web_head(web, false);
        assert_true(text_is(message_value(&world->response, NAME_CONTENT_TYPE), ROWS[i].outward));
        assert_int_equal(world->response.framing, FRAMING_CHUNKED);
        rpc_web_fini(web);
    }
}

static void requests_come_as_text_in_any_pieces(void **state)
{
    struct world *world = *state;
    struct text text = TEXT("AAAAAAM=YWJjAAAAAAA=");
    for (size_t cut = 0; cut <= text.len; cut++) {
        struct rpc_web *web = begin(world, "application/grpc-web-text", NULL);
        assert_int_equal(rpc_web_read(web, text_slice(text, 0, cut)), cut);
        assert_int_equal(rpc_web_read(web, text_slice(text, cut, text.len)), text.len - cut);
        assert_true(rpc_web_is_whole(web));
        assert_memory_equal(buffer_text(&web->in).data, "\0\0\0\0\3abc\0\0\0\0\0", 13);
        assert_int_equal(buffer_len(&web->in), 13);
        rpc_web_fini(web);
    }
}

static void text_that_is_not_base64_is_found_out(void **state)
{
    struct world *world = *state;
    static const char *const BAD[] = {"A",
                                      "AAA",
                                      "A===",
                                      "AA=A",
                                      "AA-A",
                                      "AA A",
                                      "\x80"
                                      "AAA"};
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct rpc_web *web = begin(world, "application/grpc-web-text", NULL);
        struct text text = text_of(BAD[i]);
        assert_int_equal(rpc_web_read(web, text), text.len);
        assert_false(rpc_web_is_whole(web));
        assert_true(web->is_bad);
        assert_int_equal(rpc_web_read(web, text), text.len);
        assert_int_equal(buffer_len(&web->in), 0);
        rpc_web_fini(web);
    }
}

static struct message trailers_of(struct world *world)
{
    struct message trailers;
    message_init(&trailers);
    message_add(&trailers, &world->arena, TEXT("grpc-status"), TEXT("0"));
    message_add(&trailers, &world->arena, TEXT("x-empty"), TEXT_NONE);
    return trailers;
}

/* Pushes all of it as a proxy does, in pieces of `size`. */
static void send_all(struct world *world, struct rpc_web *web, struct text bytes, size_t size)
{
    struct message trailers = trailers_of(world);
    size_t turns = 0;
    while (bytes.len > 0) {
        size_t used = rpc_web_write(web, text_slice(bytes, 0, size));
        bytes = text_slice(bytes, used, bytes.len);
        assert_true(turns++ < 100000);
    }
    assert_true(rpc_web_finish(web, &trailers));
    while (!rpc_web_flush(web))
        assert_true(turns++ < 100000);
    assert_true(world->has_ended);
}

static const char MESSAGES[] = "\0\0\0\0\4four\0\0\0\0\0\1\0\0\0\1x";
static const char ENDING[] = "\x80\0\0\0\x19grpc-status:0\r\nx-empty:\r\n";

static void trailers_are_the_last_frame(void **state)
{
    struct world *world = *state;
    struct text messages = text_from(MESSAGES, sizeof(MESSAGES) - 1);
    for (size_t room = 1; room < 40; room += 3) {
        struct rpc_web *web = begin(world, "application/grpc-web", NULL);
        world->room = room;
        send_all(world, web, messages, 7);
        assert_int_equal(world->got.len, messages.len + sizeof(ENDING) - 1);
        assert_memory_equal(world->got.data, messages.data, messages.len);
        assert_memory_equal(world->got.data + messages.len, ENDING, sizeof(ENDING) - 1);
        assert_int_equal(world->x.response_bytes, world->got.len);
        world->x.response_bytes = 0;
        rpc_web_fini(web);
    }
}

static void each_frame_is_a_text_of_its_own(void **state)
{
    struct world *world = *state;
    static const char TEXT_FORM[] = "AAAAAARmb3Vy"
                                    "AAAAAAA="
                                    "AQAAAAF4"
                                    "gAAAABlncnBjLXN0YXR1czowDQp4LWVtcHR5Og0K";
    struct text messages = text_from(MESSAGES, sizeof(MESSAGES) - 1);
    for (size_t size = 1; size <= messages.len; size++) {
        for (size_t room = 1; room < 80; room += 13) {
            struct rpc_web *web = begin(world, "application/grpc-web-text", NULL);
            world->room = room;
            send_all(world, web, messages, size);
            assert_string_equal(world->got.data, TEXT_FORM);
            rpc_web_fini(web);
        }
    }
}

static void nothing_follows_half_a_message(void **state)
{
    struct world *world = *state;
    for (size_t len = 1; len < 9; len++) {
        struct rpc_web *web = begin(world, "application/grpc-web", NULL);
        struct message trailers = trailers_of(world);
        assert_int_equal(rpc_web_write(web, text_from(MESSAGES, len)), len);
        assert_false(rpc_web_finish(web, &trailers));
        rpc_web_fini(web);
    }
}

static void what_is_no_answer_of_grpc_is_known(void **state)
{
    struct world *world = *state;
    static const struct {
        int status;
        const char *type;
        bool is_answer;
    } ROWS[] = {{200, "application/grpc", true},
                {200, "application/grpc+proto", true},
                {200, "application/grpc-web", false},
                {200, "text/html", false},
                {200, "", false},
                {503, "application/grpc", false}};
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct message head;
        message_init(&head);
        head.status = ROWS[i].status;
        message_add(&head, &world->arena, TEXT("content-type"), text_of(ROWS[i].type));
        assert_int_equal(rpc_web_is_answer(&head), ROWS[i].is_answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_its_types_are_its_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(requests_come_as_text_in_any_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(text_that_is_not_base64_is_found_out, setup, teardown),
        cmocka_unit_test_setup_teardown(trailers_are_the_last_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(each_frame_is_a_text_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_follows_half_a_message, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_answer_of_grpc_is_known, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
