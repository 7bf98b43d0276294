/* Sockets on their way: all arrive, in several messages, and a waiting connection with them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <unistd.h>

#include "net/handover.h"
#include "net/listener.h"
#include "test.h"

static int open_one(struct address *ret_address)
{
    struct address any;
    assert_true(address_parse_endpoint(TEXT("127.0.0.1:0"), &any));
    int fd = listener_open(&any, true);
    assert_true(fd >= 0);
    *ret_address = listener_local(fd);
    return fd;
}

static void a_connection_that_waits_goes_along(void **state)
{
    (void)state;
    struct handover handover = {0};
    struct address address;
    int pair[2], listening = open_one(&address);
    char what = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, &address.any, address.len), 0);

    assert_true(handover_send(pair[0], 'S', &listening, 1));
    close(listening);
    assert_true(handover_send(pair[0], 'E', NULL, 0));
    assert_int_equal(handover_receive(pair[1], &what, &handover), ERR_NONE);
    assert_int_equal(what, 'S');
    assert_int_equal(handover_receive(pair[1], &what, &handover), ERR_NONE);
    assert_int_equal(what, 'E');
    assert_int_equal(handover_receive(pair[1], &what, &handover), ERR_AGAIN);

    int taken = handover_take(&handover, &address, false);
    assert_true(taken >= 0);
    assert_int_equal(handover_take(&handover, &address, false), -1);
    int accepted = accept(taken, NULL, NULL);
    assert_true(accepted >= 0);
    assert_int_equal(write(client, "x", 1), 1);
    close(accepted);
    close(taken);
    close(client);
    close(pair[0]);
    assert_int_equal(handover_receive(pair[1], &what, &handover), ERR_CLOSED);
    close(pair[1]);
    handover_fini(&handover);
}

static void what_nobody_takes_is_closed(void **state)
{
    (void)state;
    struct handover handover = {0};
    struct address address[3];
    int pair[2], fds[3];
    char what = 0;
    for (int i = 0; i < 3; i++)
        fds[i] = open_one(&address[i]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(handover_send(pair[0], 'S', fds, 2));
    assert_true(handover_send(pair[0], 'S', fds + 2, 1));
    assert_int_equal(handover_receive(pair[1], &what, &handover), ERR_NONE);
    assert_int_equal(handover_receive(pair[1], &what, &handover), ERR_NONE);
    assert_int_equal(handover.count, 3);
    int taken = handover_take(&handover, &address[1], false);
    assert_true(taken >= 0);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    handover_fini(&handover);
    for (int i = 0; i < 3; i++) { /* only the one that was taken listens on */
        int client = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(client, &address[i].any, address[i].len), i == 1 ? 0 : -1);
        close(client);
    }
    close(taken);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_that_waits_goes_along),
        cmocka_unit_test(what_nobody_takes_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
