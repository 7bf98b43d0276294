/* Listening sockets: ports shared and refused, Unix paths taken over, pauses, lack of descriptors.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "net/peers.h"
#include "test.h"

static struct address loopback(void)
{
    struct address any;
    assert_true(address_parse_endpoint(TEXT("127.0.0.1:0"), &any));
    return any;
}

static void workers_share_a_port_and_strangers_do_not(void **state)
{
    (void)state;
    struct address any = loopback();
    int first = listener_open(&any, true);
    struct address bound = listener_local(first);
    assert_true(address_port(&bound) != 0);
    int second = listener_open(&bound, true);
    assert_true(second >= 0);
    assert_int_equal(listener_open(&bound, false), -1);
    assert_int_equal(errno, EADDRINUSE);
    close(first);
    close(second);
}

static void a_unix_socket_is_private_and_a_dead_one_is_taken_over(void **state)
{
    (void)state;
    char folder[] = "/tmp/listener-test-XXXXXX", path[64], endpoint[80];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    snprintf(endpoint, sizeof(endpoint), "unix:%s", path);
    struct address address;
    assert_true(address_parse_endpoint(text_of(endpoint), &address));

    int fd = listener_open(&address, false);
    assert_true(fd >= 0);
    struct stat made;
    assert_int_equal(stat(path, &made), 0);
    assert_int_equal(made.st_mode & 07777, 0600);
    assert_int_equal(listener_open(&address, false), -1); /* alive */
    assert_int_equal(errno, EADDRINUSE);
    close(fd); /* the file stays, nobody listens */
    fd = listener_open(&address, false);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(unlink(path), 0);

    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600); /* not a socket: not ours */
    assert_true(file >= 0);
    close(file);
    assert_int_equal(listener_open(&address, false), -1);
    assert_int_equal(stat(path, &made), 0);
    unlink(path);
    rmdir(folder);
}

static void a_unix_peer_is_known_by_its_user(void **state)
{
    (void)state;
    struct test_pair pair;
    test_pair_init(&pair);
    listener_close(&pair.listener);
    char name[64];
    snprintf(name, sizeof(name), "unix:@listener-test-%d", (int)getpid());
    assert_true(address_parse_endpoint(text_of(name), &pair.address));
    int fd = listener_open(&pair.address, false);
    assert_true(fd >= 0);
    pair.listener.address = (struct address){0};
    assert_true(listener_start(&pair.listener, pair.loop, fd));
    assert_true(address_equal(&pair.listener.address, &pair.address));
    assert_int_equal(
        stream_connect(&pair.client.stream, pair.loop, &pair.address, NULL, TEXT_NONE, 5000),
        ERR_NONE);
    test_until(pair.loop, pair.server.stream.connected && pair.client.stream.connected);
    uint32_t uid = UINT32_MAX;
    assert_true(stream_peer_uid(&pair.server.stream, &uid));
    assert_int_equal(uid, getuid());
    test_pair_fini(&pair);
}

static void a_paused_listener_accepts_later(void **state)
{
    (void)state;
    struct test_pair pair;
    test_pair_init(&pair);
    listener_pause(&pair.listener, true);
    listener_pause(&pair.listener, true);
    assert_int_equal(
        stream_connect(&pair.client.stream, pair.loop, &pair.address, NULL, TEXT_NONE, 5000),
        ERR_NONE);
    test_until(pair.loop, pair.client.stream.connected); /* by the kernel's backlog */
    for (int i = 0; i < 5; i++)
        loop_turn(pair.loop, 0);
    assert_false(pair.accepted);
    listener_pause(&pair.listener, false);
    test_until(pair.loop, pair.accepted);
    test_pair_fini(&pair);
}

static void out_of_descriptors_it_waits_without_spinning(void **state)
{
    (void)state;
    struct test_pair pair;
    test_pair_init(&pair);
    struct rlimit old, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(
        stream_connect(&pair.client.stream, pair.loop, &pair.address, NULL, TEXT_NONE, 5000),
        ERR_NONE);
    tight = old;
    tight.rlim_cur = (rlim_t)pair.client.stream.watch.fd + 1; /* the last one */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    test_until(pair.loop, timer_is_armed(&pair.listener.retry));
    assert_false(pair.accepted);
    uint64_t began = loop_now_ms(pair.loop);
    uint32_t turns = 0;
    while (loop_now_ms(pair.loop) - began < 250) {
        loop_turn(pair.loop, 50);
        turns++;
    }
    assert_true(turns < 30);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    test_until(pair.loop, pair.accepted);
    test_pair_fini(&pair);
}

/* A peer that vanished without a word must not hold a stream for ever, whichever end we are. */
static void both_ends_of_a_connection_notice_silence(void **state)
{
    (void)state;
    struct address address = loopback();
    int listening = listener_open(&address, true);
    address = listener_local(listening);
    struct io *io = io_kernel_new();
    int ends[2] = {io->connect(io->state, &address.any, address.len), -1};
    struct address peer = {.len = sizeof(peer.storage)};
    for (int i = 0; i < 1000 && ends[1] < 0; i++) {
        ends[1] = io->accept(io->state, listening, &peer.storage, &peer.len);
        usleep(1000);
    }
    for (int i = 0; i < 2; i++) {
        int timeout = 0, keep = 0;
        socklen_t len = sizeof(int);
        assert_int_equal(getsockopt(ends[i], IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, &len), 0);
        assert_int_equal(timeout, LIMIT_SILENT_MS);
        assert_int_equal(getsockopt(ends[i], SOL_SOCKET, SO_KEEPALIVE, &keep, &len), 0);
        assert_int_equal(keep, 1);
        close(ends[i]);
    }
    close(listening);
    io_kernel_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_share_a_port_and_strangers_do_not),
        cmocka_unit_test(a_unix_socket_is_private_and_a_dead_one_is_taken_over),
        cmocka_unit_test(a_unix_peer_is_known_by_its_user),
        cmocka_unit_test(a_paused_listener_accepts_later),
        cmocka_unit_test(out_of_descriptors_it_waits_without_spinning),
        cmocka_unit_test(both_ends_of_a_connection_notice_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
