/* Snapshots reach threads that serve: every one adopts, none loses a request, ports are checked. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>

#include "base/builder.h"
#include "base/clock.h"
#include "base/limits.h"
#include "data/observe/exposition.h"
#include "data/worker/rollout.h"
#include "rig.h"

#define SWAPS 60

struct bench {
    struct rig rig; /* only for its snapshots */
    struct loop *loop;
    struct rollout *rollout;
    uint32_t done, drained;
    pthread_t backend_thread, client_thread;
    _Atomic bool stop;
    _Atomic uint32_t good, bad;
};

static void on_done(void *owner, struct snapshot *snapshot)
{
    (void)snapshot;
    ((struct bench *)owner)->done++;
}

static void on_drained(void *owner)
{
    ((struct bench *)owner)->drained++;
}

static const struct rollout_events EVENTS = {.on_done = on_done, .on_drained = on_drained};

/* A port that was free a moment ago. */
static void pick_port(struct address *ret_address)
{
    close(rig_listen(ret_address));
}

static void setup(struct bench *bench, uint32_t workers)
{
    memset(bench, 0, sizeof(*bench));
    rig_open(&bench->rig, 1);
    pick_port(&bench->rig.address);
    bench->loop = loop_new(NULL);
    struct rollout_options options = {
        .loop = bench->loop,
        .workers = workers,
        .access_log = "/dev/null",
        .node = TEXT("node"),
        .events = &EVENTS,
        .owner = bench,
    };
    bench->rollout = rollout_new(&options);
    assert_non_null(bench->rollout);
}

static void finish(struct bench *bench)
{
    rollout_free(bench->rollout);
    loop_free(bench->loop);
    for (int i = 0; i < RIG_BACKENDS; i++)
        close(bench->rig.listening[i]);
}

static void turn_until(struct bench *bench, const uint32_t *counter, uint32_t value)
{
    uint64_t until = clock_monotonic_ns() + UINT64_C(20000000000);
    while (*counter < value) {
        assert_true(clock_monotonic_ns() < until);
        loop_turn(bench->loop, 5);
    }
}

static enum err publish(struct bench *bench, struct faults *faults)
{
    struct snapshot *snapshot = rig_snapshot(&bench->rig);
    enum err err = rollout_publish(bench->rollout, snapshot, faults);
    snapshot_unref(snapshot);
    return err;
}

