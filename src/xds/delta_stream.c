/* One data plane's stream: requests in, answers counted, responses out one at a time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "schema/pack.h"
#include "schema/unpack.h"
#include "xds/delta_server_internal.h"
#include "xds/refusal.h"

/* Generated names, shortened. */
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest Request;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryResponse Response;
typedef Envoy__Service__Discovery__V3__Resource Resource;

#define EARLY_MAX     64 /* requests held before the first publish */
#define RESOURCE_COST 96 /* wire bytes of a resource beside name and content: type URL, version */

void delta_stream_wake(struct delta_stream *stream)
{
    loop_defer(stream->server->loop, &stream->work);
}

/* At the end of the turn, so that nothing is freed under a callback's feet. */
void delta_stream_end(struct delta_stream *stream, enum grpc_status status, const char *why)
{
    if (stream->end_why != NULL)
        return;
    stream->end_status = status;
    stream->end_why = why;
    delta_stream_wake(stream);
}

static void forget_early(struct delta_stream *stream)
{
    for (size_t i = 0; i < stream->early_count; i++)
        free(stream->early[i].bytes);
    free(stream->early);
    stream->early = NULL;
    stream->early_count = stream->early_cap = stream->early_bytes = 0;
}

bool delta_stream_runs(const struct delta_stream *stream)
{
    return stream->node != NULL && !stream->refused &&
           (stream->acked || stream->awaiting || stream->stated_itself);
}

void delta_stream_ask_again(struct delta_server *server)
{
    for (struct delta_stream *stream = server->streams; stream != NULL; stream = stream->next)
        if (stream->refused)
            delta_stream_end(stream, GRPC_UNAVAILABLE, "try again what was refused");
}

void delta_stream_free(struct delta_stream *stream)
{
    struct delta_server *server = stream->server;
    bool did_run = delta_stream_runs(stream);
    *stream->slot = stream->next;
    if (stream->next != NULL)
        stream->next->slot = stream->slot;
    server->stream_count--;
    if (stream->call != NULL)
        link_drop_call(stream->call);
    if (stream->node != NULL)
        delta_node_leave(server, stream->node);
    for (unsigned i = 0; i < RESOURCE_TYPES; i++)
        delta_interest_fini(&stream->types[i]);
    delta_plan_clear(&stream->plan);
    delta_commit_unref(stream->offered);
    forget_early(stream);
    loop_disarm(server->loop, &stream->patience);
    loop_undefer(server->loop, &stream->work);
    free(stream);
    if (!did_run)
        return;
    delta_stream_ask_again(server);
    if (!timer_is_armed(&server->returns))
        loop_arm(server->loop, &server->returns, LIMIT_XDS_RETURN_MS);
}

/* -- sending -- */

static void fill_resource(const struct resource *resource, Resource *message, struct arena *arena)
{
    char hex[33];
    envoy__service__discovery__v3__resource__init(message);
    message->name = arena_string(arena, resource_name(resource));
    message->version = arena_string(arena, resource_version(resource, hex));
    message->resource = arena_new(arena, Google__Protobuf__Any);
    google__protobuf__any__init(message->resource);
    message->resource->type_url =
        arena_string(arena, text_of(types_url((enum resource_type)resource->type)));
    message->resource->value.len = resource->bytes_len;
    message->resource->value.data =
        (uint8_t *)(uintptr_t)resource_bytes(resource).data; /* only read */
}

/* For who debugs: all of it once a stream, then what changed. */
static struct text system_version(const struct delta_stream *stream, struct arena *arena)
{
    const struct snapshot_version *version = &stream->plan.commit->version;
    struct snapshot_version changes;
    bool is_short =
        stream->offered != NULL && version_since(version, &stream->offered->version, &changes);
    return version_format(is_short ? &changes : version, arena);
}

/* The next items of one type, up to LIMIT_XDS_PUSH and at least one. */
static size_t fill_response(struct delta_stream *stream, Response *response, struct arena *arena)
{
    const struct delta_plan *plan = &stream->plan;
    enum resource_type type = plan->items[plan->sent].type;
    size_t end = plan->sent, bytes = 0;
    for (; end < plan->count && plan->items[end].type == type; end++) {
        const struct resource *resource = plan->items[end].resource;
        size_t cost = resource == NULL
                          ? strlen(plan->items[end].removed) + 4
                          : resource->name_len + (size_t)resource->bytes_len + RESOURCE_COST;
        if (bytes > 0 && bytes + cost > LIMIT_XDS_PUSH)
            break;
        bytes += cost;
    }
    size_t count = end - plan->sent;
    response->resources = arena_array(arena, Resource *, count);
    response->removed_resources = arena_array(arena, char *, count);
    for (size_t i = plan->sent; i < end; i++) {
        const struct delta_plan_item *item = &plan->items[i];
        if (item->resource == NULL) {
            response->removed_resources[response->n_removed_resources++] = item->removed;
            continue;
        }
        Resource *message = arena_new(arena, Resource);
        fill_resource(item->resource, message, arena);
        response->resources[response->n_resources++] = message;
    }
    response->type_url = arena_string(arena, text_of(types_url(type)));
    struct text nonce = arena_printf(arena, "%" PRIu64, stream->nonce + 1);
    response->nonce = arena_string(arena, nonce);
    response->system_version_info = arena_string(arena, system_version(stream, arena));
    return end;
}

