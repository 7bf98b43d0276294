/* A raw end of a stream, of either kind, that says exactly what a test wants and keeps what it
 * hears. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "harness.h"

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest Request;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryResponse Response;
typedef Envoy__Service__Discovery__V3__Resource Resource;

/* -- raw ends: one call, its messages kept -- */

struct raw {
    struct loop *loop;
    struct grpc_call *call;
    struct builder messages[64]; /* as they came */
    int count, ends;
    enum grpc_status status;
    char words[200];
};

static inline void raw_on_message(void *owner, struct grpc_call *call, struct text message)
{
    struct raw *raw = owner;
    (void)call;
    assert_true(raw->count < 64);
    builder_clear(&raw->messages[raw->count]);
    builder_add(&raw->messages[raw->count++], message);
}

static inline void raw_on_end(void *owner, struct grpc_call *call, enum grpc_status status,
                              struct text text)
{
    struct raw *raw = owner;
    (void)call;
    raw->call = NULL;
    raw->ends++;
    raw->status = status;
    copy_words(raw->words, sizeof(raw->words), text);
}

static inline const struct grpc_events *raw_events(void)
{
    static const struct grpc_events EVENTS = {.on_message = raw_on_message, .on_end = raw_on_end};
    return &EVENTS;
}

static inline void raw_clear(struct raw *raw)
{
    for (size_t i = 0; i < ARRAY_LEN(raw->messages); i++)
        builder_fini(&raw->messages[i]);
    raw->count = 0;
}

static inline Request *raw_request(struct raw *raw, int at, struct arena *arena)
{
    void *message;
    assert_true(at < raw->count);
    assert_int_equal(
        schema_unpack(&envoy__service__discovery__v3__delta_discovery_request__descriptor,
                      builder_text(&raw->messages[at]), arena, &message),
        ERR_NONE);
    return message;
}

static inline Response *raw_response(struct raw *raw, int at, struct arena *arena)
{
    void *message;
    assert_true(at < raw->count);
    assert_int_equal(
        schema_unpack(&envoy__service__discovery__v3__delta_discovery_response__descriptor,
                      builder_text(&raw->messages[at]), arena, &message),
        ERR_NONE);
    return message;
}

static inline void raw_send(struct raw *raw, const void *message)
{
    struct arena arena;
    arena_init(&arena, 0);
    assert_non_null(raw->call);
    assert_int_equal(grpc_send(raw->call, schema_pack(message, &arena), 0), ERR_NONE);
    arena_fini(&arena);
}
