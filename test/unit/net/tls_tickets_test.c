/* Session tickets: how long a key is good, when the next one comes, and where a session is never
 * taken up. The client is the library itself, so that the test sees the tickets. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include "net/certificates.h"
#include "net/peers.h"

#define PERIOD_MS 1000000u
#define NAME_LEN  16 /* of a key: a ticket begins with it */

struct world {
    struct test_identity authority, others, server, user;
    struct tls_certificate *certificate;
    struct test_pair pair;
    struct tls_tickets *tickets;
    SSL_CTX *client;
    SSL_SESSION *newest; /* owns: what the last visit was given */
};

/* The clock of the loop, as far ahead as a test wants. */
static uint64_t (*real_now)(void *state);
static uint64_t ahead_ns;
static uint64_t now_ahead(void *state)
{
    return real_now(state) + ahead_ns;
}

static void pass(struct world *world, uint64_t ms)
{
    ahead_ns += ms * UINT64_C(1000000);
    loop_turn(world->pair.loop, 0);
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct world *world = SSL_get_app_data(ssl);
    SSL_SESSION_free(world->newest);
    world->newest = session;
    return 1; /* it is ours now */
}

static SSL_CTX *client_new(const struct test_identity *user)
{
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_use_certificate(client, user->certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(client, user->key), 1);
    SSL_CTX_set_verify(client, SSL_VERIFY_NONE, NULL);
    (void)SSL_CTX_set_session_cache_mode(client,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client, on_session);
    return client;
}

static int setup(void **state)
{
    struct world *world = memory_new(struct world);
    const char *why = NULL;
    world->authority = test_identity_new(NULL, "Authority", NULL, 10);
    world->others = test_identity_new(NULL, "Others", NULL, 10);
    world->server = test_identity_new(&world->authority, "server", "DNS:a.example", 5);
    world->user = test_identity_new(&world->authority, "user", "URI:spiffe://x/user", 5);
    world->certificate =
        tls_certificate_new(text_of(world->server.chain_pem), text_of(world->server.key_pem), &why);
    assert_non_null(world->certificate);
    test_pair_init(&world->pair);
    struct io *io = loop_io(world->pair.loop);
    ahead_ns = 0;
    real_now = io->now_ns;
    io->now_ns = now_ahead;
    world->tickets = tls_tickets_new(PERIOD_MS);
    world->client = client_new(&world->user);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    loop_io(world->pair.loop)->now_ns = real_now;
    SSL_SESSION_free(world->newest);
    SSL_CTX_free(world->client);
    test_pair_fini(&world->pair);
    tls_tickets_unref(world->tickets);
    tls_certificate_unref(world->certificate);
    test_identity_free(&world->authority);
    test_identity_free(&world->others);
    test_identity_free(&world->server);
    test_identity_free(&world->user);
    free(world);
    return 0;
}

/* What a listener asks of clients. */
enum demand { DEMAND_NONE, DEMAND_ANY, DEMAND_OURS, DEMAND_THEIRS, DEMANDS };

static struct tls_context *listener_of(struct world *world, enum demand demand)
{
    const char *why = NULL;
    const struct test_identity *from = demand == DEMAND_THEIRS ? &world->others : &world->authority;
    struct tls_server_options options = {
        .certificate = world->certificate,
        .client_ca_pem = demand == DEMAND_NONE ? TEXT_NONE : text_of(from->chain_pem),
        .client_certificate_required = demand == DEMAND_OURS,
        .tickets = world->tickets,
    };
    struct tls_context *made = tls_server_new(&options, &why);
    assert_non_null(made);
    return made;
}

