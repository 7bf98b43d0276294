/* The worker's life: adopts snapshots between two turns, opens and closes doors, drains, ends. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/worker/worker.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/memory.h"
#include "data/proxy/udp.h"
#include "net/tls.h"

#define DRAIN_CHECK_MS 5

enum mail_kind { MAIL_ADOPT, MAIL_DRAIN, MAIL_REOPEN, MAIL_PRESSURE, MAIL_STOP };

struct worker_mail {
    struct mail mail; /* first */
    enum mail_kind kind;
    struct worker *worker;
    struct worker_answer answer;
    struct snapshot *snapshot;     /* shares */
    struct worker_socket *sockets; /* owns */
    size_t count;
    enum pressure pressure;
    uint32_t idle_ms;
};

/* -- doors -- */

static void on_accept(void *owner, int fd, const struct address *peer)
{
    struct worker_door *door = owner;
    proxy_accept(&door->door, fd, peer);
}

static void door_free(struct proxy_door *proxy_door)
{
    struct worker_door *door = CONTAINER_OF(proxy_door, struct worker_door, door);
    struct worker_door **at = &door->worker->doors;
    while (*at != door)
        at = &(*at)->next;
    *at = door->next;
    free(door);
}

/* Takes what the kernel has accepted for us already: closing the socket would reset it. */
static void take_backlog(struct worker_door *door)
{
    uint32_t before;
    do {
        before = door->door.connections;
        door->listener.watch.on_ready(door->listener.watch.owner, IO_READ);
    } while (door->door.connections > before);
}

static void stop_accepting(struct worker_door *door)
{
    if (door->door.is_closed)
        return;
    take_backlog(door);
    listener_close(&door->listener);
    door->door.is_closed = true;
}

static void close_door(struct worker_door *door)
{
    stop_accepting(door);
    proxy_door_bind(&door->door, NULL);
    proxy_drain(&door->worker->proxy, &door->door, LIMIT_DRAIN_IDLE_MS);
    if (door->door.connections == 0)
        door_free(&door->door);
}

/* What a client that is connected has begun with. */
static enum listener_protocol speaks(const struct binding *binding)
{
    return binding->protocol == LISTENER_TLS ? LISTENER_HTTPS : binding->protocol;
}

static void bind_door(struct worker_door *door, const struct binding *binding)
{
    if (binding->tls != NULL && !door->worker->is_seeded) {
        tls_seed(); /* before the first handshake, which would wait for it with everybody else */
        door->worker->is_seeded = true;
    }
    proxy_door_bind(&door->door, binding);
    door->speaks = speaks(binding);
}

static void open_door(struct worker *worker, const struct worker_socket *socket,
                      const struct binding *binding)
{
    struct worker_door *door = memory_new(struct worker_door);
    proxy_door_init(&door->door, &worker->proxy, &socket->address);
    door->door.on_empty = door_free;
    door->worker = worker;
    bind_door(door, binding);
    door->listener =
        (struct listener){.address = socket->address, .owner = door, .on_accept = on_accept};
    door->next = worker->doors;
    worker->doors = door;
    if (!listener_start(&door->listener, worker->loop, socket->fd)) {
        door->door.is_closed = true;
        door_free(&door->door);
    }
}

static void adopt_udp(struct worker *worker, const struct snapshot *snapshot)
{
    size_t kept = 0;
    for (size_t i = 0; i < worker->udp_count; i++) {
        struct udp_door *udp = worker->udp_doors[i];
        const struct binding *binding = snapshot_binding(snapshot, udp_address(udp), true);
        if (binding == NULL) {
            udp_close(udp);
            continue;
        }
        udp_bind(udp, binding);
        worker->udp_doors[kept++] = udp;
    }
    worker->udp_count = kept;
}

static void open_udp(struct worker *worker, const struct worker_socket *socket,
                     const struct binding *binding)
{
    struct udp_door *udp = udp_open(&worker->proxy, &socket->address, socket->fd, binding);
    if (udp == NULL)
        return;
    worker->udp_doors = memory_grow(worker->udp_doors, worker->udp_count, &worker->udp_cap,
                                    sizeof(struct udp_door *));
    worker->udp_doors[worker->udp_count++] = udp;
}

