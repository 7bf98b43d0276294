/* TLS streams over loopback: who is let in, what is told, and that bytes pass whole. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "net/certificates.h"
#include "net/peers.h"

static const char *const H2_FIRST[] = {"h2", "http/1.1", NULL};
static const char *const H1_ONLY[] = {"http/1.1", NULL};

struct world {
    struct test_identity authority, other_authority;
    struct test_identity server, expired, stranger, user;
    struct tls_certificate *certificate, *client_certificate;
    struct test_pair pair;
    struct tls_server_options server_options;
    struct tls_client_options client_options;
};

static struct tls_certificate *certificate_of(const struct test_identity *identity)
{
    const char *why = NULL;
    struct tls_certificate *certificate =
        tls_certificate_new(text_of(identity->chain_pem), text_of(identity->key_pem), &why);
    assert_null(why);
    assert_non_null(certificate);
    return certificate;
}

static struct tls_certificate *pick(void *owner, const struct tls_hello *hello,
                                    struct tls_context **ret_rules)
{
    (void)ret_rules;
    struct text server_name = hello->server_name;
    struct test_peer *peer = owner;
    peer->picks++;
    assert_true(server_name.len < sizeof(peer->picked_name));
    memcpy(peer->picked_name, server_name.data, server_name.len + 1);
    return text_starts_with(server_name, TEXT("unknown")) ? NULL : peer->certificate;
}

static int setup(void **state)
{
    struct world *world = memory_new(struct world);
    world->authority = test_identity_new(NULL, "Authority", NULL, 10);
    world->other_authority = test_identity_new(NULL, "Other", NULL, 10);
    world->server =
        test_identity_new(&world->authority, "server",
                          "DNS:a.example,DNS:*.wild.example,IP:127.0.0.1,URI:spiffe://x/web", 5);
    world->expired = test_identity_new(&world->authority, "expired", "DNS:a.example", -1);
    world->stranger = test_identity_new(&world->other_authority, "stranger", "DNS:a.example", 5);
    world->user = test_identity_new(&world->authority, "user", "URI:spiffe://x/user", 5);
    world->certificate = certificate_of(&world->server);
    world->client_certificate = certificate_of(&world->user);
    test_pair_init(&world->pair);
    world->server_options = (struct tls_server_options){.pick = pick, .alpn = H2_FIRST};
    world->client_options = (struct tls_client_options){
        .ca_pem = text_of(world->authority.chain_pem), .alpn = H2_FIRST};
    world->pair.server.certificate = world->certificate;
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    test_pair_fini(&world->pair);
    tls_context_unref(world->pair.server_tls);
    tls_certificate_unref(world->certificate);
    tls_certificate_unref(world->client_certificate);
    test_identity_free(&world->authority);
    test_identity_free(&world->other_authority);
    test_identity_free(&world->server);
    test_identity_free(&world->expired);
    test_identity_free(&world->stranger);
    test_identity_free(&world->user);
    free(world);
    return 0;
}

static void start(struct world *world, const char *server_name)
{
    const char *why = NULL;
    world->pair.server_tls = tls_server_new(&world->server_options, &why);
    assert_null(why);
    struct tls_context *client = tls_client_new(&world->client_options, &why);
    assert_null(why);
    assert_int_equal(stream_connect(&world->pair.client.stream, world->pair.loop,
                                    &world->pair.address, client, text_of(server_name), 5000),
                     ERR_NONE);
    tls_context_unref(client); /* the session holds it */
}

static void finish(struct world *world)
{
    struct test_pair *pair = &world->pair;
    test_until(pair->loop, pair->client.stream.failed ||
                               (pair->client.stream.connected && pair->server.stream.connected));
}

