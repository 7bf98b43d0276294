/* Traces are kept or begun; a trace that is not valid is not believed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/trace.h"
#include "test.h"

#define ID     "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

struct bench {
    struct arena arena;
    struct loop *loop;
    struct message request;
    struct exchange x;
};

static void setup(struct bench *bench)
{
    *bench = (struct bench){.loop = loop_new(NULL)};
    arena_init(&bench->arena, 0);
    message_init(&bench->request);
    bench->x.arena = &bench->arena;
    bench->x.loop = bench->loop;
    bench->x.request = &bench->request;
}

static void finish(struct bench *bench)
{
    arena_fini(&bench->arena);
    loop_free(bench->loop);
}

static struct text value(struct bench *bench, const char *name)
{
    struct field *field = message_find(&bench->request, text_of(name));
    return field == NULL ? TEXT_NONE : field->value;
}

static void add(struct bench *bench, const char *name, const char *words)
{
    message_add(&bench->request, &bench->arena, text_of(name), text_of(words));
}

static void a_valid_trace_goes_on_with_us_as_its_parent(void **state)
{
    (void)state;
    static const struct {
        const char *in, *flags;
    } cases[] = {
        {"00-" ID "-" PARENT "-01", "01"},
        {"00-" ID "-" PARENT "-00", "00"},
        {"00-" ID "-" PARENT "-ff", "03"},
        {"cc-" ID "-" PARENT "-01-what-comes", "01"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench bench;
        setup(&bench);
        add(&bench, "traceparent", cases[i].in);
        add(&bench, "tracestate", "a=1");
        trace_forward(&bench.x);
        struct text out = value(&bench, "traceparent");
        assert_int_equal(out.len, 55);
        assert_true(text_starts_with(out, TEXT("00-" ID "-")));
        assert_false(text_is(text_slice(out, 36, 52), PARENT));
        assert_true(text_is(text_slice(out, 53, 55), cases[i].flags));
        assert_true(text_is(value(&bench, "tracestate"), "a=1"));
        finish(&bench);
    }
}

static void without_a_valid_one_a_trace_begins(void **state)
{
    (void)state;
    static const char *const cases[] = {
        NULL,
        "",
        "00-" ID "-" PARENT "-0",
        "00-" ID "-" PARENT "-01-more",
        "ff-" ID "-" PARENT "-01",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" ID "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
        "00_" ID "-" PARENT "-01",
        "cc-" ID "-" PARENT "-01x",
        "g0-" ID "-" PARENT "-01",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench bench;
        setup(&bench);
        if (cases[i] != NULL)
            add(&bench, "traceparent", cases[i]);
        add(&bench, "tracestate", "a=1");
        trace_forward(&bench.x);
        struct text out = value(&bench, "traceparent");
        assert_int_equal(out.len, 55);
        assert_true(text_starts_with(out, TEXT("00-")));
        assert_true(text_ends_with(out, TEXT("-01")));
        assert_false(text_starts_with(out, TEXT("00-" ID)));
        assert_null(value(&bench, "tracestate").data);
        finish(&bench);
    }
}

static void two_parents_are_none(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    add(&bench, "traceparent", "00-" ID "-" PARENT "-01");
    add(&bench, "traceparent", "00-" ID "-" PARENT "-01");
    trace_forward(&bench.x);
    assert_int_equal(bench.request.field_count, 1);
    assert_false(text_starts_with(value(&bench, "traceparent"), TEXT("00-" ID)));
    finish(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_valid_trace_goes_on_with_us_as_its_parent),
        cmocka_unit_test(without_a_valid_one_a_trace_begins),
        cmocka_unit_test(two_parents_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