static void count_response(struct delta_counters *counters, const Response *response,
                           enum resource_type type, size_t bytes)
{
    counters->responses++;
    counters->bytes += bytes;
    counters->removed += response->n_removed_resources;
    if (type == RESOURCE_SNAPSHOT)
        counters->snapshots++;
    else
        counters->resources += response->n_resources;
}

static void note_offer(struct delta_stream *stream)
{
    struct delta_server *server = stream->server;
    delta_commit_unref(stream->offered);
    stream->offered = delta_commit_ref(stream->plan.commit); /* a later one may be out by now */
    stream->offered_nonce = stream->nonce;
    stream->offered_ns = loop_tick(server->loop);
    stream->awaiting = true;
    stream->acked = false;
    loop_arm(server->loop, &stream->patience, LIMIT_XDS_ACK_MS);
}

static void send_next(struct delta_stream *stream)
{
    struct arena arena;
    arena_init(&arena, 65536);
    Response response = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_RESPONSE__INIT;
    enum resource_type type = stream->plan.items[stream->plan.sent].type;
    stream->plan.sent = fill_response(stream, &response, &arena);
    struct text bytes = schema_pack(&response, &arena);
    stream->nonce++;
    count_response(&stream->server->counters, &response, type, bytes.len);
    count_response(&stream->node->counters, &response, type, bytes.len);
    if (type == RESOURCE_SNAPSHOT)
        note_offer(stream);
    if (grpc_send(stream->call, bytes, 0) != ERR_NONE)
        delta_stream_end(stream, GRPC_RESOURCE_EXHAUSTED, "a response could not be queued");
    stream->sending = stream->call->queued_bytes > 0;
    arena_fini(&arena);
}

static bool lacks_anything(const struct delta_stream *stream)
{
    for (unsigned i = 0; i < RESOURCE_TYPES; i++) {
        const struct delta_interest *interest = &stream->types[i];
        if (interest->known && (interest->base < stream->server->generation ||
                                interest->everything || interest->owed_count > 0))
            return true;
    }
    return false;
}

static void push(struct delta_stream *stream)
{
    struct delta_server *server = stream->server;
    while (!stream->sending && stream->end_why == NULL) {
        if (stream->plan.sent < stream->plan.count) {
            send_next(stream);
            continue;
        }
        delta_plan_clear(&stream->plan);
        if (stream->awaiting || !lacks_anything(stream))
            return;
        if (!delta_plan_make(stream)) {
            server->counters.resyncs++;
            stream->node->counters.resyncs++;
            delta_stream_end(stream, GRPC_UNAVAILABLE, "too far behind: connect again");
            return;
        }
        if (stream->plan.count == 0)
            return;
        server->counters.pushes++;
        stream->node->counters.pushes++;
    }
}

/* -- requests -- */

static void on_refusal(struct delta_stream *stream, enum resource_type type, const Request *request,
                       bool of_offer, struct arena *arena)
{
    struct delta_server *server = stream->server;
    struct text words = text_of(request->error_detail->message);
    Nantian__Config__V1__Refusal *refusal = refusal_from_status(request->error_detail, arena);
    stream->refused = true;
    delta_node_nacked(server, stream->node, of_offer ? &stream->offered->version : NULL, words);
    if (of_offer && refusal != NULL)
        delta_plan_drop_stale(server, stream->offered->generation, refusal);
    if (server->events->on_nack != NULL)
        server->events->on_nack(server->owner, stream->node, text_of(types_url(type)), words,
                                refusal);
}

static void on_answer(struct delta_stream *stream, enum resource_type type, const Request *request,
                      struct arena *arena)
{
    struct delta_server *server = stream->server;
    uint64_t nonce;
    if (!text_to_u64(text_of(request->response_nonce), &nonce) || nonce == 0 ||
        nonce > stream->nonce)
        return; /* of another stream */
    bool of_offer =
        type == RESOURCE_SNAPSHOT && stream->offered != NULL && nonce == stream->offered_nonce;
    if (of_offer) {
        stream->awaiting = false;
        loop_disarm(server->loop, &stream->patience);
    }
    if (request->error_detail != NULL) {
        on_refusal(stream, type, request, of_offer, arena);
    } else if (of_offer && !stream->acked) {
        stream->acked = true;
        stream->refused = false;
        delta_node_acked(server, stream->node, &stream->offered->version,
                         (loop_tick(server->loop) - stream->offered_ns) / 1000);
    }
}

