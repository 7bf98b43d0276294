/* Read, judge, write with the resourceVersion that was read; again after a while. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/lease.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/memory.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/"
#define NAME   "nantian-control"

struct lease_election {
    struct loop *loop;
    struct client *client;
    char *namespace, *identity; /* owns */
    const struct lease_events *events;
    void *owner;
    struct client_call *call;
    struct timer timer;
    /* what was read last */
    char *version, *holder, *acquired; /* owns */
    uint64_t seen_ms;                  /* when this version was first seen */
    uint64_t duration_ms;
    int64_t transitions;
    bool exists;
    /* ours */
    uint64_t asked_ms; /* when the write in flight began */
    uint64_t held_until_ms;
    bool is_held, is_releasing;
};

static void try_later(struct lease_election *lease)
{
    uint64_t wait =
        LIMIT_LEASE_TRY_MS / 2 + random_below(loop_random(lease->loop), LIMIT_LEASE_TRY_MS / 2 + 1);
    loop_arm(lease->loop, &lease->timer, wait);
}

/* The clock now, not that of the turn: this process may have slept in between. */
static uint64_t now_ms(const struct lease_election *lease)
{
    (void)loop_tick(lease->loop);
    return loop_now_ms(lease->loop);
}

bool lease_is_held(struct lease_election *lease)
{
    if (lease->is_held && now_ms(lease) >= lease->held_until_ms) {
        lease->is_held = false;
        lease->events->on_lost(lease->owner);
    }
    return lease->is_held;
}

static void set(char **place, struct text text)
{
    free(*place);
    *place = memory_string(text);
}

static bool is_ours(const struct lease_election *lease)
{
    return lease->holder != NULL && strcmp(lease->holder, lease->identity) == 0;
}

static void remember(struct lease_election *lease, const struct value *object)
{
    const struct value *spec = value_get(object, "spec");
    struct text version = value_string(value_get(value_get(object, "metadata"), "resourceVersion"));
    if (lease->version == NULL || !text_is(version, lease->version))
        lease->seen_ms = loop_now_ms(lease->loop);
    set(&lease->version, version);
    set(&lease->holder, value_string(value_get(spec, "holderIdentity")));
    set(&lease->acquired, value_string(value_get(spec, "acquireTime")));
    int64_t seconds = value_int(value_get(spec, "leaseDurationSeconds"), LIMIT_LEASE_MS / 1000);
    lease->duration_ms = (uint64_t)MIN(MAX(seconds, (int64_t)1), (int64_t)3600) * 1000;
    lease->transitions = value_int(value_get(spec, "leaseTransitions"), 0);
    lease->exists = true;
}

/* ---- writing ---- */

static void add_body(struct lease_election *lease, struct builder *body, bool is_release)
{
    struct json json;
    char now[25], micro[28];
    clock_format(loop_wall_ns(lease->loop), now);
    memcpy(micro, now, 23);
    memcpy(micro + 23, "000Z", 5);
    bool is_renewal = is_ours(lease) && lease->acquired[0] != '\0';
    json_init(&json, body, 0);
    json_object_begin(&json, NULL);
    json_string(&json, "apiVersion", "coordination.k8s.io/v1");
    json_string(&json, "kind", "Lease");
    json_object_begin(&json, "metadata");
    json_string(&json, "name", NAME);
    json_string(&json, "namespace", lease->namespace);
    if (lease->exists)
        json_string(&json, "resourceVersion", lease->version);
    json_object_end(&json);
    json_object_begin(&json, "spec");
    json_string(&json, "holderIdentity", is_release ? "" : lease->identity);
    json_int(&json, "leaseDurationSeconds", is_release ? 1 : LIMIT_LEASE_MS / 1000);
    json_string(&json, "acquireTime", is_renewal ? lease->acquired : micro);
    json_string(&json, "renewTime", micro);
    json_int(&json, "leaseTransitions", lease->transitions + (lease->exists && !is_ours(lease)));
    json_object_end(&json);
    json_object_end(&json);
}

static const struct value *parse(struct arena *arena, struct text text)
{
    struct faults faults;
    struct value *value = NULL;
    faults_init(&faults, arena);
    bool good = value_parse_json(text, TEXT_NONE, arena, &value, &faults);
    faults_fini(&faults);
    return good ? value : NULL;
}

static void on_written(void *owner, const struct client_answer *answer)
{
    struct lease_election *lease = owner;
    lease->call = NULL;
    try_later(lease);
    if (answer->status != 200 && answer->status != 201)
        return; /* somebody was faster, or nobody answers: what is read next decides */
    struct arena arena;
    arena_init(&arena, 0);
    const struct value *object = parse(&arena, answer->body);
    if (object != NULL)
        remember(lease, object);
    arena_fini(&arena);
    bool was_held = lease->is_held;
    lease->held_until_ms = lease->asked_ms + LIMIT_LEASE_HOLD_MS;
    lease->is_held = now_ms(lease) < lease->held_until_ms;
    if (lease->is_held && !was_held)
        lease->events->on_held(lease->owner);
}

