/* Listening, and who may connect. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/xds_server.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/memory.h"
#include "net/listener.h"
#include "net/tls.h"

#define LISTENERS_MAX 8

struct door {
    struct xds_server *server;
    struct listener listener;
    struct address address;
    struct tls_context *tls; /* shares; NULL: plain */
};

struct xds_server {
    struct loop *loop;
    struct delta_server *delta;    /* borrows */
    struct report_server *reports; /* borrows; may be NULL */
    struct grpc_server *grpc;      /* owns */
    struct guard *guard;           /* owns; NULL: TLS alone judges */
    struct door doors[LISTENERS_MAX];
    size_t door_count;
    uint64_t refused;
};

static void take_delta(void *owner, struct grpc_call *call)
{
    delta_server_call(((struct xds_server *)owner)->delta, call);
}

static void take_report(void *owner, struct grpc_call *call)
{
    report_server_call(((struct xds_server *)owner)->reports, call);
}

/* A Unix socket's peers are ours by their credentials. */
static bool must_prove(const struct xds_server *server, const struct grpc_call *call)
{
    return server->guard != NULL && call->stream->connection->stream.peer.any.sa_family != AF_UNIX;
}

static void on_delta(void *owner, struct grpc_call *call)
{
    struct xds_server *server = owner;
    if (must_prove(server, call))
        guard_hold(server->guard, call, take_delta, server);
    else
        take_delta(server, call);
}

static void on_report(void *owner, struct grpc_call *call)
{
    struct xds_server *server = owner;
    if (must_prove(server, call))
        guard_hold(server->guard, call, take_report, server);
    else
        take_report(server, call);
}

/* On a Unix socket the peer is a process of this user, or root's. */
static bool may_connect(struct xds_server *server, int fd, const struct door *door)
{
    if (door->address.any.sa_family != AF_UNIX)
        return true;
    struct ucred peer;
    socklen_t len = sizeof(peer);
    bool good = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
                (peer.uid == geteuid() || peer.uid == 0);
    server->refused += !good;
    return good;
}

static void on_accept(void *owner, int fd, const struct address *peer)
{
    struct door *door = owner;
    if (may_connect(door->server, fd, door))
        grpc_server_accept(door->server->grpc, fd, peer, door->tls);
    else
        close(fd);
}

struct xds_server *xds_server_new(struct loop *loop, struct delta_server *delta,
                                  struct report_server *reports)
{
    static const struct grpc_method METHODS[] = {{DELTA_METHOD, on_delta},
                                                 {REPORT_METHOD, on_report}};
    static const struct grpc_server_events EVENTS = {0};
    struct xds_server *server = memory_new(struct xds_server);
    server->loop = loop;
    server->delta = delta;
    server->reports = reports;
    server->grpc = grpc_server_new(loop, METHODS, reports == NULL ? 1 : 2, &EVENTS, server);
    return server;
}

void xds_server_certify(struct xds_server *server, struct tls_context *tls)
{
    for (size_t i = 0; i < server->door_count; i++) {
        struct door *door = &server->doors[i];
        if (door->tls == NULL)
            continue;
        tls_context_unref(door->tls);
        door->tls = tls_context_ref(tls);
    }
}

void xds_server_guard(struct xds_server *server, guard_ask ask, void *owner)
{
    CHECK(server->guard == NULL);
    server->guard = guard_new(ask, owner);
}

void xds_server_answer(struct xds_server *server, uint64_t ticket, struct text identity,
                       const char *why)
{
    guard_answer(server->guard, ticket, identity, why);
}

void xds_server_free(struct xds_server *server)
{
    if (server == NULL)
        return;
    guard_free(server->guard);
    for (size_t i = 0; i < server->door_count; i++) {
        struct door *door = &server->doors[i];
        if (door->address.any.sa_family == AF_UNIX)
            (void)unlink(door->address.local.sun_path); /* first: it may be another's after that */
        listener_close(&door->listener);
        if (door->tls != NULL)
            tls_context_unref(door->tls);
    }
    grpc_server_free(server->grpc);
    free(server);
}

const char *xds_server_listen(struct xds_server *server, const struct address *address,
                              struct tls_context *tls)
{
    if (server->door_count == LISTENERS_MAX)
        return "too many listening sockets";
    struct door *door = &server->doors[server->door_count];
    *door = (struct door){.server = server, .address = *address};
    int fd = listener_open(address, false);
    if (fd < 0)
        return errno == EADDRINUSE ? "the address is in use" : "the address cannot be bound";
    door->address.len = sizeof(door->address.storage);
    if (address->any.sa_family == AF_UNIX ||
        getsockname(fd, &door->address.any, &door->address.len) != 0)
        door->address = *address;
    door->listener.address = door->address;
    door->listener.owner = door;
    door->listener.on_accept = on_accept;
    if (!listener_start(&door->listener, server->loop, fd))
        return "the socket cannot be watched";
    if (tls != NULL)
        door->tls = tls_context_ref(tls);
    server->door_count++;
    return NULL;
}

const struct address *xds_server_address(const struct xds_server *server, size_t at)
{
    CHECK(at < server->door_count);
    return &server->doors[at].address;
}

uint64_t xds_server_refused(const struct xds_server *server)
{
    return server->refused;
}
