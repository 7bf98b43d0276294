/* One way of bytes, from a socket to a socket: through the kernel and through a buffer. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "data/proxy/relay.h"
#include "net/peers.h"
#include "net/tls_make.h"
#include "test.h"

#define BIG (4u << 20)

/* What the test holds (near) and what the relay has (far) of each side. */
struct world {
    struct loop *loop;
    struct splice_pool pool;
    struct stream from, to;
    int near_from, near_to;
    struct relay relay;
};

static void on_event(void *owner, uint32_t events)
{
    (void)events;
    struct world *world = owner;
    if (world->from.connected && world->to.connected)
        relay_move(&world->relay);
}

static int open_side(struct world *world, struct stream *stream)
{
    int ends[2];
    struct address nobody = {.len = 0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    stream->owner = world;
    stream->on_event = on_event;
    assert_int_equal(stream_accept(stream, world->loop, ends[1], &nobody, NULL), ERR_NONE);
    return ends[0];
}

static int setup(void **state)
{
    struct world *world = memory_new(struct world);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    assert_int_equal(sigaction(SIGPIPE, &ignore, NULL), 0);
    world->loop = loop_new(NULL);
    world->near_from = open_side(world, &world->from);
    world->near_to = open_side(world, &world->to);
    relay_init(&world->relay, &world->from, &world->to, &world->pool);
    while (!world->from.connected || !world->to.connected)
        loop_turn(world->loop, 10);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    relay_fini(&world->relay);
    stream_close(&world->from);
    stream_close(&world->to);
    if (world->near_from >= 0)
        close(world->near_from);
    if (world->near_to >= 0)
        close(world->near_to);
    splice_pool_fini(&world->pool);
    assert_int_equal(loop_buffers(world->loop)->lent_bytes, 0);
    loop_free(world->loop);
    free(world);
    return 0;
}

static void turns(struct world *world, int count)
{
    while (count-- > 0)
        loop_turn(world->loop, 0);
}

/* Sends all of `size`, then the end, while reading; each byte is known by its place. */
static void pass(struct world *world, size_t size)
{
    char *block = memory_alloc(65536);
    size_t sent = 0, got = 0;
    ssize_t moved;
    bool ended = false;
    for (int idle = 0; !ended && idle < 100000; idle++) {
        for (size_t i = 0; i < 65536; i++)
            block[i] = (char)((sent + i) % 251);
        moved = sent < size
                    ? send(world->near_from, block, MIN(size - sent, (size_t)65536), MSG_NOSIGNAL)
                    : 0;
        sent += moved > 0 ? (size_t)moved : 0;
        if (sent == size)
            (void)shutdown(world->near_from, SHUT_WR);
        loop_turn(world->loop, 0);
        moved = recv(world->near_to, block, 65536, 0);
        for (ssize_t i = 0; i < moved; i++)
            assert_int_equal((uint8_t)block[i], (got + (size_t)i) % 251);
        got += moved > 0 ? (size_t)moved : 0;
        ended = moved == 0;
    }
    free(block);
    assert_true(ended);
    assert_int_equal(got, size);
    assert_int_equal(world->relay.moved, size);
    assert_true(world->relay.done && !world->relay.broken && !world->relay.lost);
}

static void everything_passes_through_the_kernel_and_then_the_end(void **state)
{
    struct world *world = *state;
    pass(world, BIG);
    assert_int_equal(world->pool.count, 1); /* its pipe waits for the next */
}

static void without_pipes_it_passes_through_a_buffer(void **state)
{
    struct world *world = *state;
    loop_io(world->loop)->splice = NULL;
    pass(world, BIG);
    assert_int_equal(world->pool.count, 0);
}

static void what_was_read_before_goes_first(void **state)
{
    struct world *world = *state;
    char got[32];
    buffer_add(&world->relay.bytes, "first ", 6);
    assert_int_equal(send(world->near_from, "then", 4, 0), 4);
    turns(world, 5);
    assert_int_equal(recv(world->near_to, got, sizeof(got), 0), 10);
    assert_memory_equal(got, "first then", 10);
}

static void a_sink_that_takes_nothing_stops_the_source(void **state)
{
    struct world *world = *state;
    char block[4096] = {0};
    size_t sent = 0;
    for (int still = 0; still < 50; still++) {
        ssize_t moved = send(world->near_from, block, sizeof(block), MSG_NOSIGNAL);
        if (moved > 0) {
            sent += (size_t)moved;
            still = 0;
        }
        turns(world, 1);
        assert_true(sent < 8u << 20);
    }
    assert_true(world->relay.pipe.held <= LIMIT_SPLICE);
    assert_true(buffer_len(&world->relay.bytes) <= LIMIT_BUFFER_BLOCK);
    assert_false(world->relay.done);
}

static void a_sink_that_is_gone_is_told_apart_from_an_end(void **state)
{
    struct world *world = *state;
    close(world->near_to);
    world->near_to = -1;
    turns(world, 5);
    assert_int_equal(send(world->near_from, "x", 1, 0), 1);
    turns(world, 5);
    assert_true(world->relay.lost && world->relay.done);
    assert_int_equal(world->relay.moved, 0);
}

/* -- a sink under TLS -- */

static struct tls_context *server_context(void)
{
    struct arena arena;
    struct tls_made authority, made;
    const char *why = NULL;
    arena_init(&arena, 0);
    assert_true(tls_make_authority("ca", 86400, &arena, &authority));
    assert_true(tls_make_certificate(TEXT("a.example"), 86400, &authority, &arena, &made));
    struct tls_certificate *certificate = tls_certificate_new(made.chain, made.key, &why);
    assert_non_null(certificate);
    struct tls_context *context =
        tls_server_new(&(struct tls_server_options){.certificate = certificate}, &why);
    assert_non_null(context);
    tls_certificate_unref(certificate);
    arena_fini(&arena);
    return context;
}

/* `world->to` becomes a TLS server's stream, and this its client, which reads nothing yet. */
static void put_under_tls(struct world *world, struct test_peer *client)
{
    int ends[2], small = 4608;
    const char *why = NULL;
    struct address nobody = {.len = 0};
    struct tls_context *serving = server_context();
    struct tls_context *calling =
        tls_client_new(&(struct tls_client_options){.insecure = true}, &why);
    assert_non_null(calling);
    stream_close(&world->to);
    close(world->near_to);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    world->near_to = -1;
    assert_int_equal(stream_accept(&world->to, world->loop, ends[1], &nobody, serving), ERR_NONE);
    test_peer_init(client, world->loop);
    client->paused = true;
    assert_int_equal(stream_accept(&client->stream, world->loop, ends[0], &nobody, calling),
                     ERR_NONE);
    test_until(world->loop, world->to.connected && client->stream.connected);
    tls_context_unref(serving);
    tls_context_unref(calling);
}

/* The owner closes both sides once nothing is to be done: what stands enciphered goes before. */
static void what_is_enciphered_reaches_a_slow_sink_and_then_the_end(void **state)
{
    struct world *world = *state;
    struct test_peer client;
    char block[4096] = {0};
    size_t sent = 0;
    put_under_tls(world, &client);
    while (!world->to.write_blocked) {
        ssize_t moved = send(world->near_from, block, sizeof(block), MSG_NOSIGNAL);
        sent += moved > 0 ? (size_t)moved : 0;
        turns(world, 2);
    }
    assert_int_equal(world->relay.moved, sent);
    assert_int_equal(shutdown(world->near_from, SHUT_WR), 0);
    turns(world, 20);
    assert_true(world->relay.ended && !world->relay.done);
    client.paused = false;
    stream_resume(&client.stream);
    test_until(world->loop, world->relay.done);
    stream_close(&world->to);
    test_until(world->loop, client.read_err != ERR_NONE || client.ended);
    assert_true(client.ended);
    assert_int_equal(client.read_err, ERR_CLOSED);
    assert_int_equal(client.read_bytes, sent);
    stream_close(&client.stream);
    buffer_fini(&client.in);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(everything_passes_through_the_kernel_and_then_the_end),
        WORLD(without_pipes_it_passes_through_a_buffer),
        WORLD(what_was_read_before_goes_first),
        WORLD(a_sink_that_takes_nothing_stops_the_source),
        WORLD(a_sink_that_is_gone_is_told_apart_from_an_end),
        WORLD(what_is_enciphered_reaches_a_slow_sink_and_then_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
