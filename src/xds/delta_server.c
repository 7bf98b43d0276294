/* The current set, the log of its changes, and waking those who lack them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/delta_server.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "xds/delta_server_internal.h"
#include "xds/record.h"

static bool may_any_return(const struct delta_server *server)
{
    for (size_t i = 0; i < server->node_count; i++)
        if (delta_node_may_return(server, server->nodes[i]))
            return true;
    return false;
}

static void on_returned(void *owner)
{
    struct delta_server *server = owner;
    delta_stream_ask_again(server);
    if (may_any_return(server))
        loop_arm(server->loop, &server->returns, LIMIT_XDS_RETURN_MS);
}

struct delta_server *delta_server_new(struct loop *loop, const struct delta_server_events *events,
                                      void *owner)
{
    struct delta_server *server = memory_new(struct delta_server);
    server->loop = loop;
    server->events = events;
    server->owner = owner;
    resource_set_init(&server->set);
    timer_init(&server->returns, server, on_returned);
    return server;
}

static void drop_changes(struct delta_server *server, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct delta_change *change = &server->changes[server->changes_first + i];
        server->changes_since = change->generation;
        resource_unref(change->before);
        resource_unref(change->after);
    }
    server->changes_first += count;
    server->changes_count -= count;
}

void delta_server_free(struct delta_server *server)
{
    if (server == NULL)
        return;
    while (server->streams != NULL)
        delta_stream_free(server->streams);
    loop_disarm(server->loop, &server->returns);
    drop_changes(server, server->changes_count);
    free(server->changes);
    for (size_t i = 0; i < server->node_count; i++)
        delta_node_free(server->nodes[i]);
    free(server->nodes);
    delta_commit_unref(server->commit);
    resource_set_fini(&server->set);
    free(server);
}

void delta_server_call(struct delta_server *server, struct grpc_call *call)
{
    if (server->stream_count >= LIMIT_XDS_STREAMS) {
        grpc_finish(call, GRPC_RESOURCE_EXHAUSTED, "too many streams");
        return;
    }
    delta_stream_open(server, call);
}

/* -- publishing -- */

static void log_change(struct delta_server *server, uint64_t generation, struct resource *before,
                       struct resource *after)
{
    if (server->changes_first > server->changes_count) {
        memmove(server->changes, &server->changes[server->changes_first],
                server->changes_count * sizeof(*server->changes));
        server->changes_first = 0;
    }
    size_t end = server->changes_first + server->changes_count;
    server->changes =
        memory_grow(server->changes, end, &server->changes_cap, sizeof(*server->changes));
    server->changes[end] =
        (struct delta_change){generation, before == NULL ? NULL : resource_ref(before),
                              after == NULL ? NULL : resource_ref(after)};
    server->changes_count++;
}

static bool apply(struct delta_server *server, const struct delta_edit *edit, uint64_t generation)
{
    struct resource *before = resource_set_get(&server->set, edit->type, edit->name);
    if (edit->removed) {
        if (before == NULL)
            return false;
        log_change(server, generation, before, NULL);
        resource_set_remove(&server->set, edit->type, edit->name);
        return true;
    }
    struct resource *after = resource_new(edit->type, edit->name, edit->bytes, TEXT_NONE);
    bool differs = before == NULL || !digest_equal(before->digest, after->digest);
    if (differs) {
        log_change(server, generation, before, after);
        resource_set_put(&server->set, after);
    }
    resource_unref(after);
    return differs;
}

/* Forgets the changes that every stream has; then, beyond the bound, whole generations that only
 * slow streams lack: those connect again and state what they have. */
static void trim(struct delta_server *server)
{
    uint64_t had_by_all = server->generation;
    for (const struct delta_stream *stream = server->streams; stream != NULL;
         stream = stream->next) {
        for (unsigned i = 0; i < RESOURCE_CONTENT_TYPES; i++) {
            const struct delta_interest *interest = &stream->types[types_push_order()[i]];
            if (interest->known)
                had_by_all = MIN(had_by_all, interest->base);
        }
    }
    size_t count = 0;
    const struct delta_change *changes = &server->changes[server->changes_first];
    while (count < server->changes_count && changes[count].generation <= had_by_all)
        count++;
    while (server->changes_count - count > LIMIT_XDS_LOG &&
           changes[count].generation < server->generation) {
        uint64_t generation = changes[count].generation;
        while (count < server->changes_count && changes[count].generation == generation)
            count++;
    }
    drop_changes(server, count);
    if (server->changes_count == 0)
        server->changes_since = MAX(server->changes_since, had_by_all);
}

void delta_server_publish(struct delta_server *server, const struct delta_edit *edits, size_t count,
                          const struct snapshot_version *version)
{
    uint64_t generation = server->generation + 1;
    size_t changed = 0;
    for (size_t i = 0; i < count; i++)
        changed += apply(server, &edits[i], generation);
    if (changed == 0 && server->commit != NULL &&
        version_compare(version, &server->commit->version) == VERSION_EQUAL)
        return;
    struct delta_commit *commit = memory_new(struct delta_commit);
    commit->refs = 1;
    commit->generation = generation;
    commit->version = *version;
    delta_commit_unref(server->commit);
    server->commit = commit;
    server->generation = generation;
    struct resource *record = record_new(&server->set.sums, version);
    resource_set_put(&server->set, record);
    resource_unref(record);
    trim(server);
    for (struct delta_stream *stream = server->streams; stream != NULL; stream = stream->next)
        delta_stream_wake(stream);
}

/* -- for the owner -- */

void delta_server_turn(struct delta_server *server, struct text cluster, enum resource_type type,
                       struct text name)
{
    for (struct delta_stream *stream = server->streams; stream != NULL; stream = stream->next) {
        if (stream->node != NULL && text_is(cluster, stream->node->cluster))
            delta_plan_turn(stream, type, name);
    }
}

static bool sees(const struct delta_server *server, const struct delta_node *node,
                 enum resource_type type, struct text name)
{
    return server->events->visible == NULL ||
           server->events->visible(server->owner, node, type, name);
}

bool delta_server_runs(const struct delta_server *server, enum resource_type type, struct text name)
{
    for (const struct delta_stream *stream = server->streams; stream != NULL; stream = stream->next)
        if (delta_stream_runs(stream) && sees(server, stream->node, type, name))
            return true;
    for (size_t i = 0; i < server->node_count; i++)
        if (delta_node_may_return(server, server->nodes[i]) &&
            sees(server, server->nodes[i], type, name))
            return true;
    return false;
}

const struct resource_set *delta_server_set(const struct delta_server *server)
{
    return &server->set;
}

const struct snapshot_version *delta_server_version(const struct delta_server *server)
{
    return server->commit == NULL ? NULL : &server->commit->version;
}

const struct delta_counters *delta_server_counters(const struct delta_server *server)
{
    return &server->counters;
}

const struct delta_node *delta_server_node(const struct delta_server *server, size_t at)
{
    return at < server->node_count ? server->nodes[at] : NULL;
}

size_t delta_server_streams(const struct delta_server *server)
{
    return server->stream_count;
}
