/* The client's side of the stream: what is said when, and what a commit record leads to. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/delta_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "schema/pack.h"
#include "schema/unpack.h"
#include "xds/delta_client_stage.h"
#include "xds/record.h"
#include "xds/refusal.h"

/* Generated names, shortened. */
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest Request;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryResponse Response;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest__InitialResourceVersionsEntry Stated;

#define NONCE_MAX 128 /* of a stock server: ours are numbers */

/* A commit record that came, and the nonce under which it wants its answer. */
struct commit {
    struct resource *record;   /* shares; NULL: none */
    char nonce[NONCE_MAX + 1]; /* "": the stream is gone, nobody waits for an answer */
};

struct delta_client {
    struct loop *loop;
    struct link *link; /* borrows */
    struct link_user user;
    const struct delta_client_events *events;
    void *owner;
    char *node, *cluster, *product_version; /* owns */
    struct grpc_call *call;                 /* borrows from its channel; NULL: no stream */
    struct delta_client_stage stage;
    bool holds;
    struct snapshot_version held;
    struct commit pending; /* on the owner's table */
    struct snapshot_version pending_version;
    struct commit waiting;  /* came meanwhile; only the newest */
    struct commit lame;     /* does not fit what was sent, yet */
    struct resource *heard; /* shares; the last record of this stream, whole; NULL: none */
    struct timer linger;
    struct commit refused;      /* by the owner: not offered again */
    struct arena offered_arena; /* of the last offer, until the next one */
    struct arena refused_arena;
    Google__Rpc__Status *refused_status; /* in refused_arena */
    bool start_empty;
    bool answered; /* a response came on this stream */
    char last_error[160];
    struct delta_client_counters counters;
};

static void commit_drop(struct commit *commit)
{
    resource_unref(commit->record);
    *commit = (struct commit){0};
}

static void commit_set(struct commit *commit, struct resource *record, const char *nonce)
{
    struct commit next = {.record = resource_ref(record)};
    (void)snprintf(next.nonce, sizeof(next.nonce), "%s", nonce);
    commit_drop(commit);
    *commit = next;
}

static void set_error(struct delta_client *client, struct text words)
{
    (void)snprintf(client->last_error, sizeof(client->last_error), "%.*s",
                   (int)MIN(words.len, (size_t)150), words.len == 0 ? "" : words.data);
}

static void send_request(struct delta_client *client, const Request *request, struct arena *arena)
{
    if (client->call == NULL)
        return;
    if (grpc_send(client->call, schema_pack(request, arena), 0) != ERR_NONE)
        link_restart(client->link, "a request could not be sent");
}

/* Acknowledges, or with `status` refuses, the response of that nonce. */
static void answer(struct delta_client *client, const char *url, const char *nonce,
                   Google__Rpc__Status *status)
{
    if (client->call == NULL || nonce[0] == '\0')
        return;
    struct arena arena;
    arena_init(&arena, 0);
    Request request = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
    request.type_url = arena_string(&arena, text_of(url));
    request.response_nonce = arena_string(&arena, text_of(nonce));
    request.error_detail = status;
    send_request(client, &request, &arena);
    arena_fini(&arena);
}

static void refuse_response(struct delta_client *client, const Response *response, const char *why)
{
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    char words[200];
    (void)snprintf(words, sizeof(words), "%s", why);
    status.code = GRPC_INVALID_ARGUMENT;
    status.message = words;
    client->counters.protocol_errors++;
    set_error(client, text_of(why));
    answer(client, response->type_url, response->nonce, &status);
}

/* -- commit records -- */

static void consider(struct delta_client *client, const struct commit *commit);

static void count_refusal(struct delta_client *client, const struct refusal *refusal)
{
    client->counters.refused++;
    if (strcmp(refusal->reason, "older") == 0)
        client->counters.refused_older++;
    else if (strcmp(refusal->reason, "incomparable") == 0)
        client->counters.refused_incomparable++;
    else if (strcmp(refusal->reason, "invalid") != 0)
        client->counters.refused_mismatch++;
}

static Google__Rpc__Status *refuse(struct delta_client *client, const struct commit *commit,
                                   const struct refusal *refusal, struct arena *arena)
{
    Google__Rpc__Status *status = refusal_to_status(refusal, arena);
    count_refusal(client, refusal);
    set_error(client, text_of(status->message));
    answer(client, types_url(RESOURCE_SNAPSHOT), commit->nonce, status);
    if (client->events->on_refused != NULL)
        client->events->on_refused(client->owner, refusal->reason, text_of(status->message));
    return status;
}

