/* The simulated kernel: sockets are pairs of byte queues, events have times, faults come by dice.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/io_sim.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/memory.h"
#include "base/random.h"

#define FD_BASE    1000000
#define START_NS   1000000000ull
#define WALL_NS    1790000000000000000ull
#define NEVER      UINT64_MAX
#define STALL_NS   1000000000ull
#define REAL_MAX   64
#define CAPACITY   65536
#define EVERYTHING (IO_READ | IO_WRITE | IO_ERROR | IO_END)

struct queued {
    int fd;
    uint64_t at_ns;
};

struct sim_socket {
    int fd, peer; /* peer -1: none (any more) */
    void *owner;
    bool watched, level, open, listening, connecting;
    bool write_ended, read_ended, reset, wants_write;
    int result;       /* of the connect */
    uint32_t pending; /* events to tell */
    uint64_t due_ns;  /* when */
    char *data;       /* what the peer sent and nobody read yet */
    size_t start, len;
    struct sockaddr_storage address; /* where it listens, or where the peer is */
    socklen_t address_len;
    struct queued *queue; /* connections to accept */
    size_t queue_count, queue_cap;
};

struct real {
    int fd;
    void *owner;
};

struct sim {
    struct io io;
    struct io_sim_options options;
    struct io_sim_counts counts;
    struct random random;
    uint64_t now_ns;
    struct sim_socket **sockets; /* owns; by descriptor, numbers are not used twice */
    size_t count, cap;
    struct real real[REAL_MAX];
    size_t real_count;
    uint16_t next_port;
};

static bool dice(struct sim *sim, uint32_t chance)
{
    return chance > 0 && random_below(&sim->random, 1000) < chance;
}

static struct sim_socket *socket_of(struct sim *sim, int fd)
{
    size_t index = (size_t)(fd - FD_BASE);
    if (fd < FD_BASE || index >= sim->count || !sim->sockets[index]->open)
        return NULL;
    return sim->sockets[index];
}

static struct sim_socket *socket_new(struct sim *sim)
{
    struct sim_socket *made = memory_new(struct sim_socket);
    made->fd = FD_BASE + (int)sim->count;
    made->peer = -1;
    made->open = true;
    made->due_ns = NEVER;
    made->data = memory_alloc(sim->options.capacity);
    sim->sockets = memory_grow(sim->sockets, sim->count, &sim->cap, sizeof(struct sim_socket *));
    sim->sockets[sim->count++] = made;
    return made;
}

static uint64_t later(struct sim *sim)
{
    uint32_t max = sim->options.delay_us_max;
    return sim->now_ns + (max == 0 ? 0 : random_below(&sim->random, max) * 1000);
}

static void tell(struct sim *sim, struct sim_socket *to, uint32_t events)
{
    if (to == NULL)
        return;
    uint64_t at = later(sim);
    to->due_ns = to->pending == 0 ? at : MIN(to->due_ns, at);
    to->pending |= events;
}

static void break_both(struct sim *sim, struct sim_socket *socket)
{
    struct sim_socket *peer = socket_of(sim, socket->peer);
    socket->reset = true;
    tell(sim, socket, EVERYTHING);
    if (peer != NULL) {
        peer->reset = true;
        tell(sim, peer, EVERYTHING);
    }
}

static bool hit(struct sim *sim, uint32_t chance, uint64_t *count)
{
    bool drawn = dice(sim, chance);
    *count += drawn;
    return drawn;
}

static int fail_with(int number)
{
    errno = number;
    return -1;
}

static uint64_t sim_now_ns(void *state)
{
    return ((struct sim *)state)->now_ns;
}

static uint64_t sim_wall_ns(void *state)
{
    return ((struct sim *)state)->now_ns + WALL_NS;
}

static uint64_t sim_seed(void *state)
{
    return random_next(&((struct sim *)state)->random);
}

static int watch_real(struct sim *sim, int fd, void *owner)
{
    if (sim->real_count == REAL_MAX)
        return fail_with(ENOSPC);
    sim->real[sim->real_count++] = (struct real){fd, owner};
    return 0;
}

static int sim_watch(void *state, int fd, void *owner)
{
    struct sim *sim = state;
    struct sim_socket *socket = socket_of(sim, fd);
    if (socket == NULL)
        return fd < FD_BASE ? watch_real(sim, fd, owner) : fail_with(EBADF);
    socket->watched = true;
    socket->owner = owner;
    if (socket->connecting)
        return 0; /* its event is on the way */
    uint32_t now = IO_WRITE;
    if (socket->len > 0 || socket->read_ended)
        now |= IO_READ;
    if (socket->read_ended)
        now |= IO_END;
    tell(sim, socket, socket->reset ? EVERYTHING : now);
    return 0;
}

