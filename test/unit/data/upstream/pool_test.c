/* The pool against real sockets: kept, reused, limited, reconciled with a new backend. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/shared_counter.h"
#include "base/shared_room.h"
#include "data/upstream/pool.h"
#include "net/listener.h"
#include "test.h"

static const struct balancer_ask ANY;

struct bench {
    struct loop *loop;
    struct pool_set set;
    int listening[2];
    struct address address[2];
    struct pool_waiter waiter;
    struct pool_connection *got;
    enum err failed;
};

static void on_connection(void *owner, struct pool_connection *connection)
{
    ((struct bench *)owner)->got = connection;
}

static void on_failed(void *owner, enum err err, const char *why)
{
    (void)why;
    ((struct bench *)owner)->failed = err;
}

static void setup(struct bench *bench)
{
    *bench = (struct bench){.loop = loop_new(NULL)};
    pool_set_init(&bench->set, bench->loop);
    for (int i = 0; i < 2; i++) {
        struct address any;
        assert_true(address_parse_endpoint(TEXT("127.0.0.1:0"), &any));
        bench->listening[i] = listener_open(&any, false);
        bench->address[i] = listener_local(bench->listening[i]);
    }
    bench->waiter = (struct pool_waiter){
        .owner = bench, .on_connection = on_connection, .on_failed = on_failed};
}

static void finish(struct bench *bench)
{
    pool_set_close(&bench->set);
    while (bench->set.connection_count > 0)
        loop_turn(bench->loop, 1);
    pool_set_fini(&bench->set);
    for (int i = 0; i < 2; i++)
        close(bench->listening[i]);
    loop_free(bench->loop);
}

static struct backend *make_backend(const struct bench *bench, uint32_t mask, uint32_t max)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct backend *backend = arena_new(&arena, struct backend);
    atomic_init(&backend->refs, 1);
    backend->name = TEXT("default/app:80");
    backend->max_connections = max;
    backend->max_pending = 1;
    backend->room = shared_room_new();
    backend->pending = shared_gauge_new();
    backend->endpoints = arena_array(&arena, struct endpoint, 2);
    for (uint32_t i = 0; i < 2; i++)
        if ((mask & 1u << i) != 0)
            backend->endpoints[backend->endpoint_count++] =
                (struct endpoint){.address = bench->address[i], .weight = 1};
    backend->arena = arena;
    return backend;
}

static struct snapshot *make_snapshot(struct backend *backend)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct snapshot *snapshot = arena_new(&arena, struct snapshot);
    atomic_init(&snapshot->refs, 1);
    struct backend_table *empty = backend_table_new();
    struct backend_edit edit = {.slot = 0, .backend = backend};
    snapshot->backends = backend_table_edit(empty, &edit, 1);
    backend_table_unref(empty);
    snapshot->arena = arena;
    return snapshot;
}

static void adopt(struct bench *bench, struct backend *backend)
{
    struct snapshot *snapshot = make_snapshot(backend);
    pool_set_adopt(&bench->set, snapshot);
    snapshot_unref(snapshot);
}

static enum err acquire(struct bench *bench, struct backend *backend, bool fresh)
{
    bench->got = NULL;
    bench->failed = ERR_NONE;
    return pool_acquire(pool_of(&bench->set, backend), &ANY, fresh, &bench->waiter, &bench->got);
}

static void wait_for(struct bench *bench)
{
    uint64_t until = clock_monotonic_ns() + UINT64_C(5000000000);
    while (bench->got == NULL && bench->failed == ERR_NONE) {
        assert_true(clock_monotonic_ns() < until);
        loop_turn(bench->loop, 2);
    }
}

/* Puts what nobody asked a request of back among the idle. */
static void give_back(struct bench *bench, struct backend *backend)
{
    struct pool_connection *connection = bench->got;
    (void)backend;
    assert_non_null(connection);
    connection->http->events->on_ready(connection, connection->http);
}

static void a_connection_is_kept_and_used_again(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    struct backend *backend = make_backend(&bench, 1, 0);
    assert_int_equal(acquire(&bench, backend, false), ERR_AGAIN);
    wait_for(&bench);
    struct pool_connection *first = bench.got;
    give_back(&bench, backend);
    assert_int_equal(acquire(&bench, backend, false), ERR_NONE);
    assert_ptr_equal(bench.got, first);
    assert_int_equal(bench.set.reuses, 1);
    give_back(&bench, backend);
    assert_int_equal(acquire(&bench, backend, true), ERR_AGAIN);
    wait_for(&bench);
    assert_ptr_not_equal(bench.got, first);
    finish(&bench);
    backend_unref(backend);
}

