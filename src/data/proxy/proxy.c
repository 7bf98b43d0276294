/* Client connections: taken in, counted, drained; their requests become transfers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/proxy.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/proxy/mirror.h"
#include "data/proxy/peek.h"
#include "data/proxy/transfer.h"
#include "data/proxy/tunnel.h"

bool proxy_init(struct proxy *proxy, const struct proxy_options *options)
{
    *proxy = (struct proxy){
        .loop = options->loop,
        .worker = options->worker,
        .handshakes = options->handshakes,
        .fd_max = options->fd_max,
    };
    proxy->metrics = metrics_new();
    pool_set_init(&proxy->pools, options->loop);
    pressure_open(proxy);
    if (!access_log_open(&proxy->log, options->loop, proxy->metrics, options->access_log,
                         options->log_as_text, options->node))
        return false;
    return options->bells == NULL || pool_set_join(&proxy->pools, options->bells, options->index);
}

void proxy_fini(struct proxy *proxy)
{
    if (proxy->loop == NULL)
        return;
    CHECK(proxy->connections == NULL && proxy->pools.connection_count == 0);
    pool_set_fini(&proxy->pools);
    splice_pool_fini(&proxy->pipes);
    loop_disarm(proxy->loop, &proxy->sweep);
    access_log_close(&proxy->log);
    if (proxy->lease != NULL)
        lease_drop(proxy->lease);
    metrics_free(proxy->metrics);
    proxy->loop = NULL;
}

void proxy_adopt(struct proxy *proxy, struct lease *lease)
{
    struct lease *old = proxy->lease;
    proxy->lease = lease;
    pool_set_adopt(&proxy->pools, lease->snapshot);
    metrics_adopted(proxy->metrics, lease->snapshot);
    if (old != NULL)
        lease_drop(old);
}

/* -- connections -- */

static void unlink_connection(struct proxy *proxy, struct proxy_connection *connection)
{
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        proxy->connections = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    proxy->connection_count--;
}

static void on_connected(void *owner, struct http_connection *http)
{
    struct proxy_connection *connection = owner;
    (void)http;
    if (!connection->is_handshaking)
        return;
    connection->is_handshaking = false;
    uint64_t now_ns = loop_now_ns(connection->door->proxy->loop);
    metrics_door_handshake(connection->door->metrics, now_ns - connection->begun_ns, NULL);
}

static void on_stream(void *owner, struct http_stream *stream)
{
    transfer_begin(owner, stream);
}

static void on_refused(void *owner, struct http_connection *http, int status, const char *reason)
{
    (void)http, (void)status;
    struct proxy_connection *connection = owner;
    metrics_door_refused(connection->door->metrics, reason);
}

static void on_closed(void *owner, struct http_connection *http, enum err err)
{
    (void)err;
    struct proxy_connection *connection = owner;
    struct proxy_door *door = connection->door;
    if (connection->is_handshaking)
        metrics_door_handshake(door->metrics, 0, http->why == NULL ? "closed" : http->why);
    unlink_connection(door->proxy, connection);
    pressure_gone(door->proxy);
    free(connection->peer);
    free(connection->local);
    free(connection);
    proxy_door_leave(door);
}

static const struct http_connection_events CONNECTION_EVENTS = {
    .on_connected = on_connected,
    .on_stream = on_stream,
    .on_refused = on_refused,
    .on_closed = on_closed,
};

static struct proxy_connection *connection_new(struct proxy_door *door)
{
    struct proxy_connection *connection = memory_new(struct proxy_connection);
    connection->door = door;
    connection->begun_ns = loop_now_ns(door->proxy->loop);
    connection->is_handshaking = door->binding->tls != NULL;
    return connection;
}

static void link_connection(struct proxy_connection *connection)
{
    struct proxy *proxy = connection->door->proxy;
    if (connection->http == NULL) {
        free(connection);
        return;
    }
    connection->next = proxy->connections;
    if (proxy->connections != NULL)
        proxy->connections->previous = connection;
    proxy->connections = connection;
    proxy->connection_count++;
    proxy_door_enter(connection->door);
}

/* The server name is that of an HTTPS listener. */
static void on_https(struct proxy_door *door, struct stream *from, struct text early)
{
    struct proxy_connection *connection = connection_new(door);
    connection->http = http_take_over(from, early, door->binding->tls, &door->settings,
                                      &CONNECTION_EVENTS, connection);
    link_connection(connection);
}

