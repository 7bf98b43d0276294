/* One heir at a time; who may connect is decided by the directory's mode and the peer's uid. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/take_over.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"

#define SOCKETS_MAX 65536

static bool place(const char *state_dir, struct address *ret_address)
{
    char path[sizeof(ret_address->local.sun_path) + 8];
    int len = snprintf(path, sizeof(path), "unix:%s/take-over.sock", state_dir);
    return len > 0 && (size_t)len < sizeof(path) &&
           address_parse_endpoint(text_from(path, (size_t)len), ret_address);
}

static bool is_own(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == geteuid();
}

/* -- the new one -- */

/* At start, before there is a loop: waits in the kernel, with a limit. */
static enum err receive_all(int fd, struct handover *sockets)
{
    enum err err;
    char what = 0;
    do
        err = handover_receive(fd, &what, sockets);
    while (err == ERR_NONE && what == 'S');
    return err == ERR_NONE && what != 'E' ? ERR_PROTOCOL : err;
}

bool take_over_ask(const char *state_dir, struct take_over_claim *ret_claim, const char **ret_why)
{
    struct address address;
    struct timeval wait = {.tv_sec = LIMIT_TAKE_OVER_ASK_MS / 1000};
    *ret_claim = (struct take_over_claim){.fd = -1};
    if (!place(state_dir, &address)) {
        *ret_why = "the path of the state directory is too long for a socket";
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, &address.any, address.len) != 0) {
        bool is_nobody = fd >= 0 && (errno == ENOENT || errno == ECONNREFUSED);
        *ret_why = is_nobody ? NULL : strerrordesc_np(errno);
        if (fd >= 0)
            close(fd);
        return is_nobody;
    }
    ret_claim->fd = fd;
    *ret_why = "it belongs to another user";
    if (is_own(fd) && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) == 0) {
        enum err err = receive_all(fd, &ret_claim->sockets);
        if (err == ERR_NONE)
            return true;
        *ret_why = err == ERR_AGAIN ? "it does not answer" : "it did not hand over its sockets";
    }
    take_over_fini(ret_claim);
    return false;
}

void take_over_confirm(struct take_over_claim *claim)
{
    if (claim->fd < 0)
        return;
    struct handover none = {0};
    char what = 0;
    if (!handover_send(claim->fd, 'R', NULL, 0))
        log_warn("the data plane before is gone already", log_str("why", strerrordesc_np(errno)));
    else if (handover_receive(claim->fd, &what, &none) != ERR_CLOSED)
        log_warn("the data plane before does not say that it retires",
                 log_str("why", err_name(ERR_TIMEOUT)));
    handover_fini(&none);
    close(claim->fd);
    claim->fd = -1;
}

void take_over_fini(struct take_over_claim *claim)
{
    if (claim->fd >= 0)
        close(claim->fd);
    claim->fd = -1;
    handover_fini(&claim->sockets);
}

/* -- the old one -- */

static void drop_heir(struct take_over *take_over)
{
    int fd = take_over->heir.fd;
    if (fd < 0)
        return;
    loop_disarm(take_over->loop, &take_over->patience);
    loop_unwatch(take_over->loop, &take_over->heir);
    take_over->heir.fd = -1;
    close(fd);
}

static void on_impatient(void *owner)
{
    log_error("the data plane that was to follow is not ready in time; this one serves on",
              log_int("waited_ms", LIMIT_TAKE_OVER_MS));
    drop_heir(owner);
}

static void on_heir(void *owner, uint32_t events)
{
    (void)events;
    struct take_over *take_over = owner;
    struct handover none = {0};
    char what = 0;
    enum err err = handover_receive(take_over->heir.fd, &what, &none);
    handover_fini(&none);
    if (err == ERR_AGAIN)
        return;
    if (err == ERR_NONE && what == 'R') {
        take_over->events->on_taken(take_over->owner); /* closes us: then the new one goes on */
        return;
    }
    drop_heir(take_over);
    log_error("the data plane that was to follow has ended; this one serves on",
              log_str("why", err_name(err)));
}

static bool send_sockets(struct take_over *take_over, int fd)
{
    int *fds = memory_alloc(SOCKETS_MAX * sizeof(int));
    size_t count = take_over->events->on_sockets(take_over->owner, fds, SOCKETS_MAX - 1);
    fds[count++] = take_over->listener.watch.fd;
    bool is_sent = true;
    for (size_t at = 0; at < count && is_sent; at += HANDOVER_BATCH)
        is_sent = handover_send(fd, 'S', fds + at, MIN(count - at, (size_t)HANDOVER_BATCH));
    free(fds);
    log_info("handing over", log_int("sockets", (int64_t)count));
    return is_sent && handover_send(fd, 'E', NULL, 0);
}

static void on_accept(void *owner, int fd, const struct address *peer)
{
    (void)peer;
    struct take_over *take_over = owner;
    if (take_over->heir.fd >= 0 || !is_own(fd) || !send_sockets(take_over, fd)) {
        log_warn("sockets are not handed over",
                 log_str("why", take_over->heir.fd >= 0 ? "another takes over" : "no use to it"));
        close(fd);
        return;
    }
    take_over->heir = (struct watch){.fd = fd, .owner = take_over, .on_ready = on_heir};
    if (!loop_watch_level(take_over->loop, &take_over->heir)) {
        take_over->heir.fd = -1;
        close(fd);
        return;
    }
    loop_arm(take_over->loop, &take_over->patience, LIMIT_TAKE_OVER_MS);
}

bool take_over_open(struct take_over *take_over, struct loop *loop, const char *state_dir,
                    struct handover *sockets, const struct take_over_events *events, void *owner)
{
    struct address address;
    *take_over = (struct take_over){.loop = loop, .events = events, .owner = owner};
    take_over->heir.fd = -1;
    timer_init(&take_over->patience, take_over, on_impatient);
    if (!place(state_dir, &address)) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = handover_take(sockets, &address, false);
    if (fd < 0)
        fd = listener_open(&address, false);
    if (fd < 0)
        return false;
    take_over->listener.owner = take_over;
    take_over->listener.on_accept = on_accept;
    return listener_start(&take_over->listener, loop, fd);
}

void take_over_close(struct take_over *take_over)
{
    if (take_over->loop == NULL)
        return;
    drop_heir(take_over);
    listener_close(&take_over->listener);
}