static void the_handshake_tells_names_and_protocols(void **state)
{
    struct world *world = *state;
    struct test_pair *pair = &world->pair;
    start(world, "A.Example");
    finish(world);
    assert_true((pair->client.events & STREAM_CONNECTED) != 0);
    assert_string_equal(pair->server.picked_name, "a.example");
    assert_int_equal(pair->server.picks, 1);
    assert_true(text_is(stream_server_name(&pair->server.stream), "a.example"));
    assert_true(text_is(stream_alpn(&pair->server.stream), "h2"));
    assert_true(text_is(stream_alpn(&pair->client.stream), "h2"));
    assert_string_equal(stream_tls_version(&pair->client.stream), "TLSv1.3");
    assert_true(text_is(stream_peer_certificate_name(&pair->client.stream), "a.example"));
    assert_int_equal(stream_peer_certificate_name(&pair->server.stream).len, 0);
    assert_false(timer_is_armed(&pair->server.stream.timer));
    assert_true(text_starts_with(text_of(tls_library()), TEXT("AWS-LC")) ||
                text_starts_with(text_of(tls_library()), TEXT("OpenSSL")));
}

static void much_data_passes_both_ways_under_back_pressure(void **state)
{
    struct world *world = *state;
    struct test_pair *pair = &world->pair;
    enum { BYTES = 8 << 20 };
    test_send_pattern(&pair->client, &pair->server, BYTES, 1);
    test_send_pattern(&pair->server, &pair->client, BYTES, 2);
    pair->client.read_max = 5000;
    pair->server.read_max = 50000;
    pair->client.paused = true;
    start(world, "a.example");
    finish(world);
    test_until(pair->loop, pair->server.stream.write_blocked);
    assert_true(pair->server.written_bytes < BYTES);
    pair->client.paused = false;
    stream_resume(&pair->client.stream);
    test_until(pair->loop, pair->client.read_bytes == BYTES && pair->server.read_bytes == BYTES);
    assert_false(pair->client.failed_write || pair->server.failed_write);
}

static void a_half_closed_stream_still_answers(void **state)
{
    struct world *world = *state;
    struct test_pair *pair = &world->pair;
    test_send_pattern(&pair->client, &pair->server, 800000, 3);
    pair->client.end_when_written = true;
    start(world, "a.example");
    test_until(pair->loop, pair->server.ended);
    assert_int_equal(pair->server.read_bytes, 800000);
    test_send_pattern(&pair->server, &pair->client, 1600000, 4);
    pair->server.end_when_written = true;
    test_peer_write(&pair->server);
    test_until(pair->loop, pair->client.ended);
    assert_int_equal(pair->client.read_bytes, 1600000);
}

/* The writer ends while its last records wait for the reader. */
static void an_end_behind_waiting_bytes_comes_last(void **state)
{
    struct world *world = *state;
    struct test_pair *pair = &world->pair;
    pair->server.paused = true;
    start(world, "a.example");
    finish(world);
    char block[32768] = {0};
    while (!pair->client.stream.write_blocked) {
        buffer_add(&pair->client.out, block, sizeof(block));
        pair->client.written_bytes += buffer_len(&pair->client.out);
        enum err err = stream_write(&pair->client.stream, &pair->client.out);
        assert_true(err == ERR_NONE || err == ERR_AGAIN);
        pair->client.written_bytes -= buffer_len(&pair->client.out);
    }
    stream_end_write(&pair->client.stream);
    pair->server.paused = false;
    stream_resume(&pair->server.stream);
    test_until(pair->loop, pair->server.ended);
    assert_int_equal(pair->server.read_bytes, pair->client.written_bytes);
}

static void an_unknown_server_name_is_refused_with_its_alert(void **state)
{
    struct world *world = *state;
    struct test_pair *pair = &world->pair;
    start(world, "unknown.example");
    test_until(pair->loop, pair->client.stream.failed && pair->server.stream.failed);
    assert_int_equal(pair->server.stream.err, ERR_REFUSED);
    assert_string_equal(pair->server.stream.why, "tls: no certificate for the server name");
    assert_int_equal(pair->client.stream.err, ERR_REFUSED);
    assert_string_equal(pair->client.stream.why, "tls: the peer does not know the server name");
    assert_int_equal(pair->client.events, STREAM_FAILED);
}

static bool turn_away(void *owner, const struct address *peer)
{
    struct test_peer *server = owner;
    assert_true(address_client(peer).len > 0);
    server->picked_name[0]++; /* how often it was asked */
    return server->checks;
}