static void a_refused_connect_is_told(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    struct backend *backend = make_backend(&bench, 1, 0);
    close(bench.listening[0]);
    bench.listening[0] = -1;
    assert_int_equal(acquire(&bench, backend, false), ERR_AGAIN);
    wait_for(&bench);
    assert_int_equal(bench.failed, ERR_REFUSED);
    assert_int_equal(bench.set.connect_failures, 1);
    finish(&bench);
    backend_unref(backend);
}

static void the_limit_makes_waiters_and_then_refuses(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    struct backend *backend = make_backend(&bench, 1, 1);
    assert_int_equal(acquire(&bench, backend, false), ERR_AGAIN);
    wait_for(&bench);
    struct pool_connection *first = bench.got;
    struct pool_waiter second = bench.waiter, third = bench.waiter;
    struct pool *pool = pool_of(&bench.set, backend);
    struct pool_connection *unused;
    assert_int_equal(pool_acquire(pool, &ANY, false, &second, &unused), ERR_AGAIN);
    assert_int_equal(pool_acquire(pool, &ANY, false, &third, &unused), ERR_LIMIT);
    bench.got = NULL;
    first->http->events->on_ready(first, first->http);
    assert_ptr_equal(bench.got, first);
    finish(&bench);
    backend_unref(backend);
}

static void removed_endpoints_lose_their_idle_connections(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    struct backend *old = make_backend(&bench, 1, 0), *new = make_backend(&bench, 2, 0);
    assert_int_equal(acquire(&bench, old, false), ERR_AGAIN);
    wait_for(&bench);
    struct pool_endpoint *busy = bench.got->endpoint;
    pool_begin(busy);
    give_back(&bench, old);
    adopt(&bench, new);
    uint64_t until = clock_monotonic_ns() + UINT64_C(5000000000);
    while (bench.set.connection_count > 0) {
        assert_true(clock_monotonic_ns() < until);
        loop_turn(bench.loop, 2);
    }
    assert_int_equal(pool_size(pool_of(&bench.set, new)), 1);
    pool_end(busy); /* the last that named it: its memory goes */
    assert_int_equal(acquire(&bench, new, false), ERR_AGAIN);
    wait_for(&bench);
    assert_true(address_equal(&bench.got->endpoint->address, &bench.address[1]));
    finish(&bench);
    backend_unref(old);
    backend_unref(new);
}

static void endpoints_that_stay_keep_their_connections(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    struct backend *old = make_backend(&bench, 1, 0), *new = make_backend(&bench, 3, 0);
    assert_int_equal(acquire(&bench, old, false), ERR_AGAIN);
    wait_for(&bench);
    give_back(&bench, old);
    adopt(&bench, new);
    for (int i = 0; i < 5; i++)
        loop_turn(bench.loop, 0);
    assert_int_equal(bench.set.connection_count, 1);
    assert_int_equal(pool_size(pool_of(&bench.set, new)), 2);
    finish(&bench);
    backend_unref(old);
    backend_unref(new);
}

static void a_removed_backend_serves_its_old_requests(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    struct backend *old = make_backend(&bench, 1, 0), *other = make_backend(&bench, 2, 0);
    other->name = TEXT("default/other:80");
    assert_int_equal(acquire(&bench, old, false), ERR_AGAIN);
    wait_for(&bench);
    pool_begin(bench.got->endpoint);
    struct pool_endpoint *endpoint = bench.got->endpoint;
    adopt(&bench, other);
    assert_string_equal(pool_backend(pool_of(&bench.set, other))->name.data, "default/other:80");
    assert_int_equal(acquire(&bench, old, false), ERR_AGAIN); /* the slot is another's now */
    wait_for(&bench);
    assert_true(address_equal(&bench.got->endpoint->address, &bench.address[0]));
    pool_end(endpoint);
    finish(&bench);
    backend_unref(old);
    backend_unref(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_kept_and_used_again),
        cmocka_unit_test(a_refused_connect_is_told),
        cmocka_unit_test(the_limit_makes_waiters_and_then_refuses),
        cmocka_unit_test(removed_endpoints_lose_their_idle_connections),
        cmocka_unit_test(endpoints_that_stay_keep_their_connections),
        cmocka_unit_test(a_removed_backend_serves_its_old_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