static void take_waiting(struct delta_client *client)
{
    if (client->waiting.record == NULL)
        return;
    struct commit commit = client->waiting;
    client->waiting = (struct commit){0};
    consider(client, &commit);
    commit_drop(&commit);
}

static void accepted(struct delta_client *client)
{
    struct commit commit = client->pending;
    client->pending = (struct commit){0};
    delta_client_stage_accept(&client->stage, commit.record);
    client->held = client->pending_version;
    client->holds = true;
    client->counters.snapshots++;
    client->counters.adopted_ms = loop_now_ms(client->loop);
    client->last_error[0] = '\0';
    commit_drop(&client->refused);
    answer(client, types_url(RESOURCE_SNAPSHOT), commit.nonce, NULL);
    link_good(client->link);
    commit_drop(&commit);
    take_waiting(client);
}

static bool is_any_local(const struct faults *faults)
{
    for (size_t i = 0; i < faults->count; i++)
        if (faults->items[i].is_local)
            return true;
    return false;
}

static void refused(struct delta_client *client, const struct faults *faults)
{
    struct commit commit = client->pending;
    client->pending = (struct commit){0};
    delta_client_stage_refuse(&client->stage);
    struct refusal refusal = {.reason = "invalid",
                              .offered = &client->pending_version,
                              .held = client->holds ? &client->held : NULL,
                              .faults = faults};
    arena_reset(&client->refused_arena);
    client->refused_status = refuse(client, &commit, &refusal, &client->refused_arena);
    commit_drop(&client->refused);
    if (!is_any_local(faults))
        commit_set(&client->refused, commit.record, "");
    link_good(client->link); /* the connection did its part */
    commit_drop(&commit);
    take_waiting(client);
}

static void offer(struct delta_client *client, const struct commit *commit,
                  const struct record *record)
{
    struct arena *arena = &client->offered_arena;
    struct faults faults;
    arena_reset(arena);
    faults_init(&faults, arena);
    delta_client_stage_begin(&client->stage);
    commit_set(&client->pending, commit->record, commit->nonce);
    client->pending_version = record->version;
    client->counters.offered_ms = loop_now_ms(client->loop);
    struct delta_offer offer = {
        .next = &client->stage.staged,
        .edits = &client->stage.pending,
        .version = &client->pending_version,
        .version_text = version_format(&record->version, arena),
        .digest = record->digest,
    };
    enum err err = client->events->on_snapshot(client->owner, &offer, &faults);
    if (err == ERR_NONE && client->stage.is_pending)
        accepted(client);
    else if (err != ERR_NONE && err != ERR_AGAIN && client->stage.is_pending)
        refused(client, &faults);
    faults_fini(&faults);
}

/* What runs already, perhaps under a newer version. */
static void take_same(struct delta_client *client, const struct commit *commit,
                      const struct record *record, enum version_order order)
{
    delta_client_stage_begin(&client->stage);
    if (client->stage.pending.count > 0) { /* digests are sums: equal ones can be made */
        delta_client_stage_refuse(&client->stage);
        offer(client, commit, record);
        return;
    }
    bool forward = order == VERSION_NEWER || order == VERSION_EQUAL;
    struct resource *held =
        resource_set_get(&client->stage.accepted, RESOURCE_SNAPSHOT, TEXT(TYPES_SNAPSHOT_NAME));
    struct resource *keep = resource_ref(forward || held == NULL ? commit->record : held);
    delta_client_stage_accept(&client->stage, keep);
    resource_unref(keep);
    if (forward)
        client->held = record->version;
    client->counters.same++;
    answer(client, types_url(RESOURCE_SNAPSHOT), commit->nonce, NULL);
    link_good(client->link);
    if (order == VERSION_NEWER && client->events->on_same != NULL)
        client->events->on_same(client->owner, &client->held);
}

/* Waits a little for what is missing; then the stream is cut, and the next one asks for the
 * differences. */
static void set_lame(struct delta_client *client, const struct commit *commit)
{
    if (!timer_is_armed(&client->linger))
        loop_arm(client->loop, &client->linger, LIMIT_XDS_LINGER_MS);
    commit_set(&client->lame, commit->record, commit->nonce);
}

