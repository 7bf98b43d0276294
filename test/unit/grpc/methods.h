/* The methods that rig.h serves, and what a call of a test counts. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/builder.h"
#include "base/limits.h"
#include "base/memory.h"
#include "grpc/grpc.h"
#include "net/listener.h"
#include "test.h"

#define TEST_DEADLINE_MS 20000
#define TEST_CALLS       64

struct test_call {
    struct grpc_call *call; /* NULL once ended */
    struct test_rig *rig;
    uint32_t messages, ended, sent_events;
    uint64_t bytes;
    uint32_t sum; /* of all bytes: order and content */
    enum grpc_status status;
    char text[256];
    size_t to_flood; /* serving: messages still to send, of `flood_size` */
    size_t flood_size;
    size_t queued_max;
    bool echo_paused;
};

struct test_rig {
    struct loop *loop;
    struct listener listener;
    struct address address;
    struct grpc_server *server;
    struct grpc_channel *channel;
    struct test_call client[TEST_CALLS], served[TEST_CALLS];
    size_t client_count, served_count;
    bool ready, closed, allow;
    uint32_t asked;
    char path[64];
};

static inline uint32_t test_sum(uint32_t sum, struct text bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        sum = sum * 31 + (unsigned char)bytes.data[i];
    return sum;
}

static inline void test_on_message(void *owner, struct grpc_call *call, struct text message)
{
    struct test_call *test = owner;
    assert_ptr_equal(test->call, call);
    test->messages++;
    test->bytes += message.len;
    test->sum = test_sum(test->sum, message);
}

static inline void test_on_end(void *owner, struct grpc_call *call, enum grpc_status status,
                               struct text text)
{
    struct test_call *test = owner;
    assert_ptr_equal(test->call, call);
    test->ended++;
    test->status = status;
    snprintf(test->text, sizeof(test->text), TEXT_FMT, TEXT_ARG(text));
    test->call = NULL;
}

static inline void test_on_sent(void *owner, struct grpc_call *call)
{
    (void)call;
    ((struct test_call *)owner)->sent_events++;
}

static const struct grpc_events TEST_CLIENT = {
    .on_message = test_on_message,
    .on_sent = test_on_sent,
    .on_end = test_on_end,
};

/* ---- the served methods ---- */

static inline void test_echo(void *owner, struct grpc_call *call, struct text message)
{
    test_on_message(owner, call, message);
    assert_int_equal(grpc_send(call, message, 0), ERR_NONE);
}

static inline void test_flood_on(struct test_call *test)
{
    char *bytes = memory_alloc(test->flood_size);
    for (size_t i = 0; i < test->flood_size; i++)
        bytes[i] = (char)(i * 7);
    while (test->to_flood > 0 && test->call->queued_bytes == 0) {
        test->to_flood--;
        test->sum = test_sum(test->sum, text_from(bytes, test->flood_size));
        assert_int_equal(grpc_send(test->call, text_from(bytes, test->flood_size), 1), ERR_NONE);
        test->queued_max = MAX(test->queued_max, test->call->queued_bytes);
    }
    free(bytes);
    if (test->to_flood == 0)
        grpc_finish(test->call, GRPC_OK, "");
}

static inline void test_flood_sent(void *owner, struct grpc_call *call)
{
    test_on_sent(owner, call);
    test_flood_on(owner);
}

/* "count size" in the message asks for so many messages. */
static inline void test_flood(void *owner, struct grpc_call *call, struct text message)
{
    struct test_call *test = owner;
    uint64_t count, size;
    struct text part;
    test_on_message(owner, call, message);
    assert_true(text_split(&message, ' ', &part) && text_to_u64(part, &count));
    assert_true(text_to_u64(message, &size));
    test->to_flood = (size_t)count;
    test->flood_size = (size_t)size;
    test->sum = 0;
    test_flood_on(test);
}

static inline void test_fail(void *owner, struct grpc_call *call, struct text message)
{
    test_on_message(owner, call, message);
    grpc_finish(call, GRPC_NOT_FOUND, " 100% \"gone\" \xc3\xbc\r\n");
}

static inline void test_half_close_ignored(void *owner, struct grpc_call *call)
{
    (void)owner;
    (void)call;
}

static const struct grpc_events TEST_ECHO = {.on_message = test_echo, .on_end = test_on_end};
static const struct grpc_events TEST_FAIL = {.on_message = test_fail, .on_end = test_on_end};
static const struct grpc_events TEST_SILENT = {
    .on_message = test_on_message, .on_half_close = test_half_close_ignored, .on_end = test_on_end};
static const struct grpc_events TEST_FLOOD = {.on_message = test_flood,
                                              .on_half_close = test_half_close_ignored,
                                              .on_sent = test_flood_sent,
                                              .on_end = test_on_end};

static inline void test_serve(void *owner, struct grpc_call *call, const struct grpc_events *events)
{
    struct test_rig *rig = owner;
    struct test_call *test = &rig->served[rig->served_count++ % TEST_CALLS];
    *test = (struct test_call){.rig = rig, .call = call};
    call->events = events;
    call->owner = test;
}

static inline void test_on_echo(void *owner, struct grpc_call *call)
{
    test_serve(owner, call, &TEST_ECHO);
}

static inline void test_on_fail(void *owner, struct grpc_call *call)
{
    test_serve(owner, call, &TEST_FAIL);
}

static inline void test_on_silent(void *owner, struct grpc_call *call)
{
    test_serve(owner, call, &TEST_SILENT);
}

static inline void test_on_flood(void *owner, struct grpc_call *call)
{
    test_serve(owner, call, &TEST_FLOOD);
}

static inline void test_on_reject(void *owner, struct grpc_call *call)
{
    (void)owner;
    grpc_finish(call, GRPC_INVALID_ARGUMENT, "no");
}

static const struct grpc_method TEST_METHODS[] = {
    {"/test.Echo/Echo", test_on_echo},     {"/test.Echo/Fail", test_on_fail},
    {"/test.Echo/Silent", test_on_silent}, {"/test.Echo/Flood", test_on_flood},
    {"/test.Echo/Reject", test_on_reject},
};