static void who_is_not_admitted_is_reset_before_anything_is_computed(void **state)
{
    struct world *world = *state;
    struct test_pair *pair = &world->pair;
    world->server_options.admit = turn_away;
    start(world, "a.example");
    test_until(pair->loop, pair->server.stream.failed);
    assert_int_equal(pair->server.stream.err, ERR_LIMIT);
    assert_string_equal(pair->server.stream.why, "tls: too many handshakes from this address");
    assert_int_equal(pair->server.picks, 0);
    assert_int_equal(pair->server.picked_name[0], 1);
    stream_close(&pair->server.stream);
    test_until(pair->loop, pair->client.stream.failed);
    assert_string_equal(pair->client.stream.why, "tls: reset by peer");
}

static void a_client_without_server_name_is_asked_about_as_empty(void **state)
{
    struct world *world = *state;
    struct test_pair *pair = &world->pair;
    start(world, "127.0.0.1"); /* an address is not sent, but verified */
    finish(world);
    assert_true(pair->client.stream.connected);
    assert_int_equal(pair->server.picks, 1);
    assert_string_equal(pair->server.picked_name, "");
}

static void client_fails(struct world *world, const char *server_name, enum err err,
                         const char *why)
{
    struct test_pair *pair = &world->pair;
    start(world, server_name);
    finish(world);
    assert_true(pair->client.stream.failed);
    assert_int_equal(pair->client.stream.err, err);
    assert_string_equal(pair->client.stream.why, why);
    test_until(pair->loop, pair->server.stream.failed);
}

static void another_name_is_refused(void **state)
{
    client_fails(*state, "b.example", ERR_REFUSED,
                 "tls: the peer's certificate is for another name");
}

static void a_subdomain_of_a_subdomain_is_another_name(void **state)
{
    client_fails(*state, "a.b.wild.example", ERR_REFUSED,
                 "tls: the peer's certificate is for another name");
}

static void the_common_name_proves_nothing(void **state)
{
    client_fails(*state, "server", ERR_REFUSED, "tls: the peer's certificate is for another name");
}

static void an_expired_certificate_is_refused(void **state)
{
    struct world *world = *state;
    tls_certificate_unref(world->certificate);
    world->certificate = certificate_of(&world->expired);
    world->pair.server.certificate = world->certificate;
    client_fails(world, "a.example", ERR_REFUSED, "tls: the peer's certificate has expired");
}

static void an_unknown_authority_is_refused(void **state)
{
    struct world *world = *state;
    tls_certificate_unref(world->certificate);
    world->certificate = certificate_of(&world->stranger);
    world->pair.server.certificate = world->certificate;
    client_fails(world, "a.example", ERR_REFUSED,
                 "tls: the peer's certificate is from an unknown authority");
    assert_int_equal(world->pair.server.stream.err, ERR_REFUSED); /* told by the alert */
}

static void no_protocol_in_common_is_refused(void **state)
{
    struct world *world = *state;
    static const char *const h3[] = {"h3", NULL};
    world->client_options.alpn = h3;
    client_fails(world, "a.example", ERR_REFUSED,
                 "tls: the peer speaks no protocol of ours (ALPN)");
}

static void one_of_several_names_is_enough(void **state)
{
    struct world *world = *state;
    const struct text names[] = {TEXT("b.example"), TEXT("spiffe://x/web")};
    world->client_options.names = names;
    world->client_options.name_count = 2;
    world->client_options.alpn = H1_ONLY;
    start(world, "sub.wild.example");
    finish(world);
    assert_true(world->pair.client.stream.connected);
    assert_true(text_is(stream_alpn(&world->pair.server.stream), "http/1.1"));
    assert_string_equal(world->pair.server.picked_name, "sub.wild.example");
}

static void none_of_several_names_is_not(void **state)
{
    struct world *world = *state;
    const struct text names[] = {TEXT("b.example"), TEXT("spiffe://x/we"), TEXT("")};
    world->client_options.names = names;
    world->client_options.name_count = 3;
    client_fails(world, "a.example", ERR_REFUSED,
                 "tls: the peer's certificate is for another name");
}

