/* Read, judge, write with the resourceVersion that was read; again after a while. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/election.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/memory.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/"
#define NAME   "nantian-control"
#define EPOCH  "nantian.dev/epoch"

struct election {
    struct loop *loop;
    struct client *client;
    char *namespace, *identity; /* owns */
    const struct election_events *events;
    void *owner;
    struct client_call *call;
    struct timer timer;
    /* what was read last */
    char *version, *holder, *acquired; /* owns */
    uint32_t lease_ms;
    uint64_t seen_ms; /* when this version was first seen */
    uint64_t duration_ms;
    int64_t transitions;
    bool exists;
    uint64_t epoch; /* 0: none was seen */
    /* ours */
    uint64_t asked_ms; /* when the write in flight began */
    uint64_t held_until_ms;
    uint64_t raised; /* what the epoch shall be, if it is not yet; 0: nothing */
    bool is_held, is_releasing;
};

static uint32_t hold_ms(const struct election *election)
{
    return election_hold_ms(election->lease_ms);
}

static void try_later(struct election *election)
{
    uint64_t most = election->lease_ms * 15ull / 100;
    uint64_t wait = most / 2 + random_below(loop_random(election->loop), most / 2 + 1);
    loop_arm(election->loop, &election->timer, wait);
}

/* The clock now, not that of the turn: this process may have slept in between. */
static uint64_t now_ms(const struct election *election)
{
    (void)loop_tick(election->loop);
    return loop_now_ms(election->loop);
}

bool election_is_held(struct election *election)
{
    if (election->is_held && now_ms(election) >= election->held_until_ms) {
        election->is_held = false;
        election->events->on_lost(election->owner);
    }
    return election->is_held;
}

static void set(char **place, struct text text)
{
    free(*place);
    *place = memory_string(text);
}

static bool is_ours(const struct election *election)
{
    return election->holder != NULL && strcmp(election->holder, election->identity) == 0;
}

static uint64_t number_of(struct text version)
{
    uint64_t number = 0;
    return text_to_u64(version, &number) ? number : 0;
}

/* A Lease that is older than the one before: etcd was restored. What is read here is no cache's. */
static void look_back(struct election *election, struct text version)
{
    if (election->version != NULL && number_of(version) != 0 &&
        number_of(version) < number_of(text_of(election->version)))
        election_raise(election, election->epoch);
}

static void remember(struct election *election, const struct value *object)
{
    const struct value *spec = value_get(object, "spec");
    const struct value *notes = value_get(value_get(object, "metadata"), "annotations");
    struct text holder = value_string(value_get(spec, "holderIdentity"));
    uint64_t epoch = 0;
    if (!text_to_u64(value_string(value_get(notes, EPOCH)), &epoch) || epoch < election->epoch)
        epoch = election->epoch; /* a Lease of before: what we write says it again */
    bool is_changed =
        election->holder == NULL || !text_is(holder, election->holder) || epoch != election->epoch;
    election->epoch = epoch;
    struct text version = value_string(value_get(value_get(object, "metadata"), "resourceVersion"));
    look_back(election, version);
    if (election->version == NULL || !text_is(version, election->version))
        election->seen_ms = loop_now_ms(election->loop);
    set(&election->version, version);
    set(&election->holder, holder);
    set(&election->acquired, value_string(value_get(spec, "acquireTime")));
    int64_t seconds = value_int(value_get(spec, "leaseDurationSeconds"), election->lease_ms / 1000);
    election->duration_ms = (uint64_t)MIN(MAX(seconds, (int64_t)1), (int64_t)3600) * 1000;
    election->transitions = value_int(value_get(spec, "leaseTransitions"), 0);
    election->exists = true;
    if (is_changed)
        election->events->on_changed(election->owner);
}

/* ---- writing ---- */

/* Seconds of the wall clock make sure that an epoch is above one that was lost with its Lease. */
static uint64_t next_epoch(const struct election *election)
{
    uint64_t now_s = loop_wall_ns(election->loop) / 1000000000u;
    if (election->epoch == 0 || election->raised > election->epoch)
        return MAX(now_s, election->raised);
    return election->epoch;
}

static void add_body(struct election *election, struct builder *body, bool is_release)
{
    struct json json;
    char now[25], micro[28], epoch[24];
    clock_format(loop_wall_ns(election->loop), now);
    memcpy(micro, now, 23);
    memcpy(micro + 23, "000Z", 5);
    bool is_renewal = is_ours(election) && election->acquired[0] != '\0';
    json_init(&json, body, 0);
    json_object_begin(&json, NULL);
    json_string(&json, "apiVersion", "coordination.k8s.io/v1");
    json_string(&json, "kind", "Lease");
    json_object_begin(&json, "metadata");
    json_string(&json, "name", NAME);
    json_string(&json, "namespace", election->namespace);
    if (election->exists)
        json_string(&json, "resourceVersion", election->version);
    json_object_begin(&json, "annotations");
    (void)snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)next_epoch(election));
    json_string(&json, EPOCH, epoch);
    json_object_end(&json);
    json_object_end(&json);
    json_object_begin(&json, "spec");
    json_string(&json, "holderIdentity", is_release ? "" : election->identity);
    json_int(&json, "leaseDurationSeconds", is_release ? 1 : election->lease_ms / 1000);
    json_string(&json, "acquireTime", is_renewal ? election->acquired : micro);
    json_string(&json, "renewTime", micro);
    json_int(&json, "leaseTransitions",
             election->transitions + (election->exists && !is_ours(election)));
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
    struct election *election = owner;
    election->call = NULL;
    try_later(election);
    if (answer->status != 200 && answer->status != 201)
        return; /* somebody was faster, or nobody answers: what is read next decides */
    struct arena arena;
    arena_init(&arena, 0);
    const struct value *object = parse(&arena, answer->body);
    if (object != NULL)
        remember(election, object);
    arena_fini(&arena);
    bool was_held = election->is_held;
    election->held_until_ms = election->asked_ms + hold_ms(election);
    election->is_held = now_ms(election) < election->held_until_ms;
    if (election->is_held && !was_held)
        election->events->on_held(election->owner);
}

