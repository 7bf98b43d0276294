/* A request as attributes, and what a service may change: without a service. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/filter/auth_check.h"
#include "exchange_make.h"
#include "grpc/frame.h"
#include "schema/unpack.h"

#define STRING(literal) ((char *)(uintptr_t)(literal))

static Envoy__Service__Auth__V3__AttributeContext *
asked(struct exchange_make *make, const struct message *told, struct text body)
{
    struct text message, frame = auth_check_ask(&make->x, told, body);
    size_t len;
    void *ask = NULL;
    assert_int_equal(grpc_frame_read(frame, frame.len, &message, &len), GRPC_FRAME_WHOLE);
    assert_int_equal(len, frame.len);
    assert_int_equal(schema_unpack(&envoy__service__auth__v3__check_request__descriptor, message,
                                   &make->arena, &ask),
                     ERR_NONE);
    return ((Envoy__Service__Auth__V3__CheckRequest *)ask)->attributes;
}

static void a_request_is_told_as_attributes(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/a/b?c=d", 0);
    struct message told;
    message_init(&told);
    message_add(&told, &make.arena, TEXT("X-Two"), TEXT("1"));
    message_add(&told, &make.arena, TEXT("cookie"), TEXT("a=b"));
    message_add(&told, &make.arena, TEXT("x-two"), TEXT(""));
    message_add(&told, &make.arena, TEXT("x-two"), TEXT("3"));
    message_add(&told, &make.arena, TEXT("Cookie"), TEXT("c=d"));
    message_add(&told, &make.arena, TEXT("x-raw"), TEXT("caf\xe9 \xc3\xa9"));
    const Envoy__Service__Auth__V3__AttributeContext *about =
        asked(&make, &told, TEXT("b\xc3\xa9"));
    const Envoy__Service__Auth__V3__AttributeContext__HttpRequest *http = about->request->http;
    assert_string_equal(http->method, "GET");
    assert_string_equal(http->path, "/a/b?c=d");
    assert_string_equal(http->host, "example.org:8080");
    assert_string_equal(http->scheme, "http");
    assert_string_equal(http->protocol, "HTTP/1.1");
    assert_string_equal(http->body, "b\xc3\xa9");
    assert_int_equal(http->size, 0);
    assert_int_equal(about->request->time->seconds, 1000);
    assert_string_equal(about->source->address->socket_address->address, "192.0.2.1");
    assert_int_equal(about->source->address->socket_address->port_value, 1234);
    static const char *const HEADERS[][2] = {
        {"x-two", "1,,3"}, {"cookie", "a=b; c=d"}, {"x-raw", "caf! !!"}};
    assert_int_equal(http->n_headers, ARRAY_LEN(HEADERS));
    for (size_t i = 0; i < ARRAY_LEN(HEADERS); i++) {
        assert_string_equal(http->headers[i]->key, HEADERS[i][0]);
        assert_string_equal(http->headers[i]->value, HEADERS[i][1]);
    }
    make.request.framing = FRAMING_CHUNKED;
    about = asked(&make, &told, text_from("\x00\xff", 2));
    assert_int_equal(about->request->http->size, -1);
    assert_int_equal(about->request->http->raw_body.len, 2);
    assert_string_equal(about->request->http->body, "");
    make_end(&make);
}

static void a_service_may_not_set_everything(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/", 0);
    message_add(&make.request, &make.arena, TEXT("there"), TEXT("old"));
    static const struct {
        const char *name, *value;
        int append; /* -1: not said */
        int action;
    } OPTIONS[] = {
        {"new", "1", -1, 0},
        {"there", "2", -1, 0},
        {"there", "3", 1, 0},
        {"Host", "evil", -1, 0},
        {"content-length", "9", -1, 0},
        {":path", "/x", -1, 0},
        {"bad name", "x", -1, 0},
        {"split", "a\r\nb: c", -1, 0},
        {"transfer-encoding", "x", -1, 0},
        {"there", "4", -1, 1},
        {"fresh", "5", -1, 1},
        {"absent", "6", -1, 3},
        {"new", "7", -1, 3},
        {"new", "8", -1, 2},
        {"raw", "9", -1, 0},
    };
    Envoy__Service__Auth__V3__HeaderValueOption made[ARRAY_LEN(OPTIONS)], *all[ARRAY_LEN(OPTIONS)];
    Envoy__Service__Auth__V3__HeaderValue values[ARRAY_LEN(OPTIONS)];
    Envoy__Service__Auth__V3__BoolValue append = ENVOY__SERVICE__AUTH__V3__BOOL_VALUE__INIT;
    append.value = true;
    for (size_t i = 0; i < ARRAY_LEN(OPTIONS); i++) {
        envoy__service__auth__v3__header_value_option__init(&made[i]);
        envoy__service__auth__v3__header_value__init(&values[i]);
        values[i].key = STRING(OPTIONS[i].name);
        values[i].value = STRING(OPTIONS[i].value);
        made[i].header = &values[i];
        made[i].append = OPTIONS[i].append > 0 ? &append : NULL;
        made[i].append_action = OPTIONS[i].action;
        all[i] = &made[i];
    }
    struct text raw = TEXT("\xe9");
    values[ARRAY_LEN(OPTIONS) - 1].raw_value =
        (ProtobufCBinaryData){raw.len, (uint8_t *)(uintptr_t)raw.data};
    auth_check_apply(all, ARRAY_LEN(OPTIONS), &make.request, &make.arena);
    assert_string_equal(make_value(&make.request, "new", &make.arena), "8");
    assert_string_equal(make_value(&make.request, "there", &make.arena), "2|3");
    assert_string_equal(make_value(&make.request, "fresh", &make.arena), "5");
    assert_string_equal(make_value(&make.request, "raw", &make.arena), "\xe9");
    assert_int_equal(make.request.field_count, 5);
    make_end(&make);
}

static void fields_that_cannot_be_copied_are_refused(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    Nantian__Config__V1__ExternalAuth message = NANTIAN__CONFIG__V1__EXTERNAL_AUTH__INIT;
    char *names[] = {STRING("x-user"), STRING("content-length")};
    message.backend = STRING("default/auth:80");
    message.path_prefix = STRING("no-slash");
    assert_string_equal(make_refusal(&filter_external_auth, &message, &arena),
                        "path_prefix: is not a path");
    message.path_prefix = STRING("/check/");
    message.allowed_request_headers = names;
    message.n_allowed_request_headers = 2;
    assert_string_equal(
        make_refusal(&filter_external_auth, &message, &arena),
        "allowed_request_headers[1]: is not the name of a field that may be copied");
    message.n_allowed_request_headers = 1;
    message.allowed_response_headers = &names[1];
    message.n_allowed_response_headers = 1;
    assert_string_equal(
        make_refusal(&filter_external_auth, &message, &arena),
        "allowed_response_headers[0]: is not the name of a field that may be copied");
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_told_as_attributes),
        cmocka_unit_test(a_service_may_not_set_everything),
        cmocka_unit_test(fields_that_cannot_be_copied_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