/* Answers whatever comes, one connection after the other, several at a time. */
static void *run_backend(void *owner)
{
    struct bench *bench = owner;
    struct pollfd fds[64] = {{.fd = bench->rig.listening[0], .events = POLLIN}};
    nfds_t count = 1;
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    while (!atomic_load(&bench->stop)) {
        poll(fds, count, 20);
        if ((fds[0].revents & POLLIN) != 0 && count < 64) {
            int fd = accept4(fds[0].fd, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0)
                fds[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
        }
        for (nfds_t i = 1; i < count; i++) {
            char bytes[4096];
            if ((fds[i].revents & (POLLIN | POLLHUP | POLLERR)) == 0)
                continue;
            ssize_t got = recv(fds[i].fd, bytes, sizeof(bytes), 0);
            if (got > 0 && send(fds[i].fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) > 0)
                continue;
            close(fds[i].fd);
            fds[i--] = fds[--count];
        }
    }
    for (nfds_t i = 1; i < count; i++)
        close(fds[i].fd);
    return NULL;
}

static bool ask(const struct bench *bench, int *fd)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    char bytes[4096];
    size_t len = 0;
    if (*fd < 0) {
        *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(*fd, &bench->rig.address.any, bench->rig.address.len) != 0)
            return false;
    }
    if (send(*fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
        return false;
    while (len < sizeof(bytes)) {
        ssize_t got = recv(*fd, bytes + len, sizeof(bytes) - len, 0);
        if (got <= 0)
            return false;
        len += (size_t)got;
        if (memmem(bytes, len, "\r\n\r\nok", 6) != NULL)
            return memcmp(bytes, "HTTP/1.1 200", 12) == 0;
    }
    return false;
}

static void *run_client(void *owner)
{
    struct bench *bench = owner;
    int fd = -1;
    for (uint32_t i = 0; !atomic_load(&bench->stop); i++) {
        bool is_good = ask(bench, &fd);
        atomic_fetch_add(is_good ? &bench->good : &bench->bad, 1);
        if (!is_good || i % 7 == 0) {
            close(fd);
            fd = -1;
        }
    }
    close(fd);
    return NULL;
}

/* The page of counters is written while the workers count. */
static void scrape(const struct bench *bench)
{
    struct worker *const *workers;
    struct metrics *metrics[4];
    uint32_t count = rollout_workers(bench->rollout, &workers);
    for (uint32_t i = 0; i < count; i++)
        metrics[i] = workers[i]->proxy.metrics;
    struct builder out = {0};
    exposition_write(
        &(struct exposition){
            .workers = metrics, .worker_count = count, .version = "1", .tls_library = "none"},
        &out);
    assert_non_null(strstr(out.data, "http_server_request_duration_seconds_count"));
    builder_fini(&out);
}

static void swaps_under_load_lose_no_request(void **state)
{
    (void)state;
    static struct bench bench;
    struct faults faults;
    struct arena arena;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    setup(&bench, 2);
    assert_int_equal(publish(&bench, &faults), ERR_AGAIN);
    turn_until(&bench, &bench.done, 1);
    pthread_create(&bench.backend_thread, NULL, run_backend, &bench);
    pthread_create(&bench.client_thread, NULL, run_client, &bench);
    for (uint32_t i = 0; i < SWAPS; i++) {
        uint32_t before = atomic_load(&bench.good);
        while (i == 0 && atomic_load(&bench.good) == 0)
            loop_turn(bench.loop, 1);
        assert_int_equal(publish(&bench, &faults), ERR_AGAIN);
        turn_until(&bench, &bench.done, i + 2);
        scrape(&bench);
        uint64_t until = clock_monotonic_ns() + UINT64_C(10000000000);
        while (atomic_load(&bench.good) < before + 3 && clock_monotonic_ns() < until)
            loop_turn(bench.loop, 1);
    }
    atomic_store(&bench.stop, true);
    pthread_join(bench.client_thread, NULL);
    pthread_join(bench.backend_thread, NULL);
    assert_int_equal(atomic_load(&bench.bad), 0);
    assert_true(atomic_load(&bench.good) >= 3 * SWAPS);
    assert_int_equal(rollout_current(bench.rollout)->number, SWAPS + 1);
    rollout_drain(bench.rollout, LIMIT_DRAIN_IDLE_MS);
    turn_until(&bench, &bench.drained, 1);
    finish(&bench);
    faults_fini(&faults);
    arena_fini(&arena);
}

static void a_port_in_use_refuses_the_snapshot(void **state)
{
    (void)state;
    static struct bench bench;
    struct faults faults;
    struct arena arena;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    setup(&bench, 2);
    bench.rig.address = bench.rig.backend[0]; /* somebody listens there */
    assert_int_equal(publish(&bench, &faults), ERR_INVALID);
    assert_int_equal(faults.count, 1);
    assert_string_equal(faults.items[0].code, "PortUnavailable");
    assert_null(rollout_current(bench.rollout));
    pick_port(&bench.rig.address);
    assert_int_equal(publish(&bench, &faults), ERR_AGAIN);
    turn_until(&bench, &bench.done, 1);
    finish(&bench);
    faults_fini(&faults);
    arena_fini(&arena);
}

static void a_port_moves_between_one_address_and_all(void **state)
{
    (void)state;
    static struct bench bench;
    struct faults faults;
    struct arena arena;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    setup(&bench, 2);
    uint16_t port = address_port(&bench.rig.address);
    static const char *const WHERE[] = {"127.0.0.1", "0.0.0.0", "127.0.0.1"};
    for (uint32_t i = 0; i < ARRAY_LEN(WHERE); i++) {
        assert_true(address_parse(text_of(WHERE[i]), port, &bench.rig.address));
        assert_int_equal(publish(&bench, &faults), ERR_AGAIN);
        turn_until(&bench, &bench.done, i + 1);
    }
    assert_int_equal(faults.count, 0);
    finish(&bench);
    faults_fini(&faults);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(swaps_under_load_lose_no_request),
        cmocka_unit_test(a_port_in_use_refuses_the_snapshot),
        cmocka_unit_test(a_port_moves_between_one_address_and_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
