/* One report at a time on a call of its own. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/report_client.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "schema/pack.h"
#include "schema/unpack.h"

#define HURRY_MS 10 /* several things that happen together make one report */

struct report_client {
    struct loop *loop;
    struct link *link; /* borrows */
    struct link_user user;
    const struct report_client_events *events;
    void *owner;
    struct grpc_channel *channel; /* borrows; NULL: the link is down */
    struct grpc_call *call;
    uint32_t attempt;
    struct timer timer; /* the next report, or the next try */
    struct report_client_counters counters;
};

static void send_report(struct report_client *client)
{
    if (client->call->queued_bytes > 0) {
        client->counters.skipped++;
        return;
    }
    struct arena arena;
    arena_init(&arena, 0);
    Nantian__Report__V1__DataPlaneReport report = NANTIAN__REPORT__V1__DATA_PLANE_REPORT__INIT;
    client->events->on_fill(client->owner, &report, &arena);
    struct text bytes = schema_pack(&report, &arena);
    if (bytes.len <= LIMIT_REPORT_BYTES && grpc_send(client->call, bytes, 0) == ERR_NONE) {
        client->counters.sent++;
        client->counters.bytes += bytes.len;
    } else {
        client->counters.failures++;
    }
    arena_fini(&arena);
}

static void on_message(void *owner, struct grpc_call *call, struct text message)
{
    struct report_client *client = owner;
    struct arena arena;
    void *command;
    (void)call;
    arena_init(&arena, 0);
    client->attempt = 0;
    if (schema_unpack(&nantian__report__v1__command__descriptor, message, &arena, &command) !=
        ERR_NONE) {
        client->counters.failures++;
    } else {
        client->counters.commands++;
        if (client->events->on_command != NULL)
            client->events->on_command(client->owner, command);
    }
    arena_fini(&arena);
}

static void on_end(void *owner, struct grpc_call *call, enum grpc_status status, struct text text)
{
    struct report_client *client = owner;
    (void)call;
    (void)status;
    (void)text;
    client->call = NULL;
    client->counters.failures++;
    if (client->channel != NULL)
        loop_arm(client->loop, &client->timer,
                 link_backoff_ms(loop_random(client->loop), client->attempt++));
}

static void on_due(void *owner)
{
    static const struct grpc_events EVENTS = {.on_message = on_message, .on_end = on_end};
    struct report_client *client = owner;
    if (client->channel == NULL)
        return;
    if (client->call == NULL) {
        client->call = grpc_start(client->channel, REPORT_METHOD, &EVENTS, client);
        if (client->call != NULL)
            client->call->receive_max = LIMIT_REPORT_BYTES;
    }
    if (client->call != NULL)
        send_report(client);
    loop_arm(client->loop, &client->timer, LIMIT_REPORT_MS);
}

static void on_up(void *owner, struct grpc_channel *channel)
{
    struct report_client *client = owner;
    client->channel = channel;
    loop_arm(client->loop, &client->timer, HURRY_MS);
}

static void on_down(void *owner, const char *why)
{
    struct report_client *client = owner;
    (void)why;
    if (client->call != NULL)
        link_drop_call(client->call);
    client->call = NULL;
    client->channel = NULL;
    loop_disarm(client->loop, &client->timer);
}

struct report_client *report_client_new(struct loop *loop, struct link *link,
                                        const struct report_client_events *events, void *owner)
{
    struct report_client *client = memory_new(struct report_client);
    client->loop = loop;
    client->link = link;
    client->events = events;
    client->owner = owner;
    timer_init(&client->timer, client, on_due);
    client->user = (struct link_user){.owner = client, .on_up = on_up, .on_down = on_down};
    link_add(link, &client->user);
    return client;
}

void report_client_free(struct report_client *client)
{
    if (client == NULL)
        return;
    link_remove(client->link, &client->user);
    on_down(client, "");
    free(client);
}

void report_client_hurry(struct report_client *client)
{
    if (client->call != NULL)
        loop_arm(client->loop, &client->timer, HURRY_MS);
}

const struct report_client_counters *report_client_counters(const struct report_client *client)
{
    return &client->counters;
}
