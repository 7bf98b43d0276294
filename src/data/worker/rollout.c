/* One snapshot at a time to all workers, and the counting of their answers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/worker/rollout.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/datagram.h"

/* A socket and the worker that has it. Several workers share an address, and one may have several
 * sockets of it: a process that follows another may have fewer workers. */
struct bound {
    struct worker_socket socket;
    uint32_t worker;
    bool is_new; /* not with its worker yet */
};

struct rollout {
    struct loop *loop;
    struct mailbox mailbox;
    const struct rollout_events *events;
    void *owner;
    struct worker **workers; /* owns */
    struct pool_bells *bells;
    struct handshakes *handshakes; /* owns; NULL: unbounded */
    uint32_t count;
    struct snapshot *current, *next; /* share */
    uint32_t waiting;                /* answers to `next` that are missing */
    uint32_t draining;               /* answers to the drain that are missing */
    bool is_draining;
    struct handover *inherited;
    struct bound *bound; /* owns: what the workers listen on */
    size_t bound_count, bound_cap;
};

struct rollout *rollout_new(const struct rollout_options *options)
{
    struct rollout *rollout = memory_new(struct rollout);
    rollout->loop = options->loop;
    rollout->events = options->events;
    rollout->owner = options->owner;
    rollout->inherited = options->inherited;
    if (!mailbox_init(&rollout->mailbox, options->loop, rollout)) {
        free(rollout);
        return NULL;
    }
    rollout->bells = pool_bells_new();
    if (options->handshake_rate > 0)
        rollout->handshakes = handshakes_new(options->handshake_rate);
    rollout->workers = memory_alloc(options->workers * sizeof(struct worker *));
    for (uint32_t i = 0; i < options->workers; i++) {
        struct worker_options worker = {
            .index = i,
            .access_log = options->access_log,
            .log_as_text = options->log_as_text,
            .node = options->node,
            .bells = rollout->bells,
            .handshakes = rollout->handshakes,
        };
        rollout->workers[i] = worker_new(&worker);
        if (rollout->workers[i] == NULL || !worker_start(rollout->workers[i])) {
            int why = errno;
            worker_free(rollout->workers[i]);
            rollout_free(rollout);
            errno = why;
            return NULL;
        }
        rollout->count++;
    }
    return rollout;
}

void rollout_free(struct rollout *rollout)
{
    if (rollout == NULL)
        return;
    for (uint32_t i = 0; i < rollout->count; i++)
        worker_post_stop(rollout->workers[i]);
    for (uint32_t i = 0; i < rollout->count; i++)
        worker_free(rollout->workers[i]);
    while (rollout->waiting > 0 || rollout->draining > 0)
        loop_turn(rollout->loop, 0);
    mailbox_fini(&rollout->mailbox);
    pool_bells_unref(rollout->bells);
    handshakes_free(rollout->handshakes);
    snapshot_unref(rollout->current);
    free(rollout->workers);
    free(rollout->bound);
    free(rollout);
}

/* -- sockets -- */

static bool is_udp(const struct binding *binding)
{
    return binding->protocol == LISTENER_UDP;
}

static bool is_bound(const struct rollout *rollout, const struct binding *binding)
{
    for (size_t i = 0; i < rollout->bound_count; i++)
        if (rollout->bound[i].socket.is_udp == is_udp(binding) &&
            address_equal(&rollout->bound[i].socket.address, &binding->address))
            return true;
    return false;
}