static int connect_to(const struct address *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &address->any, address->len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* A whole connection, with the session of the one before if it is to be tried: until the client has
 * a new ticket and both are up. True if it was resumed. world->newest is the ticket then. */
static bool visit(struct world *world, struct tls_context *at, int version, SSL_SESSION *session)
{
    struct test_pair *pair = &world->pair;
    SSL *ssl = SSL_new(world->client);
    SSL_set_app_data(ssl, world);
    assert_int_equal(SSL_set_min_proto_version(ssl, (uint16_t)version), 1);
    assert_int_equal(SSL_set_max_proto_version(ssl, (uint16_t)version), 1);
    assert_int_equal(SSL_set_tlsext_host_name(ssl, "a.example"), 1);
    if (session != NULL)
        assert_int_equal(SSL_set_session(ssl, session), 1);
    pair->server_tls = at;
    pair->accepted = false;
    int fd = connect_to(&pair->address);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    test_until(pair->loop, pair->accepted);
    int done = 0;
    for (int i = 0; i < 10000 && (done != 1 || !pair->server.stream.connected); i++) {
        done = done == 1 ? 1 : SSL_connect(ssl);
        assert_false(pair->server.stream.failed);
        loop_turn(pair->loop, 1);
    }
    assert_int_equal(done, 1);
    char byte = 0; /* the tickets of TLS 1.3 come with the first of them */
    buffer_add(&pair->server.out, "x", 1);
    test_peer_write(&pair->server);
    for (int i = 0; i < 10000 && SSL_read(ssl, &byte, 1) != 1; i++)
        loop_turn(pair->loop, 1);
    assert_int_equal(byte, 'x');
    bool resumed = SSL_session_reused(ssl) != 0;
    stream_close(&pair->server.stream);
    SSL_set_quiet_shutdown(ssl, 1);
    (void)SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
    return resumed;
}

/* The session that the last visit was given; the caller frees. */
static SSL_SESSION *take(struct world *world)
{
    SSL_SESSION *session = world->newest;
    assert_non_null(session);
    world->newest = NULL;
    return session;
}

static void name_of(const SSL_SESSION *session, char out[NAME_LEN])
{
    const unsigned char *ticket;
    size_t len;
    SSL_SESSION_get0_ticket(session, &ticket, &len);
    assert_true(len > NAME_LEN);
    memcpy(out, ticket, NAME_LEN);
}

static const int VERSIONS[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void a_key_is_good_for_its_period_and_the_next(void **state)
{
    struct world *world = *state;
    struct tls_context *at = listener_of(world, DEMAND_NONE);
    for (size_t i = 0; i < ARRAY_LEN(VERSIONS); i++) {
        char first[NAME_LEN], second[NAME_LEN];
        assert_false(visit(world, at, VERSIONS[i], NULL));
        SSL_SESSION *old = take(world);
        name_of(old, first);
        pass(world, PERIOD_MS / 2);
        assert_true(visit(world, at, VERSIONS[i], old));
        pass(world, PERIOD_MS / 2 + 1);
        assert_true(visit(world, at, VERSIONS[i], old)); /* of the key before, and replaced */
        SSL_SESSION *fresh = take(world);
        name_of(fresh, second);
        assert_memory_not_equal(first, second, NAME_LEN);
        pass(world, PERIOD_MS);
        assert_false(visit(world, at, VERSIONS[i], old));  /* forgotten: a whole handshake */
        assert_true(visit(world, at, VERSIONS[i], fresh)); /* which is not renewed for ever: */
        pass(world, PERIOD_MS);
        assert_false(visit(world, at, VERSIONS[i], fresh));
        SSL_SESSION_free(old);
        SSL_SESSION_free(fresh);
    }
    tls_context_unref(at);
}

static void after_a_long_sleep_no_old_key_is_left(void **state)
{
    struct world *world = *state;
    struct tls_context *at = listener_of(world, DEMAND_NONE);
    assert_false(visit(world, at, TLS1_3_VERSION, NULL));
    SSL_SESSION *old = take(world);
    pass(world, PERIOD_MS * 1000);
    assert_false(visit(world, at, TLS1_3_VERSION, old));
    SSL_SESSION *fresh = take(world);
    assert_true(visit(world, at, TLS1_3_VERSION, fresh));
    SSL_SESSION_free(old);
    SSL_SESSION_free(fresh);
    tls_context_unref(at);
}

static void a_loop_whose_clock_is_a_little_behind_changes_no_key(void **state)
{
    struct world *world = *state;
    struct tls_context *at = listener_of(world, DEMAND_NONE);
    char first[NAME_LEN], second[NAME_LEN];
    pass(world, PERIOD_MS);
    assert_false(visit(world, at, TLS1_3_VERSION, NULL));
    name_of(world->newest, first);
    ahead_ns -= (PERIOD_MS / 2) * UINT64_C(1000000);
    struct world other = {.client = world->client}; /* another worker */
    test_pair_init(&other.pair);
    assert_false(visit(&other, at, TLS1_3_VERSION, NULL));
    name_of(other.newest, second);
    assert_memory_equal(first, second, NAME_LEN);
    test_pair_fini(&other.pair);
    SSL_SESSION_free(other.newest);
    tls_context_unref(at);
}

static void no_session_is_taken_up_under_other_rules_for_clients(void **state)
{
    struct world *world = *state;
    for (size_t v = 0; v < ARRAY_LEN(VERSIONS); v++) {
        for (int from = 0; from < DEMANDS; from++) {
            for (int to = 0; to < DEMANDS; to++) {
                struct tls_context *giver = listener_of(world, (enum demand)from);
                struct tls_context *taker = listener_of(world, (enum demand)to);
                assert_false(visit(world, giver, VERSIONS[v], NULL));
                SSL_SESSION *session = take(world);
                /* Nobody becomes somebody by resuming: the user is no client of the others'. */
                bool expected = from == to && from != DEMAND_THEIRS;
                assert_int_equal(visit(world, taker, VERSIONS[v], session), expected);
                SSL_SESSION_free(session);
                tls_context_unref(giver);
                tls_context_unref(taker);
            }
        }
    }
}

static void another_process_has_other_keys(void **state)
{
    struct world *world = *state;
    struct tls_context *at = listener_of(world, DEMAND_NONE);
    assert_false(visit(world, at, TLS1_3_VERSION, NULL));
    SSL_SESSION *session = take(world);
    tls_context_unref(at);
    tls_tickets_unref(world->tickets);
    world->tickets = tls_tickets_new(PERIOD_MS);
    at = listener_of(world, DEMAND_NONE);
    assert_false(visit(world, at, TLS1_3_VERSION, session));
    SSL_SESSION_free(session);
    tls_context_unref(at);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(a_key_is_good_for_its_period_and_the_next),
        WORLD(after_a_long_sleep_no_old_key_is_left),
        WORLD(a_loop_whose_clock_is_a_little_behind_changes_no_key),
        WORLD(no_session_is_taken_up_under_other_rules_for_clients),
        WORLD(another_process_has_other_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