/* What is no HTTP cannot be told 503. */
static bool is_shed(const struct proxy *proxy, const struct binding *binding)
{
    bool is_http = binding->protocol == LISTENER_HTTP || binding->protocol == LISTENER_HTTPS;
    return proxy->pressure >= (is_http ? PRESSURE_CLOSED : PRESSURE_FULL);
}

void proxy_accept(struct proxy_door *door, int fd, const struct address *peer)
{
    struct proxy *proxy = door->proxy;
    if (UNLIKELY(proxy->connection_count + proxy->tunnel_count >= LIMIT_CONNECTIONS ||
                 fd >= proxy->fd_max || door->binding == NULL || is_shed(proxy, door->binding))) {
        struct io *io = loop_io(proxy->loop);
        metrics_add(&proxy->metrics->connections_limited, 1);
        io->close(io->state, fd);
        return;
    }
    if (UNLIKELY(door->binding->peeks)) {
        peek_begin(door, fd, peer, on_https);
        return;
    }
    if (UNLIKELY(door->binding->protocol == LISTENER_TCP)) {
        tunnel_accept(door, fd, peer);
        return;
    }
    struct proxy_connection *connection = connection_new(door);
    connection->http = http_serve(proxy->loop, fd, peer, door->binding->tls, &door->settings,
                                  &CONNECTION_EVENTS, connection);
    link_connection(connection);
}

void proxy_drain(struct proxy *proxy, const struct proxy_door *door, uint32_t idle_ms)
{
    struct proxy_connection *next;
    uint32_t count = 0, at_most = 1;
    if (door == NULL)
        proxy->is_draining = true;
    for (struct proxy_connection *at = proxy->connections; at != NULL; at = at->next)
        at_most++;
    for (struct proxy_connection *at = proxy->connections; at != NULL; at = next) {
        next = at->next;
        if (door == NULL || at->door == door)
            http_drain(at->http, idle_ms + (uint32_t)((uint64_t)idle_ms * count++ / at_most / 2));
    }
}

void proxy_close(struct proxy *proxy)
{
    struct proxy_connection *next;
    for (struct proxy_connection *at = proxy->connections; at != NULL; at = next) {
        next = at->next;
        http_close(at->http, ERR_CLOSED);
    }
    peek_close_all(proxy);
    tunnel_close_all(proxy);
    mirror_close_all(proxy);
    pool_set_close(&proxy->pools);
    access_log_flush(&proxy->log);
}

bool proxy_is_idle(const struct proxy *proxy)
{
    return proxy->connections == NULL && proxy->transfer_count == 0 && proxy->tunnels == NULL &&
           proxy->peeks == NULL && proxy->flow_count == 0;
}

/* -- facts -- */

struct tls_certificate *proxy_pick_certificate(void *owner, const struct tls_hello *hello,
                                               struct tls_context **ret_rules)
{
    const struct proxy_door *door = owner;
    const struct binding *binding = door->binding;
    if (binding == NULL)
        return NULL;
    const struct listener_config *listener = binding_listener(binding, hello->server_name);
    if (listener == NULL || listener->tls == NULL)
        return NULL;
    *ret_rules = listener->tls;
    return tls_choose(listener->certificates, listener->certificate_count, hello);
}

static void tell_of_refusal(struct proxy *proxy, const struct address *peer, uint64_t now_ns)
{
    char host[ADDRESS_TEXT_MAX];
    uint64_t pause_ns = LIMIT_HANDSHAKE_TOLD_MS * UINT64_C(1000000);
    if (proxy->handshakes_told_ns != 0 && now_ns - proxy->handshakes_told_ns < pause_ns)
        return;
    proxy->handshakes_told_ns = now_ns;
    log_warn("an address begins more TLS handshakes than --handshake-rate lets it",
             log_text("client", address_format_host(peer, host)));
}

bool proxy_admit_handshake(void *owner, const struct address *peer)
{
    const struct proxy_door *door = owner;
    struct proxy *proxy = door->proxy;
    struct text client = address_client(peer);
    if (proxy->handshakes == NULL || client.len == 0)
        return true;
    uint64_t now_ns = loop_now_ns(proxy->loop);
    if (handshakes_admit(proxy->handshakes, client, now_ns))
        return true;
    tell_of_refusal(proxy, peer, now_ns);
    return false;
}