static void send_body(struct lease_election *lease, bool is_release,
                      const struct client_events *events)
{
    struct builder path CLEANUP(builder_fini) = {0}, body CLEANUP(builder_fini) = {0};
    add_body(lease, &body, is_release);
    builder_printf(&path, LEASES "%s/leases%s", lease->namespace, lease->exists ? "/" NAME : "");
    const struct client_request request = {
        .method = lease->exists ? "PUT" : "POST",
        .path = builder_text(&path),
        .content_type = "application/json",
        .body = builder_text(&body),
        .timeout_ms = is_release ? LIMIT_LEASE_RELEASE_MS : LIMIT_LEASE_HOLD_MS / 2,
    };
    lease->asked_ms = now_ms(lease);
    lease->call = client_start(lease->client, &request, events, lease);
}

static void write_lease(struct lease_election *lease)
{
    static const struct client_events EVENTS = {.on_done = on_written};
    send_body(lease, false, &EVENTS);
}

/* ---- reading ---- */

static bool may_take(const struct lease_election *lease)
{
    if (!lease->exists || lease->holder[0] == '\0' || is_ours(lease))
        return true;
    return loop_now_ms(lease->loop) - lease->seen_ms >= lease->duration_ms;
}

static void on_read(void *owner, const struct client_answer *answer)
{
    struct lease_election *lease = owner;
    struct arena arena;
    arena_init(&arena, 0);
    lease->call = NULL;
    bool is_known = answer->status == 404;
    if (is_known)
        lease->exists = false;
    const struct value *object = answer->status == 200 ? parse(&arena, answer->body) : NULL;
    if (object != NULL) {
        remember(lease, object);
        is_known = true;
    }
    if (lease->is_held && is_known && !is_ours(lease)) { /* it was taken from us */
        lease->is_held = false;
        lease->events->on_lost(lease->owner);
    }
    if (is_known && may_take(lease))
        write_lease(lease);
    else
        try_later(lease);
    arena_fini(&arena);
}

static void on_due(void *owner)
{
    static const struct client_events EVENTS = {.on_done = on_read};
    struct lease_election *lease = owner;
    struct builder path CLEANUP(builder_fini) = {0};
    if (lease->call != NULL || lease->is_releasing)
        return;
    (void)lease_is_held(lease);
    builder_printf(&path, LEASES "%s/leases/" NAME, lease->namespace);
    const struct client_request request = {
        .method = "GET", .path = builder_text(&path), .timeout_ms = LIMIT_LEASE_HOLD_MS / 2};
    lease->call = client_start(lease->client, &request, &EVENTS, lease);
}

struct lease_election *lease_new(struct loop *loop, struct client *client, struct text namespace,
                                 struct text identity, const struct lease_events *events,
                                 void *owner)
{
    struct lease_election *lease = memory_new(struct lease_election);
    lease->loop = loop;
    lease->client = client;
    lease->namespace = memory_string(namespace);
    lease->identity = memory_string(identity);
    lease->events = events;
    lease->owner = owner;
    timer_init(&lease->timer, lease, on_due);
    return lease;
}

void lease_free(struct lease_election *lease)
{
    if (lease == NULL)
        return;
    client_cancel(lease->call);
    loop_disarm(lease->loop, &lease->timer);
    free(lease->namespace);
    free(lease->identity);
    free(lease->version);
    free(lease->holder);
    free(lease->acquired);
    free(lease);
}

void lease_start(struct lease_election *lease)
{
    on_due(lease);
}

static void on_released(void *owner, const struct client_answer *answer)
{
    (void)answer;
    struct lease_election *lease = owner;
    lease->call = NULL;
    lease->events->on_released(lease->owner);
}

static void on_nothing_to_release(void *owner)
{
    struct lease_election *lease = owner;
    lease->events->on_released(lease->owner);
}

void lease_release(struct lease_election *lease)
{
    static const struct client_events EVENTS = {.on_done = on_released};
    bool was_held = lease_is_held(lease);
    if (lease->is_releasing)
        return;
    lease->is_releasing = true;
    lease->is_held = false;
    client_cancel(lease->call);
    lease->call = NULL;
    if (was_held) {
        send_body(lease, true, &EVENTS);
    } else {
        loop_disarm(lease->loop, &lease->timer);
        timer_init(&lease->timer, lease, on_nothing_to_release);
        loop_arm(lease->loop, &lease->timer, 1);
    }
}

struct text lease_holder(const struct lease_election *lease)
{
    return text_of(lease->holder);
}