static void no_name_to_verify_is_refused_before_a_byte_is_sent(void **state)
{
    struct world *world = *state;
    const char *why = NULL;
    struct tls_context *client = tls_client_new(&world->client_options, &why);
    assert_int_equal(stream_connect(&world->pair.client.stream, world->pair.loop,
                                    &world->pair.address, client, TEXT_NONE, 5000),
                     ERR_INVALID);
    assert_string_equal(world->pair.client.stream.why, "tls: no name to verify the peer by");
    tls_context_unref(client);
}

static void a_required_client_certificate_is_asked_and_named(void **state)
{
    struct world *world = *state;
    struct test_pair *pair = &world->pair;
    world->server_options.client_ca_pem = text_of(world->authority.chain_pem);
    world->server_options.client_certificate_required = true;
    world->client_options.certificate = world->client_certificate;
    start(world, "a.example");
    finish(world);
    assert_true(pair->server.stream.connected);
    assert_true(text_is(stream_peer_certificate_name(&pair->server.stream), "spiffe://x/user"));
}

static void a_client_without_the_required_certificate_is_refused(void **state)
{
    struct world *world = *state;
    struct test_pair *pair = &world->pair;
    world->server_options.client_ca_pem = text_of(world->authority.chain_pem);
    world->server_options.client_certificate_required = true;
    start(world, "a.example");
    test_until(pair->loop, pair->server.stream.failed);
    assert_string_equal(pair->server.stream.why, "tls: the client sent no certificate");
    /* TLS 1.3: the client is up before the server looked; the refusal comes as a read error. */
    test_until(pair->loop, pair->client.stream.failed || pair->client.read_err != ERR_NONE);
    assert_string_equal(pair->client.stream.why, "tls: the peer wants a client certificate");
}

static void a_cut_connection_is_told_from_an_ended_one(void **state)
{
    struct world *world = *state;
    struct test_pair *pair = &world->pair;
    start(world, "a.example");
    finish(world);
    struct io *io = loop_io(pair->loop);
    io->shutdown_write(io->state, pair->client.stream.watch.fd); /* FIN without close_notify */
    test_until(pair->loop, pair->server.read_err != ERR_NONE);
    assert_int_equal(pair->server.read_err, ERR_PROTOCOL);
    assert_string_equal(pair->server.stream.why, "tls: ended without close_notify");
    assert_int_equal(stream_read(&pair->server.stream, &pair->server.in, 10), ERR_PROTOCOL);
}

static void plain_text_to_a_tls_port_is_named(void **state)
{
    struct world *world = *state;
    struct test_pair *pair = &world->pair;
    const char *why = NULL;
    pair->server_tls = tls_server_new(&world->server_options, &why);
    buffer_add(&pair->client.out, "GET / HTTP/1.1\r\nhost: a\r\n\r\n", 27);
    assert_int_equal(
        stream_connect(&pair->client.stream, pair->loop, &pair->address, NULL, TEXT_NONE, 5000),
        ERR_NONE);
    test_until(pair->loop, pair->server.stream.failed);
    assert_int_equal(pair->server.stream.err, ERR_PROTOCOL);
    assert_string_equal(pair->server.stream.why, "tls: the peer spoke plain HTTP");
}

/* A client that connects and says nothing. The clock of the handshake is the loop's. */
static uint64_t (*real_now)(void *state);
static uint64_t late_now(void *state)
{
    return real_now(state) + (LIMIT_HANDSHAKE_MS + 1) * 1000000ull;
}

static void a_silent_client_is_given_up(void **state)
{
    struct world *world = *state;
    struct test_pair *pair = &world->pair;
    const char *why = NULL;
    pair->server_tls = tls_server_new(&world->server_options, &why);
    assert_int_equal(
        stream_connect(&pair->client.stream, pair->loop, &pair->address, NULL, TEXT_NONE, 60000),
        ERR_NONE);
    test_until(pair->loop, pair->accepted && pair->client.stream.connected);
    assert_true(timer_is_armed(&pair->server.stream.timer));
    struct io *io = loop_io(pair->loop);
    real_now = io->now_ns;
    io->now_ns = late_now;
    loop_turn(pair->loop, 0); /* after such a jump, who is ready comes first */
    loop_turn(pair->loop, 0);
    io->now_ns = real_now;
    assert_true(pair->server.stream.failed);
    assert_int_equal(pair->server.stream.err, ERR_TIMEOUT);
    assert_string_equal(pair->server.stream.why, "tls: handshake timed out");
    assert_int_equal(pair->server.events, STREAM_FAILED);
}

