/* Both ends of delta xDS for tests: a control plane, a data plane that records what it is told, and
 * a raw end of either kind that says exactly what a test wants. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/builder.h"
#include "base/clock.h"
#include "base/memory.h"
#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "net/listener.h"
#include "schema/pack.h"
#include "schema/unpack.h"
#include "test.h"
#include "xds/delta_client.h"
#include "xds/record.h"
#include "xds/refusal.h"
#include "xds/xds_server.h"

#define WAIT_MS 30000

/* Turns the loop until the condition holds; fails the test when it does not within WAIT_MS. */
#define WAIT_FOR(loop, cond)                                                                       \
    do {                                                                                           \
        uint64_t wait_until = clock_monotonic_ns() + WAIT_MS * 1000000ull;                         \
        while (!(cond) && clock_monotonic_ns() < wait_until)                                       \
            loop_turn((loop), 20);                                                                 \
        if (!(cond))                                                                               \
            fail_msg("waited in vain for: %s", #cond);                                             \
    } while (0)

/* Lets everything that is on its way arrive: a few quiet turns. */
static inline void settle(struct loop *loop)
{
    for (int i = 0; i < 10; i++)
        loop_turn(loop, 10);
}

static inline struct snapshot_version version_at(uint64_t epoch, uint64_t revision)
{
    struct snapshot_version version = {.epoch = epoch};
    assert_true(version_set(&version, TEXT("directory"), revision));
    return version;
}

/* -- control plane -- */

struct control {
    struct loop *loop;
    struct delta_server *delta;
    struct xds_server *xds;
    struct address address;
    int joined, left, acks, nacks, unknown;
    uint64_t acked_revision;
    char nack_words[512], nack_reason[64], nack_resource[128], nack_field[128], nack_type[128];
    bool nack_has_refusal;
    bool (*visible)(void *owner, const struct delta_node *node, enum resource_type type,
                    struct text name);
};

static inline void control_on_node(void *owner, const struct delta_node *node, bool joined)
{
    struct control *control = owner;
    (void)node;
    *(joined ? &control->joined : &control->left) += 1;
}

static inline void control_on_ack(void *owner, const struct delta_node *node,
                                  const struct snapshot_version *version, uint64_t apply_us)
{
    struct control *control = owner;
    (void)node;
    (void)apply_us;
    control->acks++;
    control->acked_revision = version_get(version, TEXT("directory"));
}

static inline void copy_words(char *out, size_t room, struct text text)
{
    (void)snprintf(out, room, "%.*s", (int)MIN(text.len, room - 1), text.len ? text.data : "");
}

static inline void control_on_nack(void *owner, const struct delta_node *node, struct text type_url,
                                   struct text words, const Nantian__Config__V1__Refusal *refusal)
{
    struct control *control = owner;
    (void)node;
    control->nacks++;
    copy_words(control->nack_words, sizeof(control->nack_words), words);
    copy_words(control->nack_type, sizeof(control->nack_type), type_url);
    control->nack_has_refusal = refusal != NULL;
    control->nack_reason[0] = control->nack_resource[0] = control->nack_field[0] = '\0';
    if (refusal == NULL)
        return;
    copy_words(control->nack_reason, sizeof(control->nack_reason), text_of(refusal->reason));
    if (refusal->n_faults > 0) {
        copy_words(control->nack_resource, sizeof(control->nack_resource),
                   text_of(refusal->faults[0]->resource));
        copy_words(control->nack_field, sizeof(control->nack_field),
                   text_of(refusal->faults[0]->field));
    }
}

static inline void control_on_unknown(void *owner, const struct delta_node *node,
                                      struct text type_url)
{
    (void)node;
    (void)type_url;
    ((struct control *)owner)->unknown++;
}

static inline bool control_visible(void *owner, const struct delta_node *node,
                                   enum resource_type type, struct text name)
{
    return ((struct control *)owner)->visible(owner, node, type, name);
}

/* On `at` if it has a port or a path, else on a free port of 127.0.0.1. */
static inline void control_start(struct control *control, struct loop *loop,
                                 const struct address *at)
{
    static const struct delta_server_events ALL = {.on_node = control_on_node,
                                                   .on_ack = control_on_ack,
                                                   .on_nack = control_on_nack,
                                                   .on_unknown_type = control_on_unknown};
    static const struct delta_server_events FILTERED = {.on_node = control_on_node,
                                                        .on_ack = control_on_ack,
                                                        .on_nack = control_on_nack,
                                                        .visible = control_visible};
    control->loop = loop;
    control->delta = delta_server_new(loop, control->visible == NULL ? &ALL : &FILTERED, control);
    control->xds = xds_server_new(loop, control->delta, NULL);
    struct address address;
    if (at != NULL)
        address = *at;
    else
        assert_true(address_parse(TEXT("127.0.0.1"), 0, &address));
    assert_null(xds_server_listen(control->xds, &address, NULL));
    control->address = *xds_server_address(control->xds, 0);
}

static inline void control_stop(struct control *control)
{
    xds_server_free(control->xds);
    delta_server_free(control->delta);
    control->xds = NULL;
    control->delta = NULL;
    settle(control->loop);
}

static inline struct delta_edit edit_of(enum resource_type type, const char *name,
                                        const char *bytes)
{
    return (struct delta_edit){
        .type = type, .name = text_of(name), .bytes = text_of(bytes), .removed = bytes == NULL};
}

static inline void control_put(struct control *control, uint64_t revision, enum resource_type type,
                               const char *name, const char *bytes)
{
    struct delta_edit edit = edit_of(type, name, bytes);
    struct snapshot_version version = version_at(1, revision);
    delta_server_publish(control->delta, &edit, 1, &version);
}

/* Routes "route-<from>" .. "route-<to - 1>", each of about 200 bytes. */
static inline void control_put_routes(struct control *control, uint64_t revision, int from, int to,
                                      const char *content)
{
    size_t count = (size_t)(to - from);
    struct delta_edit *edits = memory_alloc((count + 1) * sizeof(*edits));
    struct arena arena;
    arena_init(&arena, 1u << 20);
    for (size_t i = 0; i < count; i++) {
        edits[i].type = RESOURCE_ROUTE;
        edits[i].name = arena_printf(&arena, "route-%d", from + (int)i);
        edits[i].bytes = arena_printf(&arena, "%s %d %0180d", content, from + (int)i, 0);
    }
    struct snapshot_version version = version_at(1, revision);
    delta_server_publish(control->delta, edits, count, &version);
    arena_fini(&arena);
    free(edits);
}