static bool was_refused(const struct delta_client *client, const struct commit *commit)
{
    return client->refused.record != NULL &&
           digest_equal(client->refused.record->digest, commit->record->digest);
}

static void judge(struct delta_client *client, const struct commit *commit,
                  const struct record *record, struct arena *arena)
{
    struct faults faults;
    faults_init(&faults, arena);
    enum version_order order =
        client->holds ? version_compare(&record->version, &client->held) : VERSION_NEWER;
    bool same = client->holds &&
                digest_equal(record->digest, resource_sums_digest(&client->stage.accepted.sums));
    enum record_fit fit = record_check(record, &client->stage.staged.sums, &faults);
    if (fit == RECORD_FITS)
        loop_disarm(client->loop, &client->linger);
    bool back = !same && (order == VERSION_OLDER || order == VERSION_INCOMPARABLE);
    struct refusal refusal = {.offered = &record->version,
                              .held = client->holds ? &client->held : NULL};
    if (back) {
        refusal.reason = version_order_name(order);
        refuse(client, commit, &refusal, arena);
    } else if (fit != RECORD_FITS) {
        refusal.reason = fit == RECORD_DIGEST ? "digest" : "incomplete";
        refusal.faults = &faults;
        set_lame(client, commit);
        refuse(client, commit, &refusal, arena);
    } else if (same) {
        take_same(client, commit, record, order);
    } else if (was_refused(client, commit)) {
        client->counters.refused++;
        answer(client, types_url(RESOURCE_SNAPSHOT), commit->nonce, client->refused_status);
    } else {
        offer(client, commit, record);
    }
    faults_fini(&faults);
}

static void consider(struct delta_client *client, const struct commit *commit)
{
    if (client->stage.is_pending) {
        commit_set(&client->waiting, commit->record, commit->nonce);
        return;
    }
    struct arena arena;
    struct record record;
    arena_init(&arena, 0);
    commit_drop(&client->lame);
    if (record_read(resource_bytes(commit->record), &arena, &record) != ERR_NONE) {
        struct refusal refusal = {.reason = "incomplete"};
        refuse(client, commit, &refusal, &arena);
        client->counters.protocol_errors++;
    } else {
        judge(client, commit, &record, &arena);
    }
    arena_fini(&arena);
}

/* Something was staged: perhaps that is what the record was waiting for. */
static void reconsider(struct delta_client *client)
{
    if (client->lame.record == NULL || client->stage.is_pending)
        return;
    struct arena arena;
    struct record record;
    struct faults faults;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    bool fits = record_read(resource_bytes(client->lame.record), &arena, &record) == ERR_NONE &&
                record_check(&record, &client->stage.staged.sums, &faults) == RECORD_FITS;
    faults_fini(&faults);
    arena_fini(&arena);
    if (!fits)
        return;
    struct commit commit = client->lame;
    client->lame = (struct commit){0};
    consider(client, &commit);
    commit_drop(&commit);
}

static void on_linger(void *owner)
{
    struct delta_client *client = owner;
    if (client->lame.record == NULL)
        return;
    commit_drop(&client->lame);
    link_restart(client->link, "the snapshot does not fit what was sent");
}

/* What cannot be made whole stays as it is, and is refused for that. */
static void hear(struct delta_client *client, struct text bytes, struct text version)
{
    struct text before = client->heard == NULL ? TEXT_NONE : resource_bytes(client->heard);
    struct text whole = TEXT_NONE;
    struct arena arena;
    arena_init(&arena, 0);
    if (record_complete(bytes, before, &arena, &whole) != ERR_NONE)
        whole = bytes;
    struct resource *record =
        resource_new(RESOURCE_SNAPSHOT, TEXT(TYPES_SNAPSHOT_NAME), whole, version);
    resource_unref(client->heard);
    client->heard = record;
    arena_fini(&arena);
}

