/* Counters of several workers become one valid page; an odd label stays one label. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "data/observe/exposition.h"
#include "test.h"

static struct listener_config listener = {
    .resource = {"default/web/http", 16},
    .gateway = {"default/web", 11},
    .name = {"http", 4},
    .slot = 2,
};
static struct weighted_backend backend = {.slot = 1, .name = {"default/app:80", 14}};
static struct route route = {
    .resource = {"default/web/http|HTTPRoute/default/app/0", 40},
    .label = {"HTTPRoute/de\"fault\\/app/0", 25},
    .slot = 700,
};

static void serve(struct metrics *metrics, const struct route *to, uint64_t ns, int status)
{
    struct message request;
    message_init(&request);
    request.method = METHOD_GET;
    struct exchange x = {
        .request = &request,
        .listener = &listener,
        .hit = {.route = (struct route *)(uintptr_t)to},
        .backend = to == NULL ? NULL : &backend,
        .started_ns = 1000,
        .upstream_started_ns = 1000,
        .tries = 1,
        .response_bytes = 5000,
        .flag = status == 404 ? FLAG_NR : FLAG_NONE,
    };
    metrics_request_begin(metrics, &listener);
    metrics_try_end(metrics, &x, status, 1000 + ns);
    metrics_request_end(metrics, &x, status, 1000 + ns);
}

static struct builder page(struct metrics *const *workers, uint32_t count)
{
    struct builder out = {0};
    struct exposition exposition = {
        .workers = workers,
        .worker_count = count,
        .version = "1.2.3",
        .tls_library = "none",
    };
    exposition_write(&exposition, &out);
    return out;
}

static void two_workers_are_added_up(void **state)
{
    (void)state;
    struct metrics *workers[] = {metrics_new(), metrics_new()};
    serve(workers[0], &route, 1000000, 200);
    serve(workers[1], &route, 7000000, 200);
    serve(workers[1], &route, UINT64_C(20000000000), 500);
    serve(workers[0], NULL, 1000, 404);
    struct builder out = page(workers, 2);
    static const char *const LINES[] = {
        "http_server_request_duration_seconds_bucket{gateway=\"default/web\",listener=\"http\","
        "route=\"HTTPRoute/de\\\"fault\\\\/app/0\",http_request_method=\"GET\","
        "http_response_status_code=\"2xx\",error_type=\"\",le=\"0.005\"} 1\n",
        "http_response_status_code=\"2xx\",error_type=\"\",le=\"0.01\"} 2\n",
        "http_response_status_code=\"5xx\",error_type=\"5xx\",le=\"10\"} 0\n",
        "http_response_status_code=\"5xx\",error_type=\"5xx\",le=\"+Inf\"} 1\n",
        "http_response_status_code=\"2xx\",error_type=\"\"} 0.008000000\n",
        "nantian_responses_total{gateway=\"default/web\",listener=\"http\",route=\"\",flag=\"NR\"} "
        "1\n",
        "http_server_active_requests{gateway=\"default/web\",listener=\"http\"} 0\n",
        "backend=\"default/app:80\",http_response_status_code=\"2xx\",error_type=\"\","
        "resend=\"false\",le=\"+Inf\"} 2\n",
        "nantian_build_info{version=\"1.2.3\",tls_library=\"none\"} 1\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(LINES); i++)
        if (strstr(out.data, LINES[i]) == NULL)
            fail_msg("not on the page: %s", LINES[i]);
    builder_fini(&out);
    metrics_free(workers[0]);
    metrics_free(workers[1]);
}

static void a_slot_that_got_another_route_starts_anew(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    serve(metrics, &route, 1, 200);
    struct route other = route;
    other.resource = TEXT("default/web/http|HTTPRoute/default/new/0");
    other.label = TEXT("HTTPRoute/default/new/0");
    serve(metrics, &other, 1, 200);
    struct builder out = page(&metrics, 1);
    assert_null(strstr(out.data, "app/0"));
    assert_non_null(strstr(out.data, "HTTPRoute/default/new/0"));
    builder_fini(&out);
    struct snapshot snapshot = {.number = 1};
    metrics_adopted(metrics, &snapshot);
    metrics_adopted(metrics, &snapshot);
    metrics_free(metrics);
}

/* Its last requests are not shown again, those of the slot's next owner are. */
static void a_route_that_is_gone_is_shown_no_more(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    serve(metrics, &route, 1, 200);
    uint32_t entries = metrics->entries;
    struct snapshot snapshot = {
        .number = 1, .gone_routes = (uint32_t[]){route.slot}, .gone_count = 1};
    metrics_adopted(metrics, &snapshot);
    serve(metrics, &route, 1, 200); /* of snapshot 0 */
    struct builder out = page(&metrics, 1);
    assert_null(strstr(out.data, "app/0"));
    assert_int_equal(metrics->entries, entries - 1);
    builder_fini(&out);
    snapshot = (struct snapshot){.number = 0};
    metrics_adopted(metrics, &snapshot);
    serve(metrics, &route, 1, 200);
    out = page(&metrics, 1);
    assert_non_null(strstr(out.data, "app/0"));
    builder_fini(&out);
    metrics_free(metrics);
}