static int sim_watch_level(void *state, int fd, void *owner)
{
    struct sim *sim = state;
    struct sim_socket *socket = socket_of(sim, fd);
    if (socket == NULL)
        return fd < FD_BASE ? watch_real(sim, fd, owner) : fail_with(EBADF);
    socket->watched = socket->level = true;
    socket->owner = owner;
    return 0;
}

static int sim_unwatch(void *state, int fd)
{
    struct sim *sim = state;
    struct sim_socket *socket = socket_of(sim, fd);
    if (socket != NULL) {
        socket->watched = false;
        return 0;
    }
    for (size_t i = 0; i < sim->real_count; i++) {
        if (sim->real[i].fd == fd) {
            sim->real[i] = sim->real[--sim->real_count];
            return 0;
        }
    }
    return fail_with(ENOENT);
}

static int poll_real(struct sim *sim, struct io_ready *ready, int max, int timeout_ms)
{
    struct pollfd polled[REAL_MAX];
    for (size_t i = 0; i < sim->real_count; i++)
        polled[i] = (struct pollfd){.fd = sim->real[i].fd, .events = POLLIN};
    if (sim->real_count == 0 || poll(polled, sim->real_count, timeout_ms) <= 0)
        return 0;
    int count = 0;
    for (size_t i = 0; i < sim->real_count && count < max; i++) {
        if (polled[i].revents != 0)
            ready[count++] = (struct io_ready){sim->real[i].owner, IO_READ};
    }
    return count;
}

/* What a watched socket has to tell now; *next is moved to the earliest that comes later. */
static uint32_t due_events(struct sim *sim, struct sim_socket *socket, uint64_t *next)
{
    if (!socket->open || !socket->watched)
        return 0;
    if (socket->level) {
        if (socket->queue_count == 0)
            return 0;
        if (socket->queue[0].at_ns <= sim->now_ns)
            return IO_READ;
        *next = MIN(*next, socket->queue[0].at_ns);
        return 0;
    }
    if (socket->pending == 0)
        return 0;
    if (socket->due_ns > sim->now_ns) {
        *next = MIN(*next, socket->due_ns);
        return 0;
    }
    uint32_t events = socket->pending;
    socket->pending = 0;
    return events;
}

static int collect(struct sim *sim, struct io_ready *ready, int max, uint64_t *next)
{
    int count = 0;
    size_t first = sim->count == 0 ? 0 : random_below(&sim->random, sim->count);
    *next = NEVER;
    for (size_t i = 0; i < sim->count && count < max; i++) {
        struct sim_socket *socket = sim->sockets[(first + i) % sim->count];
        uint32_t events = due_events(sim, socket, next);
        if (events != 0)
            ready[count++] = (struct io_ready){socket->owner, events};
    }
    for (int i = count; i > 1; i--) { /* no order to rely on */
        size_t other = random_below(&sim->random, (uint64_t)i);
        struct io_ready last = ready[i - 1];
        ready[i - 1] = ready[other];
        ready[other] = last;
    }
    return count;
}

static int sim_wait(void *state, struct io_ready *ready, int max, int timeout_ms)
{
    struct sim *sim = state;
    sim->counts.waits++;
    sim->now_ns += 1000;
    uint64_t until = timeout_ms < 0 ? NEVER : sim->now_ns + (uint64_t)timeout_ms * 1000000;
    for (;;) {
        uint64_t next;
        int count = collect(sim, ready, max, &next);
        count += poll_real(sim, ready + count, max - count, 0);
        if (count > 0)
            return count;
        if (next <= until && next != NEVER) {
            sim->now_ns = next;
            continue;
        }
        if (until != NEVER) {
            sim->now_ns = until;
            return 0;
        }
        sim->counts.stalls++;
        sim->now_ns += STALL_NS;
        return poll_real(sim, ready, max, 100);
    }
}

static ssize_t sim_recv(void *state, int fd, void *data, size_t len)
{
    struct sim *sim = state;
    struct sim_socket *socket = socket_of(sim, fd);
    if (socket == NULL || socket->listening)
        return fd < FD_BASE ? read(fd, data, len) : fail_with(EBADF);
    if (!socket->reset && socket->peer >= 0 &&
        hit(sim, sim->options.reset_chance, &sim->counts.resets))
        break_both(sim, socket);
    if (socket->len == 0) {
        if (socket->reset)
            return fail_with(ECONNRESET);
        return socket->read_ended ? 0 : fail_with(EAGAIN);
    }
    if (hit(sim, sim->options.again_chance, &sim->counts.agains)) {
        tell(sim, socket, IO_READ);
        return fail_with(EAGAIN);
    }
    size_t count = MIN(len, socket->len);
    if (count > 1 && hit(sim, sim->options.short_chance, &sim->counts.shorts)) {
        count = 1 + random_below(&sim->random, count - 1);
        tell(sim, socket, IO_READ); /* the rest arrives later */
    }
    size_t cap = sim->options.capacity;
    for (size_t i = 0; i < count; i++)
        ((char *)data)[i] = socket->data[(socket->start + i) % cap];
    socket->start = (socket->start + count) % cap;
    socket->len -= count;
    struct sim_socket *peer = socket_of(sim, socket->peer);
    if (peer != NULL && peer->wants_write && socket->len < cap / 2) {
        peer->wants_write = false;
        tell(sim, peer, IO_WRITE);
    }
    return (ssize_t)count;
}