static void on_record(struct delta_client *client, const Response *response)
{
    const Envoy__Service__Discovery__V3__Resource *one =
        response->n_resources == 1 ? response->resources[0] : NULL;
    if (one == NULL && response->n_resources == 0) { /* taken back: what runs goes on */
        answer(client, response->type_url, response->nonce, NULL);
        return;
    }
    if (one == NULL || strcmp(one->name, TYPES_SNAPSHOT_NAME) != 0 || one->resource == NULL ||
        strlen(one->version) > RESOURCE_VERSION_MAX ||
        strcmp(one->resource->type_url, types_url(RESOURCE_SNAPSHOT)) != 0) {
        refuse_response(client, response, "not one commit record named \"snapshot\"");
        return;
    }
    struct commit commit = {0};
    hear(client, unpack_bytes(&one->resource->value), text_of(one->version));
    commit_set(&commit, client->heard, response->nonce);
    consider(client, &commit);
    commit_drop(&commit);
}

/* -- the stream -- */

static void on_response(struct delta_client *client, const Response *response)
{
    enum resource_type type;
    const char *why;
    client->counters.resources += response->n_resources;
    client->counters.removed += response->n_removed_resources;
    if (!types_from_url(text_of(response->type_url), &type)) {
        refuse_response(client, response, "a response of a type that was not asked for");
    } else if (type == RESOURCE_SNAPSHOT) {
        on_record(client, response);
    } else if (delta_client_stage_put(&client->stage, type, response, &why) != ERR_NONE) {
        refuse_response(client, response, why);
    } else {
        answer(client, response->type_url, response->nonce, NULL);
        reconsider(client);
    }
}

static void on_message(void *owner, struct grpc_call *call, struct text message)
{
    struct delta_client *client = owner;
    struct arena arena;
    void *response;
    (void)call;
    arena_init(&arena, 65536);
    client->counters.responses++;
    client->counters.bytes += message.len;
    client->answered = true;
    enum err err =
        schema_unpack(&envoy__service__discovery__v3__delta_discovery_response__descriptor, message,
                      &arena, &response);
    if (err == ERR_NONE && strlen(((Response *)response)->nonce) <= NONCE_MAX) {
        on_response(client, response);
    } else {
        client->counters.protocol_errors++;
        set_error(client, TEXT("a response could not be read"));
        link_restart(client->link, "a response could not be read");
    }
    arena_fini(&arena);
}

static void lose_stream(struct delta_client *client)
{
    client->call = NULL;
    client->pending.nonce[0] = '\0';
    commit_drop(&client->waiting);
    commit_drop(&client->lame);
    resource_unref(client->heard);
    client->heard = NULL;
    loop_disarm(client->loop, &client->linger);
}

static void on_end(void *owner, struct grpc_call *call, enum grpc_status status, struct text text)
{
    struct delta_client *client = owner;
    (void)call;
    /* A stock server takes 4 MiB in one message: then ask for everything instead. */
    if (status == GRPC_RESOURCE_EXHAUSTED && !client->answered)
        client->start_empty = true;
    char words[160];
    (void)snprintf(words, sizeof(words), "stream ended with status %d%s%.*s", (int)status,
                   text.len > 0 ? ": " : "", (int)MIN(text.len, (size_t)100),
                   text.len > 0 ? text.data : "");
    set_error(client, text_of(words));
    lose_stream(client);
    link_restart(client->link, words);
}

static const Stated NOTHING_STATED =
    ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INITIAL_RESOURCE_VERSIONS_ENTRY__INIT;

static void state_versions(struct delta_client *client, enum resource_type type, Request *request,
                           struct arena *arena)
{
    const struct resource_set *set =
        type == RESOURCE_SNAPSHOT ? &client->stage.accepted : &client->stage.staged;
    size_t count = resource_set_count(set, type);
    if (count == 0)
        return;
    Stated *entries = arena_array(arena, Stated, count);
    request->initial_resource_versions = arena_array(arena, Stated *, count);
    struct resource *one;
    for (size_t at = 0; (one = resource_set_next(set, type, &at)) != NULL;) {
        Stated *entry = &entries[request->n_initial_resource_versions];
        char hex[33];
        *entry = NOTHING_STATED;
        entry->key = one->data; /* its name ends with a NUL */
        entry->value = arena_string(arena, resource_version(one, hex));
        request->initial_resource_versions[request->n_initial_resource_versions++] = entry;
    }
}

