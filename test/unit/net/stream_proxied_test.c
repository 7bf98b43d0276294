/* Streams behind a load balancer: its header first, then everything as without it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/socket.h>
#include <unistd.h>

#include "net/certificates.h"
#include "net/peers.h"

#define HEADER "PROXY TCP4 192.0.2.7 192.0.2.8 4711 80\r\n"

static void accept_proxied(void *owner, int fd, const struct address *peer)
{
    struct test_pair *pair = owner;
    assert_int_equal(
        stream_accept_proxied(&pair->server.stream, pair->loop, fd, peer, pair->server_tls, 200),
        ERR_NONE);
    pair->accepted = true;
}

static int setup(void **state)
{
    static struct test_pair pair;
    test_pair_init(&pair);
    pair.listener.on_accept = accept_proxied;
    *state = &pair;
    return 0;
}

static int teardown(void **state)
{
    test_pair_fini(*state);
    return 0;
}

static void connect_client(struct test_pair *pair, struct tls_context *tls)
{
    assert_int_equal(stream_connect(&pair->client.stream, pair->loop, &pair->address, tls,
                                    tls == NULL ? TEXT_NONE : TEXT("a.example"), 5000),
                     ERR_NONE);
}

static void check_peer(const struct test_pair *pair, const char *want)
{
    char text[ADDRESS_TEXT_MAX];
    assert_string_equal(address_format(&pair->server.stream.peer, text).data, want);
}

static void the_peer_is_whom_the_header_names(void **state)
{
    struct test_pair *pair = *state;
    connect_client(pair, NULL);
    buffer_add(&pair->client.out, HEADER "hello", sizeof(HEADER "hello") - 1);
    test_until(pair->loop, buffer_len(&pair->server.in) > 0);
    assert_true(pair->server.events & STREAM_CONNECTED);
    assert_true(text_is(buffer_text(&pair->server.in), "hello"));
    check_peer(pair, "192.0.2.7:4711");
    buffer_add(&pair->server.out, "answer", 6);
    test_peer_write(&pair->server);
    test_until(pair->loop, buffer_len(&pair->client.in) == 6);
}

static void a_header_may_come_in_drops(void **state)
{
    struct test_pair *pair = *state;
    connect_client(pair, NULL);
    for (size_t i = 0; i < sizeof(HEADER) - 1; i++) {
        buffer_add(&pair->client.out, &HEADER[i], 1);
        test_until(pair->loop, pair->client.stream.connected);
        test_peer_write(&pair->client);
        loop_turn(pair->loop, 0);
        assert_true(pair->server.events == 0 || i + 2 == sizeof(HEADER));
    }
    test_until(pair->loop, pair->server.events & STREAM_CONNECTED);
    buffer_add(&pair->client.out, "x", 1);
    test_peer_write(&pair->client);
    test_until(pair->loop, buffer_len(&pair->server.in) == 1);
    check_peer(pair, "192.0.2.7:4711");
}

static void a_health_check_of_the_balancer_keeps_its_own_address(void **state)
{
    struct test_pair *pair = *state;
    connect_client(pair, NULL);
    buffer_add(&pair->client.out, "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0hi", 18);
    test_until(pair->loop, buffer_len(&pair->server.in) == 2);
    char text[ADDRESS_TEXT_MAX];
    struct text host = address_format_host(&pair->server.stream.peer, text);
    assert_string_equal(host.data, "127.0.0.1");
}

static void fails(struct test_pair *pair, const char *bytes, enum err err, const char *why)
{
    connect_client(pair, NULL);
    buffer_add(&pair->client.out, bytes, strlen(bytes));
    pair->client.end_when_written = err == ERR_CLOSED;
    test_until(pair->loop, pair->server.events & STREAM_FAILED);
    assert_int_equal(pair->server.events, STREAM_FAILED);
    assert_int_equal(pair->server.stream.err, err);
    assert_string_equal(pair->server.stream.why, why);
}

static void a_client_without_a_header_is_refused(void **state)
{
    fails(*state, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ERR_PROTOCOL, "proxy: not a header");
}

static void a_broken_header_is_refused(void **state)
{
    fails(*state, "PROXY TCP4 192.0.2.7 192.0.2.8 4711 080\r\n", ERR_PROTOCOL, "proxy: bad port");
}

static void a_header_that_never_ends_times_out(void **state)
{
    fails(*state, "PROXY TCP4 192.0.2.7", ERR_TIMEOUT, "proxy: no header came");
}

static void silence_times_out(void **state)
{
    fails(*state, "", ERR_TIMEOUT, "proxy: no header came");
}

static void an_end_within_the_header_is_an_error(void **state)
{
    fails(*state, "PROXY TCP4 192.0.2.7", ERR_CLOSED, "proxy: closed before the header");
}

static struct tls_certificate *pick(void *owner, const struct tls_hello *hello,
                                    struct tls_context **ret_rules)
{
    (void)ret_rules;
    assert_true(text_is(hello->server_name, "a.example"));
    return ((struct test_peer *)owner)->certificate;
}

/* A balancer: takes the client's connection, sends its header to the server, then copies. */
struct balancer {
    struct listener listener;
    struct test_pair *pair;
    int front, back; /* -1: none yet */
};

