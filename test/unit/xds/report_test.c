/* The report stream: reports up, commands down, bounds on both. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "raw.h"

struct ends {
    struct loop *loop;
    struct delta_server *delta;
    struct report_server *server;
    struct xds_server *xds;
    struct link *link;
    struct report_client *client;
    int filled, reports, gone, drains;
    char node[64], listener[64];
};

static void on_fill(void *owner, Nantian__Report__V1__DataPlaneReport *report, struct arena *arena)
{
    struct ends *ends = owner;
    Nantian__Report__V1__ListenerState *one = arena_new(arena, Nantian__Report__V1__ListenerState);
    nantian__report__v1__listener_state__init(one);
    one->name = arena_string(arena, TEXT("default/web/http"));
    one->bound = true;
    report->node = arena_string(arena, TEXT("node-1"));
    report->ready = true;
    report->workers = 2;
    report->listeners = arena_array(arena, Nantian__Report__V1__ListenerState *, 1);
    report->listeners[report->n_listeners++] = one;
    ends->filled++;
}

static void on_command(void *owner, const Nantian__Report__V1__Command *command)
{
    if (command->kind_case == NANTIAN__REPORT__V1__COMMAND__KIND_DRAIN)
        ((struct ends *)owner)->drains++;
}

static void on_report(void *owner, const Nantian__Report__V1__DataPlaneReport *report)
{
    struct ends *ends = owner;
    ends->reports++;
    copy_words(ends->node, sizeof(ends->node), text_of(report->node));
    if (report->n_listeners > 0)
        copy_words(ends->listener, sizeof(ends->listener), text_of(report->listeners[0]->name));
}

static void on_gone(void *owner, struct text node)
{
    assert_true(text_is(node, "node-1"));
    ((struct ends *)owner)->gone++;
}

static void ends_start(struct ends *ends)
{
    static const struct delta_server_events DELTA = {0};
    static const struct report_server_events SERVER = {on_report, on_gone};
    static const struct report_client_events CLIENT = {on_fill, on_command};
    struct address address;
    *ends = (struct ends){.loop = loop_new(NULL)};
    ends->delta = delta_server_new(ends->loop, &DELTA, ends);
    ends->server = report_server_new(ends->loop, &SERVER, ends);
    ends->xds = xds_server_new(ends->loop, ends->delta, ends->server);
    assert_true(address_parse(TEXT("127.0.0.1"), 0, &address));
    assert_null(xds_server_listen(ends->xds, &address, NULL));
    struct link_options options = {
        .loop = ends->loop, .addresses = xds_server_address(ends->xds, 0), .count = 1};
    ends->link = link_new(&options);
    ends->client = report_client_new(ends->loop, ends->link, &CLIENT, ends);
    link_start(ends->link);
}

static void ends_stop(struct ends *ends)
{
    report_client_free(ends->client);
    link_free(ends->link);
    settle(ends->loop);
    xds_server_free(ends->xds);
    report_server_free(ends->server);
    delta_server_free(ends->delta);
    settle(ends->loop);
    loop_free(ends->loop);
}

static void a_data_plane_reports_and_obeys(void **state)
{
    (void)state;
    struct ends ends;
    ends_start(&ends);
    WAIT_FOR(ends.loop, ends.reports == 1);
    assert_string_equal(ends.node, "node-1");
    assert_string_equal(ends.listener, "default/web/http");
    Nantian__Report__V1__Command command = NANTIAN__REPORT__V1__COMMAND__INIT;
    command.kind_case = NANTIAN__REPORT__V1__COMMAND__KIND_DRAIN;
    command.drain = true;
    assert_int_equal(report_server_command(ends.server, TEXT("other"), &command), 0);
    assert_int_equal(report_server_command(ends.server, TEXT("node-1"), &command), 1);
    WAIT_FOR(ends.loop, ends.drains == 1);
    report_client_hurry(ends.client);
    WAIT_FOR(ends.loop, ends.reports == 2);
    WAIT_FOR(ends.loop, ends.reports == 3); /* by itself, LIMIT_REPORT_MS later */
    link_restart(ends.link, "test");
    WAIT_FOR(ends.loop, ends.gone == 1);
    WAIT_FOR(ends.loop, ends.reports == 4);
    ends_stop(&ends);
}

struct flood {
    struct raw raw;
    bool ready;
};

static void on_ready(void *owner, struct grpc_channel *channel)
{
    (void)channel;
    ((struct flood *)owner)->ready = true;
}

static void on_closed(void *owner, struct grpc_channel *channel, const char *why)
{
    (void)owner;
    (void)channel;
    (void)why;
}

static void too_many_reports_are_dropped_and_nonsense_ends_the_stream(void **state)
{
    (void)state;
    static const struct grpc_channel_events EVENTS = {on_ready, on_closed};
    struct ends ends;
    struct flood flood = {0};
    ends_start(&ends);
    struct grpc_channel *channel =
        grpc_channel_open(ends.loop, xds_server_address(ends.xds, 0), NULL, TEXT_NONE,
                          TEXT("localhost"), &EVENTS, &flood);
    WAIT_FOR(ends.loop, flood.ready);
    flood.raw.call = grpc_start(channel, REPORT_METHOD, raw_events(), &flood.raw);
    Nantian__Report__V1__DataPlaneReport report = NANTIAN__REPORT__V1__DATA_PLANE_REPORT__INIT;
    char node[] = "node-1";
    report.node = node;
    for (int i = 0; i < 3 * LIMIT_REPORT_RATE; i++)
        raw_send(&flood.raw, &report);
    WAIT_FOR(ends.loop, report_server_counters(ends.server)->dropped >= LIMIT_REPORT_RATE);
    assert_int_equal(flood.raw.ends, 0);
    uint64_t until = clock_monotonic_ns() + (LIMIT_REPORT_MS + 100) * 1000000ull;
    WAIT_FOR(ends.loop, clock_monotonic_ns() > until);
    assert_int_equal(grpc_send(flood.raw.call, TEXT("\x0a\x01\xff"), 0), ERR_NONE);
    WAIT_FOR(ends.loop, flood.raw.ends == 1);
    assert_int_equal(flood.raw.status, GRPC_INVALID_ARGUMENT);
    assert_int_equal(report_server_counters(ends.server)->unreadable, 1);
    grpc_channel_free(channel);
    ends_stop(&ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_data_plane_reports_and_obeys),
        cmocka_unit_test(too_many_reports_are_dropped_and_nonsense_ends_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
