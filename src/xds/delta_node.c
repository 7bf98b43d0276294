/* The list of data planes: who is there, what each runs, why it refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/builder.h"
#include "base/limits.h"
#include "base/memory.h"
#include "xds/delta_server_internal.h"

#define WORDS_MAX 4096 /* of a refusal, kept per node */

static void set_string(char **string, struct text text)
{
    free(*string);
    *string = memory_string(text_slice(text, 0, WORDS_MAX));
}

/* Where `id` stands, or where it would. */
static size_t place_of(const struct delta_server *server, struct text id)
{
    size_t low = 0, high = server->node_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (text_compare(text_of(server->nodes[middle]->id), id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void delta_node_free(struct delta_node *node)
{
    if (node == NULL)
        return;
    free(node->id);
    free(node->cluster);
    free(node->product);
    free(node->product_version);
    free(node->applied);
    free(node->refused);
    free(node->refusal);
    free(node);
}

/* The one that left first goes when too many are remembered. */
static void forget_one(struct delta_server *server)
{
    size_t gone = 0, oldest = SIZE_MAX;
    for (size_t i = 0; i < server->node_count; i++) {
        const struct delta_node *node = server->nodes[i];
        if (node->streams > 0)
            continue;
        gone++;
        if (oldest == SIZE_MAX || node->joined_ms < server->nodes[oldest]->joined_ms)
            oldest = i;
    }
    if (gone <= LIMIT_XDS_NODES_GONE)
        return;
    delta_node_free(server->nodes[oldest]);
    server->node_count--;
    memmove(&server->nodes[oldest], &server->nodes[oldest + 1],
            (server->node_count - oldest) * sizeof(struct delta_node *));
}

struct delta_node *delta_node_join(struct delta_server *server,
                                   const Envoy__Service__Discovery__V3__Node *message,
                                   const char *identity)
{
    struct builder full CLEANUP(builder_fini) = {0};
    struct text id = TEXT("unnamed");
    if (message != NULL && message->id[0] != '\0')
        id = text_slice(text_of(message->id), 0, LIMIT_RESOURCE_NAME);
    if (identity != NULL) { /* so that nobody takes the name of another Gateway's */
        builder_printf(&full, "%s/" TEXT_FMT, identity, TEXT_ARG(id));
        id = builder_text(&full);
    }
    size_t at = place_of(server, id);
    if (at == server->node_count || !text_is(id, server->nodes[at]->id)) {
        server->nodes = memory_grow(server->nodes, server->node_count, &server->node_cap,
                                    sizeof(struct delta_node *));
        memmove(&server->nodes[at + 1], &server->nodes[at],
                (server->node_count - at) * sizeof(struct delta_node *));
        server->nodes[at] = memory_new(struct delta_node);
        server->nodes[at]->id = memory_string(id);
        server->node_count++;
    }
    struct delta_node *node = server->nodes[at];
    set_string(&node->cluster, text_of(message == NULL ? "" : message->cluster));
    set_string(&node->product, text_of(message == NULL ? "" : message->user_agent_name));
    set_string(&node->product_version, text_of(message == NULL ? "" : message->user_agent_version));
    if (node->streams++ == 0) {
        node->joined_ms = loop_wall_ns(server->loop) / 1000000;
        if (server->events->on_node != NULL)
            server->events->on_node(server->owner, node, true);
    }
    return node;
}

void delta_node_leave(struct delta_server *server, struct delta_node *node)
{
    CHECK(node->streams > 0);
    if (--node->streams > 0)
        return;
    node->joined_ms = loop_wall_ns(server->loop) / 1000000;
    node->left_ms = loop_now_ms(server->loop);
    if (server->events->on_node != NULL)
        server->events->on_node(server->owner, node, false);
    forget_one(server);
}

bool delta_node_may_return(const struct delta_server *server, const struct delta_node *node)
{
    return node->streams == 0 && node->applied != NULL && !node->refusing &&
           loop_now_ms(server->loop) - node->left_ms < LIMIT_XDS_RETURN_MS;
}

void delta_node_acked(struct delta_server *server, struct delta_node *node,
                      const struct snapshot_version *version, uint64_t apply_us)
{
    struct arena arena;
    arena_init(&arena, 0);
    set_string(&node->applied, version_format(version, &arena));
    arena_fini(&arena);
    node->applied_ms = loop_wall_ns(server->loop) / 1000000;
    node->apply_us = apply_us;
    node->refusing = false;
    node->counters.acks++;
    server->counters.acks++;
    if (server->events->on_ack != NULL)
        server->events->on_ack(server->owner, node, version, apply_us);
}

void delta_node_nacked(struct delta_server *server, struct delta_node *node,
                       const struct snapshot_version *version, struct text words)
{
    if (version != NULL) {
        struct arena arena;
        arena_init(&arena, 0);
        set_string(&node->refused, version_format(version, &arena));
        arena_fini(&arena);
    }
    set_string(&node->refusal, words);
    node->refusing = true;
    node->counters.refusals++;
    server->counters.refusals++;
}