/* Doors first: they borrow from the snapshot whose lease the proxy drops then. */
void worker_adopt(struct worker *worker, struct snapshot *snapshot,
                  const struct worker_socket *sockets, size_t count)
{
    struct worker_door *next;
    for (struct worker_door *door = worker->doors; door != NULL; door = next) {
        next = door->next;
        const struct binding *binding =
            door->door.is_closed && door->door.binding == NULL
                ? NULL
                : snapshot_binding(snapshot, &door->door.address, false);
        if (binding == NULL) {
            if (door->door.binding != NULL)
                close_door(door);
            continue;
        }
        bool changes = door->speaks != speaks(binding);
        bind_door(door, binding);
        if (changes) /* what is open speaks the other protocol */
            proxy_drain(&worker->proxy, &door->door, LIMIT_DRAIN_IDLE_MS);
    }
    for (size_t i = 0; i < count; i++) {
        const struct binding *binding =
            snapshot_binding(snapshot, &sockets[i].address, sockets[i].is_udp);
        CHECK(binding != NULL);
        if (sockets[i].is_udp)
            open_udp(worker, &sockets[i], binding);
        else
            open_door(worker, &sockets[i], binding);
    }
    adopt_udp(worker, snapshot);
    proxy_adopt(&worker->proxy, lease_new(snapshot));
    if (worker->proxy.is_draining)
        worker_drain(worker, worker->drain_idle_ms);
}

void worker_drain(struct worker *worker, uint32_t idle_ms)
{
    worker->drain_idle_ms = idle_ms;
    for (struct worker_door *door = worker->doors; door != NULL; door = door->next)
        stop_accepting(door);
    for (size_t i = 0; i < worker->udp_count; i++)
        udp_drain(worker->udp_doors[i]);
    proxy_drain(&worker->proxy, NULL, idle_ms);
}

/* -- mail -- */

static void mail_free(struct worker_mail *mail)
{
    snapshot_unref(mail->snapshot);
    free(mail->sockets);
    free(mail);
}

static void deliver_answer(struct mail *mail, void *owner)
{
    struct worker_mail *answer = (struct worker_mail *)(void *)mail;
    worker_reply reply = answer->answer.reply;
    struct worker *worker = answer->worker;
    mail_free(answer);
    reply(owner, worker);
}

static void send_answer(struct worker_mail *mail)
{
    if (mail->answer.reply == NULL) {
        mail_free(mail);
        return;
    }
    mail->mail.deliver = deliver_answer;
    mailbox_post(mail->answer.reply_to, &mail->mail);
}

static void check_drained(void *owner)
{
    struct worker *worker = owner;
    struct worker_mail *reply = worker->drain_reply;
    if (reply == NULL)
        return;
    if (!proxy_is_idle(&worker->proxy)) {
        loop_arm(worker->loop, &worker->drain_check, DRAIN_CHECK_MS);
        return;
    }
    access_log_flush(&worker->proxy.log);
    worker->drain_reply = NULL;
    send_answer(reply);
}

static void deliver(struct mail *generic, void *owner)
{
    struct worker *worker = owner;
    struct worker_mail *mail = (struct worker_mail *)(void *)generic;
    switch (mail->kind) {
    case MAIL_ADOPT:
        worker_adopt(worker, mail->snapshot, mail->sockets, mail->count);
        break;
    case MAIL_DRAIN:
        worker_drain(worker, mail->idle_ms);
        if (worker->drain_reply == NULL) {
            worker->drain_reply = mail;
            check_drained(worker);
            return;
        }
        break;
    case MAIL_REOPEN:
        access_log_reopen(&worker->proxy.log);
        break;
    case MAIL_PRESSURE:
        pressure_set(&worker->proxy, mail->pressure);
        break;
    case MAIL_STOP:
        worker->is_stopping = true;
        break;
    }
    send_answer(mail);
}

static struct worker_mail *mail_new(struct worker *worker, enum mail_kind kind)
{
    struct worker_mail *mail = memory_new(struct worker_mail);
    mail->mail.deliver = deliver;
    mail->kind = kind;
    mail->worker = worker;
    return mail;
}