static size_t put(struct sim *sim, struct sim_socket *to, const struct iovec *parts, int count,
                  size_t max)
{
    size_t cap = sim->options.capacity, done = 0;
    for (int i = 0; i < count; i++) {
        const char *bytes = parts[i].iov_base;
        for (size_t j = 0; j < parts[i].iov_len && done < max; j++, done++)
            to->data[(to->start + to->len++) % cap] = bytes[j];
    }
    return done;
}

static ssize_t sim_send(void *state, int fd, const struct iovec *parts, int count)
{
    struct sim *sim = state;
    struct sim_socket *socket = socket_of(sim, fd);
    if (socket == NULL || socket->listening || socket->connecting)
        return fail_with(socket == NULL ? EBADF : ENOTCONN);
    if (!socket->reset && hit(sim, sim->options.reset_chance, &sim->counts.resets))
        break_both(sim, socket);
    struct sim_socket *peer = socket_of(sim, socket->peer);
    if (peer == NULL && !socket->reset && !socket->write_ended)
        break_both(sim, socket); /* a closed peer answers with a reset */
    if (socket->reset || socket->write_ended || peer == NULL)
        return fail_with(EPIPE);
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    size_t max = MIN(total, sim->options.capacity - peer->len);
    if (max > 0 && hit(sim, sim->options.again_chance, &sim->counts.agains)) {
        tell(sim, socket, IO_WRITE);
        return fail_with(EAGAIN);
    }
    if (max == 0) {
        socket->wants_write = true;
        return fail_with(EAGAIN);
    }
    if (max > 1 && hit(sim, sim->options.short_chance, &sim->counts.shorts)) {
        max = 1 + random_below(&sim->random, max - 1);
        tell(sim, socket, IO_WRITE);
    } else if (max < total) {
        socket->wants_write = true;
    }
    size_t sent = put(sim, peer, parts, count, max);
    sim->counts.bytes += sent;
    tell(sim, peer, IO_READ);
    return (ssize_t)sent;
}

static int sim_accept(void *state, int fd, struct sockaddr_storage *peer, socklen_t *len)
{
    struct sim *sim = state;
    struct sim_socket *listener = socket_of(sim, fd);
    if (listener == NULL || !listener->listening)
        return fail_with(EBADF);
    if (listener->queue_count == 0 || listener->queue[0].at_ns > sim->now_ns)
        return fail_with(EAGAIN);
    if (hit(sim, sim->options.accept_chance, &sim->counts.exhausted))
        return fail_with(EMFILE);
    int accepted = listener->queue[0].fd;
    memmove(listener->queue, listener->queue + 1, --listener->queue_count * sizeof(struct queued));
    struct sim_socket *socket = socket_of(sim, accepted);
    CHECK(socket != NULL);
    *len = MIN(*len, socket->address_len);
    memcpy(peer, &socket->address, *len);
    return accepted;
}

static bool same_address(const struct sim_socket *socket, const struct sockaddr *to, socklen_t len)
{
    return socket->open && socket->listening && socket->address_len == len &&
           memcmp(&socket->address, to, len) == 0;
}

static void meet(struct sim *sim, struct sim_socket *client, struct sim_socket *listener)
{
    struct sim_socket *server = socket_new(sim);
    server->peer = client->fd;
    client->peer = server->fd;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(sim->next_port++)};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(&server->address, &from, sizeof(from));
    server->address_len = sizeof(from);
    listener->queue = memory_grow(listener->queue, listener->queue_count, &listener->queue_cap,
                                  sizeof(struct queued));
    listener->queue[listener->queue_count++] = (struct queued){server->fd, later(sim)};
}

