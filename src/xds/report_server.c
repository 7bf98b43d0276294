/* Streams of reports. A data plane that talks too fast is not heard; one that talks nonsense is
 * hung up on. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/report_server.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "schema/pack.h"
#include "schema/unpack.h"

#define COMMANDS_WAITING_MAX 65536 /* bytes queued for a data plane that does not read */

struct reporter {
    struct reporter *next, **slot;
    struct report_server *server;
    struct grpc_call *call;
    char *node; /* owns; NULL before the first report */
    uint64_t window_ms;
    uint32_t in_window;
    bool ended;
};

struct report_server {
    struct loop *loop;
    const struct report_server_events *events;
    void *owner;
    struct reporter *reporters;
    size_t count;
    struct report_server_counters counters;
};

static void unlink_reporter(struct reporter *reporter)
{
    *reporter->slot = reporter->next;
    if (reporter->next != NULL)
        reporter->next->slot = reporter->slot;
    reporter->server->count--;
}

static void free_reporter(struct reporter *reporter)
{
    if (reporter->call != NULL)
        link_drop_call(reporter->call);
    free(reporter->node);
    free(reporter);
}

static bool too_fast(struct reporter *reporter)
{
    uint64_t now = loop_now_ms(reporter->server->loop);
    if (now - reporter->window_ms >= LIMIT_REPORT_MS) {
        reporter->window_ms = now;
        reporter->in_window = 0;
    }
    return reporter->in_window++ >= LIMIT_REPORT_RATE;
}

static void on_message(void *owner, struct grpc_call *call, struct text message)
{
    struct reporter *reporter = owner;
    struct report_server *server = reporter->server;
    if (reporter->ended)
        return;
    if (too_fast(reporter)) {
        server->counters.dropped++;
        return;
    }
    struct arena arena;
    void *unpacked;
    arena_init(&arena, 0);
    enum err err = schema_unpack(&nantian__report__v1__data_plane_report__descriptor, message,
                                 &arena, &unpacked);
    if (err != ERR_NONE) {
        server->counters.unreadable++;
        reporter->ended = true;
        arena_fini(&arena);
        grpc_finish(call, GRPC_INVALID_ARGUMENT, "a report could not be read");
        return;
    }
    Nantian__Report__V1__DataPlaneReport *report = unpacked;
    if (call->identity != NULL) /* as delta_node_join names it */
        report->node =
            arena_string(&arena, arena_printf(&arena, "%s/%s", call->identity, report->node));
    if (reporter->node == NULL || strcmp(reporter->node, report->node) != 0) {
        free(reporter->node);
        reporter->node = memory_string(text_slice(text_of(report->node), 0, LIMIT_RESOURCE_NAME));
    }
    server->counters.reports++;
    server->counters.bytes += message.len;
    server->events->on_report(server->owner, report);
    arena_fini(&arena);
}

static void on_end(void *owner, struct grpc_call *call, enum grpc_status status, struct text text)
{
    struct reporter *reporter = owner;
    struct report_server *server = reporter->server;
    (void)call;
    (void)status;
    (void)text;
    if (reporter->node != NULL && server->events->on_gone != NULL)
        server->events->on_gone(server->owner, text_of(reporter->node));
    reporter->call = NULL;
    unlink_reporter(reporter);
    free_reporter(reporter);
}

struct report_server *report_server_new(struct loop *loop,
                                        const struct report_server_events *events, void *owner)
{
    struct report_server *server = memory_new(struct report_server);
    server->loop = loop;
    server->events = events;
    server->owner = owner;
    return server;
}

void report_server_free(struct report_server *server)
{
    if (server == NULL)
        return;
    for (struct reporter *reporter = server->reporters, *next; reporter != NULL; reporter = next) {
        next = reporter->next;
        free_reporter(reporter);
    }
    free(server);
}

void report_server_call(struct report_server *server, struct grpc_call *call)
{
    static const struct grpc_events EVENTS = {.on_message = on_message, .on_end = on_end};
    if (server->count >= LIMIT_XDS_STREAMS) {
        grpc_finish(call, GRPC_RESOURCE_EXHAUSTED, "too many streams");
        return;
    }
    struct reporter *reporter = memory_new(struct reporter);
    reporter->server = server;
    reporter->call = call;
    call->events = &EVENTS;
    call->owner = reporter;
    call->receive_max = LIMIT_REPORT_BYTES;
    reporter->next = server->reporters;
    reporter->slot = &server->reporters;
    if (reporter->next != NULL)
        reporter->next->slot = &reporter->next;
    server->reporters = reporter;
    server->count++;
}

size_t report_server_command(struct report_server *server, struct text node,
                             const Nantian__Report__V1__Command *command)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct text bytes = schema_pack(command, &arena);
    size_t told = 0;
    for (struct reporter *reporter = server->reporters; reporter != NULL;
         reporter = reporter->next) {
        bool meant = node.len == 0 || (reporter->node != NULL && text_is(node, reporter->node));
        if (meant && !reporter->ended &&
            grpc_send(reporter->call, bytes, COMMANDS_WAITING_MAX) == ERR_NONE)
            told++;
    }
    arena_fini(&arena);
    return told;
}

const struct report_server_counters *report_server_counters(const struct report_server *server)
{
    return &server->counters;
}
