/* A gRPC server and a channel of ours in one loop, over loopback or a Unix socket. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "grpc/methods.h"

/* ---- both ends ---- */

static inline bool test_on_connect(void *owner, struct http_connection *connection)
{
    struct test_rig *rig = owner;
    (void)connection;
    rig->asked++;
    return rig->allow;
}

static const struct grpc_server_events TEST_SERVER = {.on_connect = test_on_connect};

static inline void test_on_accept(void *owner, int fd, const struct address *peer)
{
    struct test_rig *rig = owner;
    grpc_server_accept(rig->server, fd, peer, NULL);
}

static inline void test_on_ready(void *owner, struct grpc_channel *channel)
{
    (void)channel;
    ((struct test_rig *)owner)->ready = true;
}

static inline void test_on_closed(void *owner, struct grpc_channel *channel, const char *why)
{
    (void)channel;
    assert_non_null(why);
    ((struct test_rig *)owner)->closed = true;
}

static const struct grpc_channel_events TEST_CHANNEL = {.on_ready = test_on_ready,
                                                        .on_closed = test_on_closed};

/* Turns until `done`, or fails. */
#define TEST_UNTIL(rig, done)                                                                      \
    do {                                                                                           \
        uint64_t deadline_ms = loop_now_ms((rig)->loop) + TEST_DEADLINE_MS;                        \
        while (!(done)) {                                                                          \
            if (loop_now_ms((rig)->loop) > deadline_ms)                                            \
                fail_msg("waited in vain for %s", #done);                                          \
            loop_turn((rig)->loop, 100);                                                           \
        }                                                                                          \
    } while (0)

static inline struct test_rig *test_rig_new(bool local)
{
    struct test_rig *rig = calloc(1, sizeof(*rig));
    struct address any;
    snprintf(rig->path, sizeof(rig->path), "unix:/tmp/nantian-grpc-test-%d.sock", getpid());
    assert_true(address_parse_endpoint(local ? text_of(rig->path) : TEXT("127.0.0.1:0"), &any));
    rig->loop = loop_new(NULL);
    rig->allow = true;
    int fd = listener_open(&any, false);
    assert_true(fd >= 0);
    rig->address = local ? any : listener_local(fd);
    rig->listener.owner = rig;
    rig->listener.on_accept = test_on_accept;
    assert_true(listener_start(&rig->listener, rig->loop, fd));
    rig->server =
        grpc_server_new(rig->loop, TEST_METHODS, ARRAY_LEN(TEST_METHODS), &TEST_SERVER, rig);
    rig->channel = grpc_channel_open(rig->loop, &rig->address, NULL, TEXT_NONE, TEXT("test"),
                                     &TEST_CHANNEL, rig);
    TEST_UNTIL(rig, rig->ready);
    return rig;
}

static inline void test_rig_free(struct test_rig *rig)
{
    grpc_channel_free(rig->channel);
    grpc_server_free(rig->server);
    listener_close(&rig->listener);
    for (int i = 0; i < 3; i++)
        loop_turn(rig->loop, 0);
    loop_free(rig->loop);
    unlink(rig->path + 5);
    free(rig);
}

static inline struct test_call *test_start(struct test_rig *rig, const char *method)
{
    struct test_call *test = &rig->client[rig->client_count++ % TEST_CALLS];
    *test = (struct test_call){.rig = rig};
    test->call = grpc_start(rig->channel, method, &TEST_CLIENT, test);
    assert_non_null(test->call);
    return test;
}

static inline void test_send(struct test_call *test, const char *text)
{
    assert_int_equal(grpc_send(test->call, text_of(text), 0), ERR_NONE);
}