static void balancer_accept(void *owner, int fd, const struct address *peer)
{
    (void)peer;
    struct balancer *balancer = owner;
    const struct address *to = &balancer->pair->address;
    balancer->front = fd;
    balancer->back = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(balancer->back, &to->any, to->len), 0);
    assert_int_equal(send(balancer->back, HEADER, sizeof(HEADER) - 1, 0), sizeof(HEADER) - 1);
}

static void copy(int from, int to)
{
    char bytes[4096];
    ssize_t len;
    while ((len = recv(from, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
        assert_int_equal(send(to, bytes, (size_t)len, 0), len);
}

static bool balance(struct balancer *balancer)
{
    if (balancer->back < 0)
        return false;
    copy(balancer->front, balancer->back);
    copy(balancer->back, balancer->front);
    return true;
}

static void the_header_comes_before_the_handshake(void **state)
{
    struct test_pair *pair = *state;
    const char *why = NULL;
    struct test_identity authority = test_identity_new(NULL, "Authority", NULL, 10);
    struct test_identity server = test_identity_new(&authority, "server", "DNS:a.example", 5);
    pair->server.certificate =
        tls_certificate_new(text_of(server.chain_pem), text_of(server.key_pem), &why);
    pair->server_tls = tls_server_new(&(struct tls_server_options){.pick = pick}, &why);
    struct tls_client_options options = {.ca_pem = text_of(authority.chain_pem)};
    struct tls_context *client = tls_client_new(&options, &why);
    struct balancer balancer = {.pair = pair, .front = -1, .back = -1};
    struct address any, address;
    assert_true(address_parse_endpoint(TEXT("127.0.0.1:0"), &any));
    balancer.listener.owner = &balancer;
    balancer.listener.on_accept = balancer_accept;
    int fd = listener_open(&any, true);
    address = listener_local(fd);
    assert_true(listener_start(&balancer.listener, pair->loop, fd));
    assert_int_equal(
        stream_connect(&pair->client.stream, pair->loop, &address, client, TEXT("a.example"), 5000),
        ERR_NONE);
    test_send_pattern(&pair->client, &pair->server, 80000, 5);
    test_until(pair->loop, balance(&balancer) && pair->server.read_bytes == 80000);
    assert_non_null(stream_tls_version(&pair->server.stream));
    check_peer(pair, "192.0.2.7:4711");
    listener_close(&balancer.listener);
    close(balancer.front);
    close(balancer.back);
    stream_close(&pair->server.stream);
    tls_context_unref(client);
    tls_context_unref(pair->server_tls);
    tls_certificate_unref(pair->server.certificate);
    test_identity_free(&server);
    test_identity_free(&authority);
}

#define WITH_PAIR(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PAIR(the_peer_is_whom_the_header_names),
        WITH_PAIR(a_header_may_come_in_drops),
        WITH_PAIR(a_health_check_of_the_balancer_keeps_its_own_address),
        WITH_PAIR(a_client_without_a_header_is_refused),
        WITH_PAIR(a_broken_header_is_refused),
        WITH_PAIR(a_header_that_never_ends_times_out),
        WITH_PAIR(silence_times_out),
        WITH_PAIR(an_end_within_the_header_is_an_error),
        WITH_PAIR(the_header_comes_before_the_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
