/* A list of held calls; a ticket names one for as long as it lives. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/guard.h"

#include <stdlib.h>

#include "base/memory.h"
#include "xds/link.h"

#define HELD_MAX 256 /* anybody may speak who has not been judged yet: a window for each */

struct held {
    struct held *next, **at;
    struct guard *guard;
    uint64_t ticket;
    struct grpc_call *call;
    void (*take)(void *owner, struct grpc_call *call);
    void *owner;
};

struct guard {
    guard_ask ask;
    void *owner;
    struct held *first;
    uint64_t last_ticket;
    size_t count;
};

static void free_held(struct held *held)
{
    *held->at = held->next;
    if (held->next != NULL)
        held->next->at = held->at;
    held->guard->count--;
    free(held);
}

static void refuse(struct held *held, enum grpc_status status, const char *why)
{
    struct grpc_call *call = held->call;
    free_held(held);
    link_end_call(call, status, why);
}

static void on_message(void *owner, struct grpc_call *call, struct text message)
{
    (void)owner;
    (void)call;
    (void)message; /* none comes: it is held */
}

static void on_end(void *owner, struct grpc_call *call, enum grpc_status status, struct text text)
{
    (void)call;
    (void)status;
    (void)text;
    free_held(owner);
}

void guard_hold(struct guard *guard, struct grpc_call *call,
                void (*take)(void *owner, struct grpc_call *call), void *owner)
{
    static const struct grpc_events EVENTS = {.on_message = on_message, .on_end = on_end};
    if (guard->count == HELD_MAX) {
        link_end_call(call, GRPC_UNAVAILABLE, "too many wait for a judgement: try again");
        return;
    }
    struct held *held = memory_new(struct held);
    held->guard = guard;
    held->ticket = ++guard->last_ticket;
    held->call = call;
    held->take = take;
    held->owner = owner;
    held->next = guard->first;
    held->at = &guard->first;
    if (guard->first != NULL)
        guard->first->at = &held->next;
    guard->first = held;
    guard->count++;
    call->events = &EVENTS;
    call->owner = held;
    grpc_hold(call);
    guard->ask(guard->owner, held->ticket, message_bearer(&call->stream->head));
}

static struct held *find(const struct guard *guard, uint64_t ticket)
{
    struct held *held = guard->first;
    while (held != NULL && held->ticket != ticket)
        held = held->next;
    return held;
}

void guard_answer(struct guard *guard, uint64_t ticket, struct text identity, const char *why)
{
    struct held *held = find(guard, ticket);
    if (held == NULL)
        return;
    if (identity.len == 0) {
        refuse(held, GRPC_UNAUTHENTICATED, why);
        return;
    }
    struct grpc_call *call = held->call;
    void (*take)(void *owner, struct grpc_call *call) = held->take;
    void *owner = held->owner;
    free_held(held);
    call->identity = arena_string(&call->stream->arena, identity);
    call->events = NULL; /* who takes it sets them, or finishes it */
    call->owner = NULL;
    take(owner, call);
    grpc_release(call);
}

struct guard *guard_new(guard_ask ask, void *owner)
{
    struct guard *guard = memory_new(struct guard);
    guard->ask = ask;
    guard->owner = owner;
    return guard;
}

void guard_free(struct guard *guard)
{
    if (guard == NULL)
        return;
    while (guard->first != NULL)
        refuse(guard->first, GRPC_UNAVAILABLE, "the control plane ends");
    free(guard);
}