static int sim_connect(void *state, const struct sockaddr *to, socklen_t len)
{
    struct sim *sim = state;
    struct sim_socket *client = socket_new(sim);
    client->connecting = true;
    sim->counts.connects++;
    if (hit(sim, sim->options.hang_chance, &sim->counts.hangs))
        return client->fd;
    struct sim_socket *listener = NULL;
    for (size_t i = 0; i < sim->count && listener == NULL; i++) {
        if (same_address(sim->sockets[i], to, len))
            listener = sim->sockets[i];
    }
    bool refused = hit(sim, sim->options.refuse_chance, &sim->counts.refusals);
    if (listener == NULL || refused) {
        client->result = ECONNREFUSED;
        tell(sim, client, EVERYTHING);
    } else {
        meet(sim, client, listener);
        tell(sim, client, IO_WRITE);
    }
    return client->fd;
}

static int sim_connect_result(void *state, int fd)
{
    struct sim_socket *socket = socket_of(state, fd);
    if (socket == NULL)
        return EBADF;
    socket->connecting = false;
    return socket->reset ? ECONNRESET : socket->result;
}

static int sim_shutdown_write(void *state, int fd)
{
    struct sim *sim = state;
    struct sim_socket *socket = socket_of(sim, fd);
    if (socket == NULL)
        return fail_with(EBADF);
    struct sim_socket *peer = socket_of(sim, socket->peer);
    if (!socket->write_ended && peer != NULL && !socket->reset) {
        peer->read_ended = true;
        tell(sim, peer, IO_READ | IO_END);
    }
    socket->write_ended = true;
    return 0;
}

static int sim_close(void *state, int fd)
{
    struct sim *sim = state;
    struct sim_socket *socket = socket_of(sim, fd);
    if (socket == NULL)
        return fd < FD_BASE ? close(fd) : fail_with(EBADF);
    for (size_t i = 0; i < socket->queue_count; i++)
        (void)sim_close(sim, socket->queue[i].fd);
    if (socket->len > 0 && !socket->reset)
        break_both(sim, socket); /* bytes that nobody will read */
    (void)sim_shutdown_write(sim, fd);
    socket->open = socket->watched = false;
    free(socket->data);
    free(socket->queue);
    socket->data = NULL;
    socket->queue = NULL;
    return 0;
}

struct io *io_sim_new(const struct io_sim_options *options)
{
    struct sim *sim = memory_new(struct sim);
    sim->options = *options;
    if (sim->options.capacity == 0)
        sim->options.capacity = CAPACITY;
    sim->now_ns = START_NS;
    sim->next_port = 20000;
    random_seed(&sim->random, options->seed);
    sim->io = (struct io){
        .state = sim,
        .now_ns = sim_now_ns,
        .wall_ns = sim_wall_ns,
        .seed = sim_seed,
        .watch = sim_watch,
        .watch_level = sim_watch_level,
        .unwatch = sim_unwatch,
        .wait = sim_wait,
        .recv = sim_recv,
        .send = sim_send,
        .accept = sim_accept,
        .connect = sim_connect,
        .connect_result = sim_connect_result,
        .shutdown_write = sim_shutdown_write,
        .close = sim_close,
    };
    return &sim->io;
}

void io_sim_free(struct io *io)
{
    if (io == NULL)
        return;
    struct sim *sim = io->state;
    for (size_t i = 0; i < sim->count; i++) {
        if (sim->sockets[i]->open)
            (void)sim_close(sim, sim->sockets[i]->fd);
    }
    for (size_t i = 0; i < sim->count; i++)
        free(sim->sockets[i]);
    free(sim->sockets);
    free(sim);
}

int io_sim_listen(struct io *io, const struct sockaddr *address, socklen_t len)
{
    struct sim *sim = io->state;
    for (size_t i = 0; i < sim->count; i++) {
        if (same_address(sim->sockets[i], address, len))
            return fail_with(EADDRINUSE);
    }
    struct sim_socket *socket = socket_new(sim);
    socket->listening = true;
    memcpy(&socket->address, address, len);
    socket->address_len = len;
    return socket->fd;
}

void io_sim_set_faults(struct io *io, const struct io_sim_options *options)
{
    struct sim *sim = io->state;
    uint32_t capacity = sim->options.capacity;
    sim->options = *options;
    sim->options.capacity = capacity;
}

void io_sim_reset(struct io *io, int fd)
{
    struct sim *sim = io->state;
    struct sim_socket *socket = socket_of(sim, fd);
    if (socket != NULL)
        break_both(sim, socket);
}

void io_sim_sleep(struct io *io, uint64_t ms)
{
    ((struct sim *)io->state)->now_ns += ms * 1000000;
}

const struct io_sim_counts *io_sim_counts(const struct io *io)
{
    return &((struct sim *)io->state)->counts;
}

uint32_t io_sim_open_sockets(const struct io *io)
{
    const struct sim *sim = io->state;
    uint32_t count = 0;
    for (size_t i = 0; i < sim->count; i++)
        count += sim->sockets[i]->open;
    return count;
}