static void post(struct worker_mail *mail)
{
    mailbox_post(&mail->worker->mailbox, &mail->mail);
}

void worker_post_adopt(struct worker *worker, struct snapshot *snapshot,
                       const struct worker_socket *sockets, size_t count,
                       struct worker_answer answer)
{
    struct worker_mail *mail = mail_new(worker, MAIL_ADOPT);
    mail->snapshot = snapshot_ref(snapshot);
    mail->count = count;
    if (count > 0) {
        mail->sockets = memory_alloc(count * sizeof(*sockets));
        memcpy(mail->sockets, sockets, count * sizeof(*sockets));
    }
    mail->answer = answer;
    post(mail);
}

void worker_post_drain(struct worker *worker, uint32_t idle_ms, struct worker_answer answer)
{
    struct worker_mail *mail = mail_new(worker, MAIL_DRAIN);
    mail->idle_ms = idle_ms;
    mail->answer = answer;
    post(mail);
}

void worker_post_reopen(struct worker *worker)
{
    post(mail_new(worker, MAIL_REOPEN));
}

void worker_post_pressure(struct worker *worker, enum pressure level)
{
    struct worker_mail *mail = mail_new(worker, MAIL_PRESSURE);
    mail->pressure = level;
    post(mail);
}

void worker_post_stop(struct worker *worker)
{
    post(mail_new(worker, MAIL_STOP));
}

/* -- life -- */

/* The kernel gives the lowest free number, so that a number tells how many are in use. */
static int client_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
        return INT_MAX;
    return MAX((int)limit.rlim_cur - LIMIT_FD_RESERVE, (int)limit.rlim_cur / 2);
}

struct worker *worker_new(const struct worker_options *options)
{
    struct worker *worker = memory_new(struct worker);
    worker->index = options->index;
    worker->loop = loop_new(options->io);
    struct proxy_options proxy = {
        .loop = worker->loop,
        .worker = worker,
        .access_log = options->access_log,
        .log_as_text = options->log_as_text,
        .node = options->node,
        .bells = options->bells,
        .handshakes = options->handshakes,
        .index = options->index,
        .fd_max = options->io == NULL ? client_descriptors() : INT_MAX,
    };
    if (worker->loop == NULL || !mailbox_init(&worker->mailbox, worker->loop, worker))
        goto fail;
    timer_init(&worker->drain_check, worker, check_drained);
    if (proxy_init(&worker->proxy, &proxy))
        return worker;
    proxy_fini(&worker->proxy);
    mailbox_fini(&worker->mailbox);
fail:
    if (worker->loop != NULL)
        loop_free(worker->loop);
    free(worker);
    return NULL;
}

/* Nothing is served any more: every connection of both sides ends, then the memory goes. */
static void wind_up(struct worker *worker)
{
    struct worker_door *next;
    for (size_t i = 0; i < worker->udp_count; i++)
        udp_close(worker->udp_doors[i]);
    worker->udp_count = 0;
    proxy_close(&worker->proxy);
    for (struct worker_door *door = worker->doors; door != NULL; door = next) {
        next = door->next;
        listener_close(&door->listener);
        door->door.is_closed = true;
        if (door->door.connections == 0)
            door_free(&door->door);
    }
    while (!proxy_is_idle(&worker->proxy) || worker->proxy.pools.connection_count > 0)
        loop_turn(worker->loop, 10);
    if (worker->drain_reply != NULL)
        send_answer(worker->drain_reply);
    worker->drain_reply = NULL;
    loop_disarm(worker->loop, &worker->drain_check);
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    while (!worker->is_stopping)
        loop_turn(worker->loop, -1);
    wind_up(worker);
    return NULL;
}

bool worker_start(struct worker *worker)
{
    worker->has_thread = pthread_create(&worker->thread, NULL, run, worker) == 0;
    return worker->has_thread;
}

void worker_free(struct worker *worker)
{
    if (worker == NULL)
        return;
    if (worker->has_thread)
        pthread_join(worker->thread, NULL);
    else
        wind_up(worker);
    proxy_fini(&worker->proxy);
    mailbox_fini(&worker->mailbox);
    loop_free(worker->loop);
    free(worker->udp_doors);
    free(worker);
}
