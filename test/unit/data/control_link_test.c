/* The way to the control planes leads over every address that the options name. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "data/control_link.h"
#include "net/listener.h"
#include "test.h"

struct world {
    struct loop *loop;
    struct listener v4, v6; /* localhost is either, or both */
    struct control_link *control;
    int links, connections;
};

static void on_accept(void *owner, int fd, const struct address *peer)
{
    (void)peer;
    ((struct world *)owner)->connections++;
    close(fd);
}

static void on_link(void *owner)
{
    struct world *world = owner;
    world->links++;
    link_start(control_link_get(world->control));
}

static bool listen_at(struct world *world, struct listener *listener, const char *host,
                      uint16_t *port)
{
    struct address address;
    assert_true(address_parse(text_of(host), *port, &address));
    int fd = listener_open(&address, false);
    if (fd < 0)
        return false;
    address = listener_local(fd);
    *port = address_port(&address);
    *listener = (struct listener){.owner = world, .on_accept = on_accept};
    return listener_start(listener, world->loop, fd);
}

static void a_name_is_tried_beside_a_number_that_nobody_listens_at(void **state)
{
    (void)state;
    struct world world = {.loop = loop_new(NULL)};
    char name[32];
    uint16_t port = 0;
    assert_true(listen_at(&world, &world.v4, "127.0.0.1", &port));
    (void)listen_at(&world, &world.v6, "::1", &port);
    (void)snprintf(name, sizeof(name), "localhost:%u", port);
    const struct options options = {.xds = {"127.0.0.1:1", name}, .xds_count = 2};
    world.control = control_link_new(world.loop, &options, &world, on_link);
    assert_non_null(world.control);
    control_link_start(world.control);
    assert_int_equal(world.links, 1); /* the number is no secret */
    uint64_t until = clock_monotonic_ns() + UINT64_C(60000000000);
    while (world.connections == 0) {
        assert_true(clock_monotonic_ns() < until);
        loop_turn(world.loop, 20);
    }
    assert_int_equal(world.links, 1);
    control_link_free(world.control);
    listener_close(&world.v4);
    listener_close(&world.v6);
    loop_free(world.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_tried_beside_a_number_that_nobody_listens_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