static bool is_everywhere(const struct address *address)
{
    const struct sockaddr_in *in = (const void *)&address->storage;
    const struct sockaddr_in6 *in6 = (const void *)&address->storage;
    return address->any.sa_family == AF_INET
               ? in->sin_addr.s_addr == htonl(INADDR_ANY)
               : address->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

/* The port is ours on all addresses, or on one of those that are meant now: the kernel gives a
 * connection to the socket of its address, if there is one. */
static bool is_ours_in_part(const struct rollout *rollout, const struct binding *binding)
{
    for (size_t i = 0; i < rollout->bound_count; i++) {
        const struct worker_socket *socket = &rollout->bound[i].socket;
        if (socket->is_udp == is_udp(binding) &&
            socket->address.any.sa_family == binding->address.any.sa_family &&
            address_port(&socket->address) == address_port(&binding->address) &&
            (is_everywhere(&socket->address) || is_everywhere(&binding->address)))
            return true;
    }
    return false;
}

static void remember(struct rollout *rollout, const struct binding *binding, int fd,
                     uint32_t worker)
{
    rollout->bound = memory_grow(rollout->bound, rollout->bound_count, &rollout->bound_cap,
                                 sizeof(struct bound));
    rollout->bound[rollout->bound_count++] =
        (struct bound){{binding->address, fd, is_udp(binding)}, worker, true};
}

static int open_socket(const struct binding *binding, bool reuse_port)
{
    return is_udp(binding) ? datagram_open(&binding->address, reuse_port)
                           : listener_open(&binding->address, reuse_port);
}

/* A socket for every worker, and every inherited one with some worker: what waits in its queue
 * must be accepted. Without SO_REUSEPORT first: another process on the port is an error, not a
 * silent half of it. */
static bool open_address(struct rollout *rollout, const struct binding *binding)
{
    uint32_t count = 0;
    int fd;
    while ((fd = handover_take(rollout->inherited, &binding->address, is_udp(binding))) >= 0)
        remember(rollout, binding, fd, count++ % rollout->count);
    if (count == 0 && !is_ours_in_part(rollout, binding)) {
        int probe = open_socket(binding, false);
        if (probe < 0)
            return false;
        close(probe);
    }
    for (; count < rollout->count; count++) {
        fd = open_socket(binding, true);
        if (fd < 0)
            return false;
        remember(rollout, binding, fd, count);
    }
    return true;
}

static struct text hint_of(int number)
{
    switch (number) {
    case EADDRINUSE:
        return TEXT("Stop what listens there, or give the listener another port.");
    case EACCES:
        return TEXT("Ports below net.ipv4.ip_unprivileged_port_start (1024) take the capability "
                    "CAP_NET_BIND_SERVICE.");
    default:
        return TEXT("The address must be one of this machine.");
    }
}

static void add_fault(struct faults *faults, const struct binding *binding, int number)
{
    char text[ADDRESS_TEXT_MAX], why[128], where[512];
    int len = snprintf(
        where, sizeof(where), "Listener " TEXT_FMT,
        TEXT_ARG(binding->listener_count > 0 ? binding->listeners[0]->resource : TEXT("?")));
    struct fault fault = {
        .level = FAULT_ERROR,
        .code = number == EADDRINUSE ? "PortUnavailable" : "AddressNotUsable",
        .is_local = true,
        .where = text_from(where, MIN((size_t)len, sizeof(where) - 1)),
        .field = TEXT("port"),
        .hint = hint_of(number),
    };
    struct text address = address_format(&binding->address, text);
    faults_add(faults, &fault, "Cannot listen on " TEXT_FMT ": %s.", TEXT_ARG(address),
               strerror_r(number, why, sizeof(why)));
}

static void forget_new(struct rollout *rollout)
{
    while (rollout->bound_count > 0 && rollout->bound[rollout->bound_count - 1].is_new)
        close(rollout->bound[--rollout->bound_count].socket.fd);
}

/* Behind what is bound already, marked new; false: none stays open. */
static bool open_sockets(struct rollout *rollout, const struct snapshot *snapshot,
                         struct faults *faults)
{
    bool is_good = true;
    for (uint32_t i = 0; i < snapshot->binding_count; i++) {
        const struct binding *binding = snapshot->bindings[i];
        if (is_bound(rollout, binding) || open_address(rollout, binding))
            continue;
        add_fault(faults, binding, errno);
        is_good = false;
    }
    if (!is_good)
        forget_new(rollout);
    return is_good;
}

/* The workers close these when they adopt the snapshot: their numbers mean nothing from now on. */
static void forget_gone(struct rollout *rollout, const struct snapshot *snapshot)
{
    size_t kept = 0;
    for (size_t i = 0; i < rollout->bound_count; i++) {
        const struct worker_socket *socket = &rollout->bound[i].socket;
        if (snapshot_binding(snapshot, &socket->address, socket->is_udp) != NULL)
            rollout->bound[kept++] = rollout->bound[i];
    }
    rollout->bound_count = kept;
}

static size_t take_new(struct rollout *rollout, uint32_t worker, struct worker_socket *sockets)
{
    size_t count = 0;
    for (size_t i = 0; i < rollout->bound_count; i++)
        if (rollout->bound[i].is_new && rollout->bound[i].worker == worker) {
            sockets[count++] = rollout->bound[i].socket;
            rollout->bound[i].is_new = false;
        }
    return count;
}

size_t rollout_sockets(const struct rollout *rollout, int *fds, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < rollout->bound_count && count < max; i++) {
        /* A worker that could not watch its socket has closed it: the number may be another's. */
        struct address local = listener_local(rollout->bound[i].socket.fd);
        if (address_equal(&local, &rollout->bound[i].socket.address))
            fds[count++] = rollout->bound[i].socket.fd;
    }
    return count;
}

