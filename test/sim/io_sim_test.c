/* Streams on the simulated kernel: with faults of every kind, bytes arrive whole or not at all, and
 * nothing hangs or leaks. Each seed is a run of its own. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "net/certificates.h"
#include "net/peers.h"
#include "sim/io_sim.h"

enum { PAIRS = 8, SEEDS = 60, BYTES = 200000 };

struct link {
    struct test_peer client, server;
};

struct run {
    struct io *io;
    struct loop *loop;
    struct listener listener;
    struct address address;
    struct link links[PAIRS];
    uint32_t accepted;
    struct tls_context *server_tls, *client_tls;
    struct tls_certificate *certificate;
};

static void on_accept(void *owner, int fd, const struct address *peer)
{
    struct run *run = owner;
    struct test_peer *server = &run->links[run->accepted++].server;
    server->certificate = run->certificate;
    assert_int_equal(stream_accept(&server->stream, run->loop, fd, peer, run->server_tls),
                     ERR_NONE);
    /* All send the same, so it does not matter which client this is. */
    test_send_pattern(server, server, BYTES, 5);
    server->end_when_written = true;
}

static void run_init(struct run *run, const struct io_sim_options *options)
{
    *run = (struct run){.io = io_sim_new(options)};
    run->loop = loop_new(run->io);
    assert_true(address_parse_endpoint(TEXT("192.0.2.1:80"), &run->address));
    int fd = io_sim_listen(run->io, &run->address.any, run->address.len);
    assert_true(fd >= 0);
    assert_int_equal(io_sim_listen(run->io, &run->address.any, run->address.len), -1);
    run->listener = (struct listener){.owner = run, .on_accept = on_accept};
    run->listener.address = run->address;
    assert_true(listener_start(&run->listener, run->loop, fd));
    for (size_t i = 0; i < PAIRS; i++) {
        test_peer_init(&run->links[i].client, run->loop);
        test_peer_init(&run->links[i].server, run->loop);
    }
}

static void connect_all(struct run *run)
{
    for (size_t i = 0; i < PAIRS; i++) {
        struct test_peer *client = &run->links[i].client;
        test_send_pattern(client, client, BYTES, 5);
        client->end_when_written = true;
        assert_int_equal(stream_connect(&client->stream, run->loop, &run->address, run->client_tls,
                                        TEXT("a.example"), 1000),
                         ERR_NONE);
    }
}

static bool is_over(const struct test_peer *peer)
{
    return peer->stream.loop == NULL || peer->stream.failed || peer->ended ||
           peer->read_err != ERR_NONE || peer->failed_write;
}

/* A peer that is broken leaves, as its owner would. */
static bool all_over(struct run *run)
{
    bool over = true;
    for (size_t i = 0; i < PAIRS; i++) {
        struct link *link = &run->links[i];
        bool client = is_over(&link->client);
        bool server = i >= run->accepted || is_over(&link->server);
        if (link->client.stream.failed || link->client.failed_write)
            stream_close(&link->client.stream);
        if (link->server.failed_write)
            stream_close(&link->server.stream);
        over = over && client && server;
    }
    return over;
}

static void run_fini(struct run *run)
{
    for (size_t i = 0; i < PAIRS; i++) {
        struct test_peer *peers[] = {&run->links[i].client, &run->links[i].server};
        for (size_t j = 0; j < 2; j++) {
            stream_close(&peers[j]->stream);
            buffer_fini(&peers[j]->in);
            buffer_fini(&peers[j]->out);
        }
    }
    listener_close(&run->listener);
    assert_int_equal(io_sim_open_sockets(run->io), 0);
    assert_int_equal(loop_buffers(run->loop)->lent_bytes, 0);
    loop_free(run->loop);
    io_sim_free(run->io);
}

static void check_seed(uint64_t seed, struct tls_context *server, struct tls_context *client,
                       struct tls_certificate *certificate)
{
    struct run run;
    const struct io_sim_options options = {.seed = seed,
                                           .delay_us_max = 5000,
                                           .short_chance = 200,
                                           .again_chance = 100,
                                           .accept_chance = 100,
                                           .capacity = 20000};
    run_init(&run, &options);
    run.server_tls = server;
    run.client_tls = client;
    run.certificate = certificate;
    for (size_t i = 0; i < PAIRS; i++)
        run.links[i].client.read_max = 1 + seed * 50 * i;
    connect_all(&run);
    uint64_t turns = 0;
    while (!all_over(&run) || run.accepted < PAIRS) {
        loop_turn(run.loop, -1);
        assert_true(++turns < 1000000);
        assert_int_equal(io_sim_counts(run.io)->stalls, 0);
    }
    for (size_t i = 0; i < PAIRS; i++) {
        assert_true(run.links[i].client.ended && run.links[i].server.ended);
        assert_int_equal(run.links[i].client.read_bytes, BYTES);
        assert_int_equal(run.links[i].server.read_bytes, BYTES);
    }
    assert_true(io_sim_counts(run.io)->shorts > 0);
    run_fini(&run);
}