static void a_key_on_a_curve_that_tls_has_not_is_refused(void **state)
{
    struct world *world = *state;
    static const struct {
        int curve;
        bool good;
    } curves[] = {{NID_X9_62_prime256v1, true},
                  {NID_secp384r1, true},
                  {NID_secp521r1, true},
                  {NID_secp256k1, false},
                  {NID_secp224r1, false}};
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        struct test_identity made = test_identity_with(test_key_new(curves[i].curve),
                                                       &world->authority, "c", "DNS:c.example", 5);
        const char *why = NULL;
        struct tls_certificate *certificate =
            tls_certificate_new(text_of(made.chain_pem), text_of(made.key_pem), &why);
        assert_int_equal(certificate != NULL, curves[i].good);
        if (!curves[i].good)
            assert_string_equal(why, "the key's curve is neither P-256, P-384 nor P-521");
        tls_certificate_unref(certificate);
        test_identity_free(&made);
    }
}

static void certificates_tell_their_facts_or_what_is_wrong(void **state)
{
    struct world *world = *state;
    const char *why = NULL;
    struct text chain = text_of(world->server.chain_pem), key = text_of(world->server.key_pem);
    size_t count;
    const struct text *names = tls_certificate_names(world->certificate, &count);
    assert_int_equal(count, 3);
    assert_true(text_is(names[1], "*.wild.example"));
    uint64_t now = loop_wall_ns(world->pair.loop) / 1000000000;
    assert_true(tls_certificate_not_after(world->certificate) > now + 4 * 86400);
    assert_true(tls_certificate_not_after(world->certificate) < now + 6 * 86400);

    assert_null(tls_certificate_new(chain, text_of(world->user.key_pem), &why));
    assert_string_equal(why, "the key does not belong to the certificate, which must stand first");
    assert_null(tls_certificate_new(TEXT("hello"), key, &why));
    assert_string_equal(why, "no PEM certificate was found");
    assert_null(tls_certificate_new(text_slice(chain, 0, chain.len / 2), key, &why));
    assert_null(tls_certificate_new(chain, TEXT_NONE, &why));
    assert_string_equal(why, "no PEM private key was found");
    assert_null(tls_certificate_new(chain, text_slice(key, 0, key.len / 2), &why));
    assert_null(tls_certificate_new(TEXT_NONE, key, &why));
    struct tls_certificate *more = tls_certificate_ref(world->certificate);
    assert_ptr_equal(more, world->certificate);
    tls_certificate_unref(more);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(the_handshake_tells_names_and_protocols),
        WORLD(much_data_passes_both_ways_under_back_pressure),
        WORLD(a_half_closed_stream_still_answers),
        WORLD(an_end_behind_waiting_bytes_comes_last),
        WORLD(an_unknown_server_name_is_refused_with_its_alert),
        WORLD(who_is_not_admitted_is_reset_before_anything_is_computed),
        WORLD(a_client_without_server_name_is_asked_about_as_empty),
        WORLD(another_name_is_refused),
        WORLD(a_subdomain_of_a_subdomain_is_another_name),
        WORLD(the_common_name_proves_nothing),
        WORLD(an_expired_certificate_is_refused),
        WORLD(an_unknown_authority_is_refused),
        WORLD(no_protocol_in_common_is_refused),
        WORLD(one_of_several_names_is_enough),
        WORLD(none_of_several_names_is_not),
        WORLD(no_name_to_verify_is_refused_before_a_byte_is_sent),
        WORLD(a_required_client_certificate_is_asked_and_named),
        WORLD(a_client_without_the_required_certificate_is_refused),
        WORLD(a_cut_connection_is_told_from_an_ended_one),
        WORLD(plain_text_to_a_tls_port_is_named),
        WORLD(a_silent_client_is_given_up),
        WORLD(a_key_on_a_curve_that_tls_has_not_is_refused),
        WORLD(certificates_tell_their_facts_or_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