static void on_up(void *owner, struct grpc_channel *channel)
{
    static const struct grpc_events EVENTS = {.on_message = on_message, .on_end = on_end};
    static char agent[] = "nantian-proxy", changes[] = DELTA_FEATURE_CHANGES;
    static char *features[] = {changes};
    struct delta_client *client = owner;
    client->call = grpc_start(channel, DELTA_METHOD, &EVENTS, client);
    if (client->call == NULL) {
        link_restart(client->link, "the connection takes no stream");
        return;
    }
    client->call->receive_max = LIMIT_GRPC_RECEIVE;
    client->counters.streams++;
    client->answered = false;
    if (client->start_empty)
        delta_client_stage_empty(&client->stage);
    client->start_empty = false;
    Envoy__Service__Discovery__V3__Node node = ENVOY__SERVICE__DISCOVERY__V3__NODE__INIT;
    node.id = client->node;
    node.cluster = client->cluster;
    node.user_agent_name = agent;
    node.user_agent_version = client->product_version;
    node.client_features = features;
    node.n_client_features = ARRAY_LEN(features);
    for (unsigned i = 0; i < RESOURCE_TYPES && client->call != NULL; i++) {
        enum resource_type type = types_push_order()[i];
        struct arena arena;
        arena_init(&arena, 65536);
        Request request = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
        request.node = i == 0 ? &node : NULL;
        request.type_url = arena_string(&arena, text_of(types_url(type)));
        state_versions(client, type, &request, &arena);
        send_request(client, &request, &arena);
        arena_fini(&arena);
    }
    if (client->events->on_connected != NULL)
        client->events->on_connected(client->owner, true, "");
}

static void on_down(void *owner, const char *why)
{
    struct delta_client *client = owner;
    if (client->call != NULL)
        link_drop_call(client->call);
    lose_stream(client);
    if (client->events->on_connected != NULL)
        client->events->on_connected(client->owner, false, why);
}

/* -- for the owner -- */

struct delta_client *delta_client_new(const struct delta_client_options *options)
{
    struct delta_client *client = memory_new(struct delta_client);
    client->loop = options->loop;
    client->link = options->link;
    client->events = options->events;
    client->owner = options->owner;
    client->node = memory_string(options->node);
    client->cluster = memory_string(options->cluster);
    client->product_version = memory_string(options->product_version);
    delta_client_stage_init(&client->stage);
    arena_init(&client->offered_arena, 0);
    arena_init(&client->refused_arena, 0);
    timer_init(&client->linger, client, on_linger);
    client->user = (struct link_user){.owner = client, .on_up = on_up, .on_down = on_down};
    link_add(client->link, &client->user);
    return client;
}

void delta_client_free(struct delta_client *client)
{
    if (client == NULL)
        return;
    link_remove(client->link, &client->user);
    if (client->call != NULL)
        link_drop_call(client->call);
    lose_stream(client);
    commit_drop(&client->pending);
    commit_drop(&client->refused);
    delta_client_stage_fini(&client->stage);
    arena_fini(&client->offered_arena);
    arena_fini(&client->refused_arena);
    free(client->node);
    free(client->cluster);
    free(client->product_version);
    free(client);
}

bool delta_client_restore(struct delta_client *client, const struct resource_set *set)
{
    struct arena arena;
    struct record record;
    arena_init(&arena, 0);
    struct resource *resource = resource_set_get(set, RESOURCE_SNAPSHOT, TEXT(TYPES_SNAPSHOT_NAME));
    bool good = resource != NULL && !client->stage.is_pending &&
                record_read(resource_bytes(resource), &arena, &record) == ERR_NONE;
    if (good) {
        delta_client_stage_restore(&client->stage, set);
        client->held = record.version;
        client->holds = true;
    }
    arena_fini(&arena);
    return good;
}

void delta_client_accept(struct delta_client *client)
{
    CHECK(client->stage.is_pending);
    accepted(client);
}

void delta_client_refuse(struct delta_client *client, const struct faults *faults)
{
    CHECK(client->stage.is_pending);
    refused(client, faults);
}

const struct resource_edits *delta_client_pending(const struct delta_client *client)
{
    return client->stage.is_pending ? &client->stage.pending : NULL;
}

bool delta_client_connected(const struct delta_client *client)
{
    return client->call != NULL;
}

const struct resource_set *delta_client_accepted(const struct delta_client *client)
{
    return &client->stage.accepted;
}

const struct snapshot_version *delta_client_version(const struct delta_client *client)
{
    return client->holds ? &client->held : NULL;
}

const struct delta_client_counters *delta_client_counters(const struct delta_client *client)
{
    return &client->counters;
}

const char *delta_client_last_error(const struct delta_client *client)
{
    return client->last_error;
}