static void without_resets_everything_arrives_whole(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        check_seed(seed, NULL, NULL, NULL);
}

static struct tls_certificate *pick(void *owner, const struct tls_hello *hello,
                                    struct tls_context **ret_rules)
{
    (void)hello, (void)ret_rules;
    return ((struct test_peer *)owner)->certificate;
}

static struct tls_certificate *certificate_of(const struct test_identity *identity)
{
    const char *why;
    return tls_certificate_new(text_of(identity->chain_pem), text_of(identity->key_pem), &why);
}

static void under_tls_everything_arrives_whole(void **state)
{
    (void)state;
    struct test_identity authority = test_identity_new(NULL, "Authority", NULL, 10);
    struct test_identity identity = test_identity_new(&authority, "a", "DNS:a.example", 10);
    struct tls_certificate *certificate = certificate_of(&identity);
    assert_non_null(certificate);
    struct tls_tickets *tickets = tls_tickets_new(LIMIT_TICKET_KEY_MS);
    const struct tls_server_options serving = {.pick = pick, .tickets = tickets};
    const struct tls_client_options calling = {.ca_pem = text_of(authority.chain_pem)};
    const char *why;
    struct tls_context *server = tls_server_new(&serving, &why);
    struct tls_context *client = tls_client_new(&calling, &why);
    for (uint64_t seed = 1; seed <= SEEDS / 4; seed++)
        check_seed(seed, server, client, certificate);
    tls_context_unref(server);
    tls_context_unref(client);
    tls_tickets_unref(tickets);
    tls_certificate_unref(certificate);
    test_identity_free(&identity);
    test_identity_free(&authority);
}

static void with_resets_nothing_hangs_or_leaks(void **state)
{
    (void)state;
    uint64_t whole = 0, failed = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct run run;
        const struct io_sim_options options = {.seed = seed,
                                               .delay_us_max = 5000,
                                               .short_chance = 100,
                                               .again_chance = 100,
                                               .reset_chance = 2,
                                               .refuse_chance = 50,
                                               .hang_chance = 50};
        run_init(&run, &options);
        connect_all(&run);
        uint64_t turns = 0;
        while (!all_over(&run)) {
            loop_turn(run.loop, -1);
            assert_true(++turns < 1000000);
        }
        for (size_t i = 0; i < PAIRS; i++) {
            struct test_peer *client = &run.links[i].client;
            whole += client->ended && client->read_bytes == BYTES;
            failed +=
                client->stream.failed || client->read_err == ERR_SYSTEM || client->failed_write;
            assert_false(client->ended && client->read_bytes != BYTES); /* an end is no cut */
        }
        run_fini(&run);
    }
    assert_true(whole > 0 && failed > 0);
}

static void the_same_seed_gives_the_same_run(void **state)
{
    (void)state;
    struct io_sim_counts counts[2];
    for (size_t round = 0; round < 2; round++) {
        struct run run;
        const struct io_sim_options options = {
            .seed = 42, .delay_us_max = 900, .short_chance = 300, .again_chance = 300};
        run_init(&run, &options);
        connect_all(&run);
        while (!all_over(&run) || run.accepted < PAIRS)
            loop_turn(run.loop, -1);
        counts[round] = *io_sim_counts(run.io);
        run_fini(&run);
    }
    assert_memory_equal(&counts[0], &counts[1], sizeof(counts[0]));
}

static void hours_pass_in_no_time(void **state)
{
    (void)state;
    struct run run;
    const struct io_sim_options options = {.seed = 1, .hang_chance = 1000};
    run_init(&run, &options);
    struct test_peer *client = &run.links[0].client;
    assert_int_equal(
        stream_connect(&client->stream, run.loop, &run.address, NULL, TEXT_NONE, 3 * 3600 * 1000),
        ERR_NONE);
    uint64_t began = loop_now_ms(run.loop);
    while (client->events == 0)
        loop_turn(run.loop, -1);
    assert_int_equal(client->events, STREAM_FAILED);
    assert_int_equal(client->stream.err, ERR_TIMEOUT);
    uint64_t took = loop_now_ms(run.loop) - began;
    assert_true(took >= 3 * 3600 * 1000 && took < 3 * 3600 * 1000 + 10);
    run_fini(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_resets_everything_arrives_whole),
        cmocka_unit_test(under_tls_everything_arrives_whole),
        cmocka_unit_test(with_resets_nothing_hangs_or_leaks),
        cmocka_unit_test(the_same_seed_gives_the_same_run),
        cmocka_unit_test(hours_pass_in_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