/* -- to the workers, and back -- */

static void on_adopted(void *owner, struct worker *worker)
{
    (void)worker;
    struct rollout *rollout = owner;
    CHECK(rollout->waiting > 0);
    if (--rollout->waiting > 0)
        return;
    snapshot_unref(rollout->current);
    rollout->current = rollout->next;
    rollout->next = NULL;
    rollout->events->on_done(rollout->owner, rollout->current);
}

enum err rollout_publish(struct rollout *rollout, struct snapshot *snapshot, struct faults *faults)
{
    CHECK(rollout->waiting == 0);
    if (!open_sockets(rollout, snapshot, faults))
        return ERR_INVALID;
    forget_gone(rollout, snapshot);
    struct worker_socket *sockets =
        memory_alloc((rollout->bound_count + 1) * sizeof(struct worker_socket));
    rollout->next = snapshot_ref(snapshot);
    rollout->waiting = rollout->count;
    for (uint32_t i = 0; i < rollout->count; i++)
        worker_post_adopt(rollout->workers[i], snapshot, sockets, take_new(rollout, i, sockets),
                          (struct worker_answer){&rollout->mailbox, on_adopted});
    free(sockets);
    return ERR_AGAIN;
}

bool rollout_is_busy(const struct rollout *rollout)
{
    return rollout->waiting > 0;
}

struct snapshot *rollout_current(const struct rollout *rollout)
{
    return rollout->current;
}

static void on_drained(void *owner, struct worker *worker)
{
    (void)worker;
    struct rollout *rollout = owner;
    if (--rollout->draining == 0)
        rollout->events->on_drained(rollout->owner);
}

void rollout_drain(struct rollout *rollout, uint32_t idle_ms)
{
    if (rollout->is_draining)
        return;
    rollout->is_draining = true;
    rollout->bound_count = 0; /* the workers close them now */
    rollout->draining = rollout->count;
    for (uint32_t i = 0; i < rollout->count; i++)
        worker_post_drain(rollout->workers[i], idle_ms,
                          (struct worker_answer){&rollout->mailbox, on_drained});
}

void rollout_reopen_logs(struct rollout *rollout)
{
    for (uint32_t i = 0; i < rollout->count; i++)
        worker_post_reopen(rollout->workers[i]);
}

void rollout_pressure(struct rollout *rollout, enum pressure level)
{
    for (uint32_t i = 0; i < rollout->count; i++)
        worker_post_pressure(rollout->workers[i], level);
}

uint32_t rollout_workers(const struct rollout *rollout, struct worker *const **ret_workers)
{
    *ret_workers = rollout->workers;
    return rollout->count;
}
