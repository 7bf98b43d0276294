/* Lines of the access log name the route, the backend and the listener of their own request,
 * whatever bytes the names are of and whatever was served before. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/value.h"
#include "data/observe/access_log.h"
#include "event/loop.h"
#include "test.h"

struct rig {
    struct arena arena;
    struct loop *loop;
    struct metrics *metrics;
    struct access_log log;
    struct snapshot snapshot;
    struct lease lease;
    struct listener_config listener;
    char path[64];
};

static int rig_new(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    arena_init(&rig->arena, 0);
    rig->loop = loop_new(NULL);
    rig->metrics = metrics_new();
    rig->lease.snapshot = &rig->snapshot;
    rig->snapshot.number = 1;
    rig->listener.gateway = TEXT("default/web");
    rig->listener.name = TEXT("http");
    snprintf(rig->path, sizeof(rig->path), "/tmp/access-log-XXXXXX");
    int fd = mkstemp(rig->path);
    assert_true(fd >= 0);
    close(fd);
    assert_true(access_log_open(&rig->log, rig->loop, rig->metrics, rig->path, false, TEXT("n")));
    *state = rig;
    return 0;
}

static int rig_free(void **state)
{
    struct rig *rig = *state;
    access_log_close(&rig->log);
    unlink(rig->path);
    metrics_free(rig->metrics);
    loop_free(rig->loop);
    arena_fini(&rig->arena);
    free(rig);
    return 0;
}

/* Serves a request and gives back its line, read as JSON. */
static const struct value *line_of(struct rig *rig, struct route *route,
                                   const struct weighted_backend *backend)
{
    struct message request;
    message_init(&request);
    request.method_name = TEXT("GET");
    request.method = METHOD_GET;
    struct exchange x = {
        .request = &request,
        .lease = &rig->lease,
        .snapshot_number = (uint32_t)rig->snapshot.number,
        .listener = &rig->listener,
        .hit = {.route = route},
        .backend = backend,
    };
    struct access_log_entry entry = {
        .x = &x, .status = 200, .path = TEXT("/"), .ended_wall_ns = UINT64_C(1700000000000000000)};
    assert_int_equal(truncate(rig->path, 0), 0);
    access_log_write(&rig->log, &entry);
    access_log_flush(&rig->log);
    char bytes[8192];
    FILE *file = fopen(rig->path, "r");
    size_t len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    struct text text = arena_text(&rig->arena, text_from(bytes, len));
    struct faults faults;
    faults_init(&faults, &rig->arena);
    struct value *line = NULL;
    if (!value_parse_json(text, TEXT("line"), &rig->arena, &line, &faults))
        fail_msg(TEXT_FMT ": " TEXT_FMT, TEXT_ARG(text), TEXT_ARG(faults.items[0].what));
    faults_fini(&faults);
    return line;
}

static void expect(const struct value *line, const char *name, const char *words)
{
    struct text value = value_string(value_get(line, name));
    assert_int_equal(value.len, strlen(words));
    assert_memory_equal(value.data, words, value.len);
}

static void every_route_is_named(void **state)
{
    struct rig *rig = *state;
    struct {
        const char *label, *kind, *namespace, *name;
    } names[] = {
        {"HTTPRoute/shop/cart/0", "HTTPRoute", "shop", "cart"},
        {"TCPRoute/a/b/0", "TCPRoute", "a", "b"},
        {"HTTPRoute/a-namespace-of-some-length/a-name-that-is-longer-than-that/0", "HTTPRoute",
         "a-namespace-of-some-length", "a-name-that-is-longer-than-that"},
        {"HTTPRoute/sh\"op/ca\\rt/0", "HTTPRoute", "sh\"op", "ca\\rt"},
        {"HTTPRoute/shop/\x01/0", "HTTPRoute", "shop", "\x01"},
        {"HTTPRoute//cart/0", "HTTPRoute", "", "cart"},
        {"x", "GRPCRoute", "not", "of the label"},
        {"", "", "", ""},
    };
    struct weighted_backend backend = {.slot = 3, .name = TEXT("shop/app:80")};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            struct route route = {
                .slot = (uint32_t)i,
                .label = text_of(names[i].label),
                .kind = text_of(names[i].kind),
                .namespace = text_of(names[i].namespace),
                .name = text_of(names[i].name),
            };
            const struct value *line = line_of(rig, &route, &backend);
            expect(line, "route_name", names[i].label);
            expect(line, "route_kind", names[i].kind);
            expect(line, "route_namespace", names[i].namespace);
            expect(line, "route", names[i].name);
            expect(line, "backend", "shop/app:80");
        }
    }
}

static void what_is_kept_is_of_one_backend_listener_and_snapshot(void **state)
{
    struct rig *rig = *state;
    struct route route = {.label = TEXT("HTTPRoute/shop/cart/0")};
    struct weighted_backend first = {.slot = 3, .name = TEXT("shop/app:80")};
    struct weighted_backend second = {.slot = 3 + ACCESS_LOG_PARTS, .name = TEXT("shop/b:80")};
    struct weighted_backend nowhere = {.slot = BACKEND_NONE, .name = TEXT("shop/none:80")};
    struct weighted_backend nobody = {.slot = BACKEND_NONE, .name = TEXT("shop/nobody:80")};
    for (int round = 0; round < 2; round++) {
        expect(line_of(rig, &route, &first), "backend", "shop/app:80");
        expect(line_of(rig, &route, &second), "upstream_cluster", "shop/b:80");
        expect(line_of(rig, &route, &nowhere), "backend", "shop/none:80");
        expect(line_of(rig, &route, &nobody), "backend", "shop/nobody:80");
    }
    rig->snapshot.number = 2;
    first.name = TEXT("shop/new:80");
    const struct value *line = line_of(rig, &route, &first);
    expect(line, "backend", "shop/new:80");
    assert_int_equal(value_int(value_get(line, "snapshot"), 0), 2);
    struct listener_config before = rig->listener, other = before;
    other.name = TEXT("https");
    rig->listener = other;
    rig->snapshot.number = 3;
    expect(line_of(rig, &route, &first), "listener", "https");
    expect(line_of(rig, NULL, NULL), "gateway", "default/web");
}

static void numbers_of_any_length_are_whole(void **state)
{
    struct rig *rig = *state;
    static const uint32_t NUMBERS[] = {0, 9, 10, 99, 100, 101, 12345, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++) {
        struct route route = {.label = TEXT("x"), .rule = NUMBERS[i]};
        const struct value *line = line_of(rig, &route, NULL);
        assert_int_equal(value_int(value_get(line, "rule"), -1), NUMBERS[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_route_is_named, rig_new, rig_free),
        cmocka_unit_test_setup_teardown(what_is_kept_is_of_one_backend_listener_and_snapshot,
                                        rig_new, rig_free),
        cmocka_unit_test_setup_teardown(numbers_of_any_length_are_whole, rig_new, rig_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