static void on_request(struct delta_stream *stream, const Request *request, struct arena *arena)
{
    struct delta_server *server = stream->server;
    enum resource_type type;
    if (!types_from_url(text_of(request->type_url), &type)) {
        if (server->events->on_unknown_type != NULL)
            server->events->on_unknown_type(server->owner, stream->node,
                                            text_of(request->type_url));
        return;
    }
    if (request->response_nonce[0] != '\0')
        on_answer(stream, type, request, arena);
    bool taken = stream->types[type].known ? delta_plan_subscribe(stream, type, request)
                                           : delta_plan_first(stream, type, request);
    if (!taken)
        delta_stream_end(stream, GRPC_RESOURCE_EXHAUSTED, "too many names");
    delta_stream_wake(stream);
}

static void hold_early(struct delta_stream *stream, struct text message)
{
    if (stream->early_count == EARLY_MAX ||
        stream->early_bytes + message.len > LIMIT_GRPC_RECEIVE) {
        delta_stream_end(stream, GRPC_UNAVAILABLE, "nothing to serve yet");
        return;
    }
    stream->early =
        memory_grow(stream->early, stream->early_count, &stream->early_cap, sizeof(*stream->early));
    stream->early[stream->early_count++] =
        (struct delta_early){memory_string(message), message.len};
    stream->early_bytes += message.len;
}

static void join_node(struct delta_stream *stream, const Envoy__Service__Discovery__V3__Node *node)
{
    stream->node = delta_node_join(stream->server, node, stream->call->identity);
    for (size_t i = 0; node != NULL && i < node->n_client_features; i++)
        stream->takes_changes |= strcmp(node->client_features[i], DELTA_FEATURE_CHANGES) == 0;
}

static void take_message(struct delta_stream *stream, struct text message)
{
    struct arena arena;
    void *unpacked;
    arena_init(&arena, 65536);
    enum err err =
        schema_unpack(&envoy__service__discovery__v3__delta_discovery_request__descriptor, message,
                      &arena, &unpacked);
    if (err != ERR_NONE) {
        delta_stream_end(stream, err == ERR_LIMIT ? GRPC_RESOURCE_EXHAUSTED : GRPC_INVALID_ARGUMENT,
                         "a request could not be read");
    } else {
        const Request *request = unpacked;
        const char *identity = stream->call->identity;
        bool is_other = identity != NULL && stream->node == NULL &&
                        (request->node == NULL || strcmp(request->node->cluster, identity) != 0);
        if (stream->node == NULL && !is_other)
            join_node(stream, request->node);
        if (is_other)
            delta_stream_end(stream, GRPC_PERMISSION_DENIED, "the token is of another Gateway");
        else if (stream->server->generation == 0)
            hold_early(stream, message);
        else
            on_request(stream, request, &arena);
    }
    arena_fini(&arena);
}

static void on_message(void *owner, struct grpc_call *call, struct text message)
{
    struct delta_stream *stream = owner;
    (void)call;
    if (stream->end_why == NULL)
        take_message(stream, message);
}

static void on_sent(void *owner, struct grpc_call *call)
{
    struct delta_stream *stream = owner;
    (void)call;
    stream->sending = false;
    delta_stream_wake(stream);
}

static void on_end(void *owner, struct grpc_call *call, enum grpc_status status, struct text text)
{
    struct delta_stream *stream = owner;
    (void)call;
    (void)status;
    (void)text;
    stream->call = NULL;
    delta_stream_free(stream);
}

static void work(void *owner)
{
    struct delta_stream *stream = owner;
    if (stream->server->generation > 0 && stream->early_count > 0) {
        struct delta_early *early = stream->early;
        size_t count = stream->early_count;
        stream->early = NULL;
        stream->early_count = stream->early_cap = stream->early_bytes = 0;
        for (size_t i = 0; i < count; i++) {
            if (stream->end_why == NULL)
                take_message(stream, text_from(early[i].bytes, early[i].len));
            free(early[i].bytes);
        }
        free(early);
    }
    if (stream->server->generation > 0 && stream->node != NULL)
        push(stream);
    if (stream->end_why != NULL && stream->call != NULL)
        grpc_finish(stream->call, stream->end_status, stream->end_why); /* on_end frees */
}

static void on_patience_lost(void *owner)
{
    struct delta_stream *stream = owner;
    stream->awaiting = false;
    delta_stream_wake(stream);
    delta_stream_ask_again(stream->server);
}

void delta_stream_open(struct delta_server *server, struct grpc_call *call)
{
    static const struct grpc_events EVENTS = {
        .on_message = on_message, .on_sent = on_sent, .on_end = on_end};
    struct delta_stream *stream = memory_new(struct delta_stream);
    stream->server = server;
    stream->call = call;
    for (unsigned i = 0; i < RESOURCE_TYPES; i++)
        map_init(&stream->types[i].names);
    timer_init(&stream->patience, stream, on_patience_lost);
    defer_init(&stream->work, stream, work);
    call->events = &EVENTS;
    call->owner = stream;
    call->receive_max = LIMIT_GRPC_RECEIVE;
    stream->next = server->streams;
    stream->slot = &server->streams;
    if (stream->next != NULL)
        stream->next->slot = &stream->next;
    server->streams = stream;
    server->stream_count++;
}