static void send_body(struct election *election, bool is_release,
                      const struct client_events *events)
{
    struct builder path CLEANUP(builder_fini) = {0}, body CLEANUP(builder_fini) = {0};
    add_body(election, &body, is_release);
    builder_printf(&path, LEASES "%s/leases%s", election->namespace,
                   election->exists ? "/" NAME : "");
    const struct client_request request = {
        .method = election->exists ? "PUT" : "POST",
        .path = builder_text(&path),
        .content_type = "application/json",
        .body = builder_text(&body),
        .timeout_ms = is_release ? LIMIT_LEASE_RELEASE_MS : hold_ms(election) / 2,
    };
    election->asked_ms = now_ms(election);
    election->call = client_start(election->client, &request, events, election);
}

static void write_lease(struct election *election)
{
    static const struct client_events EVENTS = {.on_done = on_written};
    send_body(election, false, &EVENTS);
}

/* ---- reading ---- */

static bool may_take(const struct election *election)
{
    if (!election->exists || election->holder[0] == '\0' || is_ours(election))
        return true;
    return loop_now_ms(election->loop) - election->seen_ms >= election->duration_ms;
}

static void on_read(void *owner, const struct client_answer *answer)
{
    struct election *election = owner;
    struct arena arena;
    arena_init(&arena, 0);
    election->call = NULL;
    bool is_known = answer->status == 404;
    if (is_known)
        election->exists = false;
    const struct value *object = answer->status == 200 ? parse(&arena, answer->body) : NULL;
    if (object != NULL) {
        remember(election, object);
        is_known = true;
    }
    if (election->is_held && is_known && !is_ours(election)) { /* it was taken from us */
        election->is_held = false;
        election->events->on_lost(election->owner);
    }
    if (is_known && may_take(election))
        write_lease(election);
    else
        try_later(election);
    arena_fini(&arena);
}

static void on_due(void *owner)
{
    static const struct client_events EVENTS = {.on_done = on_read};
    struct election *election = owner;
    struct builder path CLEANUP(builder_fini) = {0};
    if (election->call != NULL || election->is_releasing)
        return;
    (void)election_is_held(election);
    builder_printf(&path, LEASES "%s/leases/" NAME, election->namespace);
    const struct client_request request = {
        .method = "GET", .path = builder_text(&path), .timeout_ms = hold_ms(election) / 2};
    election->call = client_start(election->client, &request, &EVENTS, election);
}

struct election *election_new(const struct election_options *options)
{
    struct election *election = memory_new(struct election);
    election->loop = options->loop;
    election->client = options->client;
    election->namespace = memory_string(options->namespace);
    election->identity = memory_string(options->identity);
    election->lease_ms = options->lease_ms;
    election->events = options->events;
    election->owner = options->owner;
    timer_init(&election->timer, election, on_due);
    return election;
}

void election_free(struct election *election)
{
    if (election == NULL)
        return;
    client_cancel(election->call);
    loop_disarm(election->loop, &election->timer);
    free(election->namespace);
    free(election->identity);
    free(election->version);
    free(election->holder);
    free(election->acquired);
    free(election);
}

void election_start(struct election *election)
{
    on_due(election);
}

static void on_released(void *owner, const struct client_answer *answer)
{
    (void)answer;
    struct election *election = owner;
    election->call = NULL;
    election->events->on_released(election->owner);
}

static void on_nothing_to_release(void *owner)
{
    struct election *election = owner;
    election->events->on_released(election->owner);
}

void election_release(struct election *election)
{
    static const struct client_events EVENTS = {.on_done = on_released};
    bool was_held = election_is_held(election);
    if (election->is_releasing)
        return;
    election->is_releasing = true;
    election->is_held = false;
    client_cancel(election->call);
    election->call = NULL;
    if (was_held) {
        send_body(election, true, &EVENTS);
    } else {
        loop_disarm(election->loop, &election->timer);
        timer_init(&election->timer, election, on_nothing_to_release);
        loop_arm(election->loop, &election->timer, 1);
    }
}

uint64_t election_epoch(const struct election *election)
{
    return election->epoch;
}

void election_raise(struct election *election, uint64_t epoch)
{
    election->raised = MAX(election->raised, epoch + 1);
}

struct text election_holder(const struct election *election)
{
    return election->holder == NULL ? TEXT_NONE : text_of(election->holder);
}
