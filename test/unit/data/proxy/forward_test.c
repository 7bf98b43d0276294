/* What the backend is told about the client. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/forward.h"
#include "test.h"

struct bench {
    struct arena arena;
    struct loop *loop;
    struct message request;
    struct exchange x;
    struct forward forward;
};

static void setup(struct bench *bench)
{
    *bench = (struct bench){.loop = loop_new(NULL)};
    arena_init(&bench->arena, 0);
    message_init(&bench->request);
    bench->request.authority = TEXT("shop.example:8443");
    bench->request.scheme = TEXT("https");
    bench->x.arena = &bench->arena;
    bench->x.loop = bench->loop;
    bench->x.request = &bench->request;
    bench->forward = (struct forward){TEXT("10.1.2.3"), TEXT("8443"), false};
}

static void finish(struct bench *bench)
{
    arena_fini(&bench->arena);
    loop_free(bench->loop);
}

static void add(struct bench *bench, const char *name, const char *value)
{
    message_add(&bench->request, &bench->arena, text_of(name), text_of(value));
}

static void expect(const struct bench *bench, const char *name, const char *value)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; i < bench->request.field_count; i++)
        seen += text_equal_nocase(bench->request.fields[i].name, text_of(name));
    assert_int_equal(seen, value == NULL ? 0 : 1);
    if (value == NULL)
        return;
    struct text got = message_find(&bench->request, text_of(name))->value;
    assert_int_equal(got.len, strlen(value));
    assert_memory_equal(got.data, value, got.len);
}

static void the_gateway_says_who_asked(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    add(&bench, "Accept", "*/*");
    forward_request(&bench.x, &bench.forward);
    expect(&bench, "x-forwarded-for", "10.1.2.3");
    expect(&bench, "x-forwarded-proto", "https");
    expect(&bench, "x-forwarded-host", "shop.example:8443");
    expect(&bench, "x-forwarded-port", "8443");
    expect(&bench, "accept", "*/*");
    struct text id = message_value(&bench.request, NAME_X_REQUEST_ID);
    assert_int_equal(id.len, 36);
    assert_int_equal(id.data[14], '4');
    finish(&bench);
}

static void a_stranger_cannot_say_it_also_not_twice(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    add(&bench, "X-Forwarded-For", "6.6.6.6");
    add(&bench, "x-forwarded-for", "7.7.7.7");
    add(&bench, "X-Forwarded-Proto", "gopher");
    add(&bench, "Forwarded", "for=6.6.6.6");
    add(&bench, "X-Forwarded-Host", "evil");
    add(&bench, "X-Forwarded-Client-Cert", "Subject=evil");
    add(&bench, "x-real-ip", "6.6.6.6");
    add(&bench, "X-Envoy-External-Address", "6.6.6.6");
    add(&bench, "X-NANTIAN-User", "root");
    add(&bench, "X-Other", "kept");
    add(&bench, "X-Env", "kept");
    forward_forget(&bench.request);
    forward_request(&bench.x, &bench.forward);
    expect(&bench, "x-real-ip", NULL);
    expect(&bench, "x-envoy-external-address", NULL);
    expect(&bench, "x-nantian-user", NULL);
    expect(&bench, "x-forwarded-client-cert", NULL);
    expect(&bench, "x-env", "kept");
    expect(&bench, "x-forwarded-for", "10.1.2.3");
    expect(&bench, "x-forwarded-proto", "https");
    expect(&bench, "x-forwarded-host", "shop.example:8443");
    expect(&bench, "forwarded", NULL);
    expect(&bench, "x-other", "kept");
    finish(&bench);
}

static void what_a_filter_sets_goes_on(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    forward_forget(&bench.request);
    add(&bench, "X-Real-IP", "10.1.2.3");
    add(&bench, "Forwarded", "for=10.1.2.3");
    forward_request(&bench.x, &bench.forward);
    expect(&bench, "x-real-ip", "10.1.2.3");
    expect(&bench, "forwarded", "for=10.1.2.3");
    finish(&bench);
}

static void a_trusted_hop_is_appended_to(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    bench.forward.is_trusted = true;
    add(&bench, "X-Forwarded-For", "192.0.2.1");
    add(&bench, "X-Forwarded-Proto", "http");
    forward_request(&bench.x, &bench.forward);
    expect(&bench, "x-forwarded-for", "192.0.2.1, 10.1.2.3");
    expect(&bench, "x-forwarded-proto", "http");
    finish(&bench);
}

static void a_request_id_is_kept_only_if_a_log_can_show_it(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    add(&bench, "X-Request-Id", "abc-123");
    forward_request(&bench.x, &bench.forward);
    expect(&bench, "x-request-id", "abc-123");
    finish(&bench);
    setup(&bench);
    add(&bench, "X-Request-Id", "a b");
    forward_request(&bench.x, &bench.forward);
    assert_int_equal(message_value(&bench.request, NAME_X_REQUEST_ID).len, 36);
    finish(&bench);
}

static void a_rewritten_host_is_sent_and_the_first_told(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    bench.x.host_rewrite = TEXT("inner.example");
    forward_request(&bench.x, &bench.forward);
    assert_true(text_is(bench.request.authority, "inner.example"));
    expect(&bench, "x-forwarded-host", "shop.example:8443");
    finish(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gateway_says_who_asked),
        cmocka_unit_test(a_stranger_cannot_say_it_also_not_twice),
        cmocka_unit_test(what_a_filter_sets_goes_on),
        cmocka_unit_test(a_trusted_hop_is_appended_to),
        cmocka_unit_test(a_request_id_is_kept_only_if_a_log_can_show_it),
        cmocka_unit_test(a_rewritten_host_is_sent_and_the_first_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