static void an_address_may_mean_another_object_in_the_next_snapshot(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct route one = route;
    struct weighted_backend before = backend;
    struct snapshot snapshot = {.number = 1};
    serve(metrics, &one, 1, 200);
    metrics_adopted(metrics, &snapshot);
    backend.name = TEXT("default/other:80");
    serve(metrics, &one, 1, 200);
    struct builder out = page(&metrics, 1);
    assert_non_null(strstr(out.data, "backend=\"default/app:80\""));
    assert_non_null(strstr(out.data, "backend=\"default/other:80\""));
    builder_fini(&out);
    backend = before;
    one.resource = TEXT("default/web/http|HTTPRoute/default/new/0");
    one.label = TEXT("HTTPRoute/default/new/0");
    snapshot.number = 2;
    metrics_adopted(metrics, &snapshot);
    serve(metrics, &one, 1, 200);
    out = page(&metrics, 1);
    assert_non_null(strstr(out.data, "HTTPRoute/default/new/0"));
    assert_null(strstr(out.data, "default/other:80"));
    builder_fini(&out);
    metrics_free(metrics);
}

static void too_many_routes_share_one_series(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    static char names[5000][32];
    static struct route routes[5000];
    for (uint32_t i = 0; i < 5000; i++) {
        snprintf(names[i], sizeof(names[i]), "HTTPRoute/default/r%u/0", i);
        routes[i] =
            (struct route){.resource = text_of(names[i]), .label = text_of(names[i]), .slot = i};
        serve(metrics, &routes[i], 1, 200);
    }
    struct builder out = page(&metrics, 1);
    assert_non_null(strstr(out.data, "gateway=\"_overflow\""));
    assert_null(strstr(out.data, "r4999/0"));
    builder_fini(&out);
    metrics_free(metrics);
}

static void refusals_are_counted_by_reason(void **state)
{
    (void)state;
    struct metrics *workers[] = {metrics_new(), metrics_new()};
    for (int i = 0; i < 2; i++) {
        struct metrics_door *door = metrics_door_of(workers[i], TEXT("0.0.0.0:80"));
        metrics_add(&door->opened, 3);
        metrics_add(&door->closed, 1);
        metrics_door_refused(door, "header_timeout");
        metrics_door_refused(door, "header_timeout");
    }
    struct builder out = page(workers, 2);
    assert_non_null(strstr(out.data, "nantian_requests_refused_total{listener=\"0.0.0.0:80\","
                                     "reason=\"header_timeout\"} 4\n"));
    assert_non_null(
        strstr(out.data, "nantian_downstream_connections{listener=\"0.0.0.0:80\"} 4\n"));
    builder_fini(&out);
    metrics_free(workers[0]);
    metrics_free(workers[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_workers_are_added_up),
        cmocka_unit_test(a_slot_that_got_another_route_starts_anew),
        cmocka_unit_test(a_route_that_is_gone_is_shown_no_more),
        cmocka_unit_test(an_address_may_mean_another_object_in_the_next_snapshot),
        cmocka_unit_test(too_many_routes_share_one_series),
        cmocka_unit_test(refusals_are_counted_by_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
