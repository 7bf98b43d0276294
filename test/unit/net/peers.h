/* Two ends of a connection in one loop, for tests of streams: each collects what it hears. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/random.h"
#include "net/listener.h"
#include "net/stream.h"
#include "net/tls.h"
#include "test.h"

#define TEST_DEADLINE_MS 20000

struct test_peer {
    struct stream stream;
    uint32_t events; /* all told so far */
    struct buffer in, out;
    uint64_t read_bytes, written_bytes;
    uint64_t to_write;      /* pattern bytes still to be made */
    struct random expected; /* what comes in must be the pattern, if checked */
    struct random pattern;
    bool checks, paused, ended;
    size_t read_max; /* bytes per STREAM_READABLE before a pause; 0: all */
    bool end_when_written, failed_write;
    enum err read_err;
    struct tls_certificate *certificate; /* tls_pick's answer */
    struct text picked;
    char picked_name[256];
    uint32_t picks;
};

struct test_pair {
    struct loop *loop;
    struct listener listener;
    struct test_peer server, client;
    struct tls_context *server_tls;
    struct address address;
    bool accepted;
};

static inline void test_peer_write(struct test_peer *peer)
{
    for (;;) {
        while (peer->to_write > 0 && buffer_len(&peer->out) < 100000) {
            size_t count = (size_t)MIN(peer->to_write, 8);
            uint64_t word = random_next(&peer->pattern);
            buffer_add(&peer->out, &word, count);
            peer->to_write -= count;
        }
        size_t before = buffer_len(&peer->out);
        enum err err = stream_write(&peer->stream, &peer->out);
        peer->written_bytes += before - buffer_len(&peer->out);
        peer->failed_write |= err != ERR_NONE && err != ERR_AGAIN;
        if (err != ERR_NONE)
            return;
        if (buffer_len(&peer->out) == 0 && peer->to_write == 0)
            break;
    }
    if (peer->end_when_written) {
        peer->end_when_written = false;
        stream_end_write(&peer->stream);
    }
}

static inline void test_peer_read(struct test_peer *peer)
{
    size_t quota = peer->read_max == 0 ? SIZE_MAX : peer->read_max;
    while (!peer->paused) {
        size_t before = buffer_len(&peer->in);
        enum err err = stream_read(&peer->stream, &peer->in, 4096);
        size_t got = buffer_len(&peer->in) - before;
        if (err != ERR_NONE) {
            assert_int_equal(got, 0);
            if (err != ERR_AGAIN)
                peer->read_err = err;
            peer->ended |= err == ERR_CLOSED;
            return;
        }
        peer->read_bytes += got;
        while (peer->checks && buffer_len(&peer->in) >= 8) {
            uint64_t word;
            memcpy(&word, buffer_text(&peer->in).data, 8);
            assert_int_equal(word, random_next(&peer->expected));
            buffer_consume(&peer->in, 8);
        }
        if (got >= quota) {
            stream_resume(&peer->stream);
            return;
        }
        quota -= got;
        if (got < 4096)
            return; /* a short read: an event follows */
    }
}

static inline void test_peer_on_event(void *owner, uint32_t events)
{
    struct test_peer *peer = owner;
    peer->events |= events;
    if (events & (STREAM_CONNECTED | STREAM_WRITABLE))
        test_peer_write(peer);
    if (events & STREAM_READABLE)
        test_peer_read(peer);
}

static inline void test_peer_init(struct test_peer *peer, struct loop *loop)
{
    *peer = (struct test_peer){0};
    peer->stream.owner = peer;
    peer->stream.on_event = test_peer_on_event;
    buffer_init(&peer->in, loop_buffers(loop));
    buffer_init(&peer->out, loop_buffers(loop));
}

static inline void test_pair_on_accept(void *owner, int fd, const struct address *peer)
{
    struct test_pair *pair = owner;
    assert_int_equal(stream_accept(&pair->server.stream, pair->loop, fd, peer, pair->server_tls),
                     ERR_NONE);
    pair->accepted = true;
}

static inline void test_pair_init(struct test_pair *pair)
{
    *pair = (struct test_pair){.loop = loop_new(NULL)};
    assert_non_null(pair->loop);
    struct address any;
    assert_true(address_parse_endpoint(TEXT("127.0.0.1:0"), &any));
    int fd = listener_open(&any, true);
    assert_true(fd >= 0);
    pair->address = listener_local(fd);
    pair->listener.owner = pair;
    pair->listener.on_accept = test_pair_on_accept;
    assert_true(listener_start(&pair->listener, pair->loop, fd));
    test_peer_init(&pair->server, pair->loop);
    test_peer_init(&pair->client, pair->loop);
}

static inline void test_pair_fini(struct test_pair *pair)
{
    stream_close(&pair->server.stream);
    stream_close(&pair->client.stream);
    listener_close(&pair->listener);
    buffer_fini(&pair->server.in);
    buffer_fini(&pair->server.out);
    buffer_fini(&pair->client.in);
    buffer_fini(&pair->client.out);
    assert_int_equal(loop_buffers(pair->loop)->lent_bytes, 0);
    loop_free(pair->loop);
}

/* Turns the loop until the condition holds; fails after the deadline. */
#define test_until(loop, condition)                                                                \
    do {                                                                                           \
        uint64_t began_ms = loop_now_ms(loop);                                                     \
        while (!(condition)) {                                                                     \
            if (loop_now_ms(loop) - began_ms > TEST_DEADLINE_MS)                                   \
                fail_msg("not in time: %s", #condition);                                           \
            loop_turn(loop, 50);                                                                   \
        }                                                                                          \
    } while (0)

/* `bytes` (a multiple of 8) of one peer's pattern, to be checked by the other. */
static inline void test_send_pattern(struct test_peer *from, struct test_peer *to, uint64_t bytes,
                                     uint64_t seed)
{
    random_seed(&from->pattern, seed);
    random_seed(&to->expected, seed);
    to->checks = true;
    from->to_write = bytes;
}
