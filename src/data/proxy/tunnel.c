/* From the client's connection to the backend's, and the end of both. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/tunnel.h"

#include <stdlib.h>

#include "base/memory.h"
#include "data/proxy/relay.h"
#include "data/proxy/session.h"

enum tunnel_state {
    TUNNEL_CLIENT,  /* its PROXY header or its handshake is awaited */
    TUNNEL_BACKEND, /* being connected */
    TUNNEL_OPEN,
};

struct tunnel {
    struct proxy_door *door;
    struct tunnel *next, *previous;
    struct stream client, backend;
    struct relay up, down;
    struct exchange x;
    struct message request;
    struct listener_config *listener; /* shares */
    struct pool *pool;                /* of the backend chosen; in the lease */
    struct pool_endpoint *endpoint;   /* NULL: none */
    struct shared_room *room;         /* of the backend's connections; NULL: it has no limit */
    struct balancer_ask ask;
    struct timer idle;
    char *server_name; /* owns; "" for TCP */
    char *early;       /* owns: what was read of a client that is passed on */
    size_t early_len;
    const char *protocol;
    const char *termination;
    enum tunnel_state state;
    char backend_text[ADDRESS_TEXT_MAX];
};

/* -- the end -- */

static void leave_endpoint(struct tunnel *t)
{
    if (t->endpoint != NULL)
        pool_leave(t->endpoint);
    t->endpoint = NULL;
}

static void free_tunnel(struct tunnel *t)
{
    struct proxy *proxy = t->door->proxy;
    struct proxy_door *door = t->door;
    loop_disarm(proxy->loop, &t->idle);
    relay_fini(&t->up);
    relay_fini(&t->down);
    stream_close(&t->client);
    stream_close(&t->backend);
    leave_endpoint(t);
    pool_exit(t->room);
    if (t->previous != NULL)
        t->previous->next = t->next;
    else
        proxy->tunnels = t->next;
    if (t->next != NULL)
        t->next->previous = t->previous;
    proxy->tunnel_count--;
    listener_config_unref(t->listener);
    free(t->server_name);
    free(t->early);
    free(t);
    proxy_door_leave(door);
}

static void end(struct tunnel *t)
{
    struct address peer = t->client.peer, local = stream_local(&t->client);
    char backend_local[ADDRESS_TEXT_MAX];
    t->x.request_bytes = t->up.moved;
    t->x.response_bytes = t->down.moved;
    if (t->backend.loop != NULL) {
        struct address own = stream_local(&t->backend);
        t->x.upstream_local = address_format(&own, backend_local);
    }
    session_finish(&t->x, t->door->proxy,
                   &(struct session_end){
                       .protocol = t->protocol,
                       .peer = &peer,
                       .local = &local,
                       .server_name = text_of(t->server_name),
                       .tls_version = stream_tls_version(&t->client),
                       .termination = t->termination,
                   });
    free_tunnel(t);
}

/* Both sides hear of a reset: nothing is pretended to be whole. */
static void fail(struct tunnel *t, enum response_flag flag, const char *details)
{
    t->x.flag = flag;
    t->x.details = details;
    stream_set_abort(&t->client);
    stream_set_abort(&t->backend);
    end(t);
}

static void on_idle(void *owner)
{
    struct tunnel *t = owner;
    t->termination = "idle_timeout";
    end(t);
}

/* -- bytes -- */

static void wait_for_more(struct tunnel *t)
{
    uint32_t idle_ms = t->listener->limits.idle_ms;
    bool is_ending = t->up.lost || t->down.lost;
    if (idle_ms == 0)
        idle_ms = LIMIT_TUNNEL_IDLE_MS;
    loop_arm(t->x.loop, &t->idle, is_ending ? LIMIT_TUNNEL_END_MS : idle_ms);
}

static void move(struct tunnel *t)
{
    uint64_t before = t->down.moved;
    relay_move(&t->up);
    relay_move(&t->down);
    if (before == 0 && t->down.moved > 0)
        t->x.first_byte_ns = loop_now_ns(t->x.loop);
    if (t->up.done && t->up.broken)
        fail(t, FLAG_DC, "downstream_closed");
    else if (t->down.done && (t->down.broken || t->down.lost))
        fail(t, t->down.lost ? FLAG_DC : FLAG_UC,
             t->down.lost ? "downstream_closed" : "upstream_closed");
    else if (t->up.done && t->down.done)
        end(t);
    else
        wait_for_more(t);
}

static void open_relays(struct tunnel *t)
{
    struct proxy *proxy = t->door->proxy;
    t->state = TUNNEL_OPEN;
    pool_report(t->endpoint, HEALTH_GOOD);
    t->x.connect_ns = loop_now_ns(t->x.loop) - t->x.upstream_started_ns;
    relay_init(&t->up, &t->client, &t->backend, &proxy->pipes);
    relay_init(&t->down, &t->backend, &t->client, &proxy->pipes);
    if (t->early_len > 0)
        buffer_add(&t->up.bytes, t->early, t->early_len);
    free(t->early);
    t->early = NULL;
    move(t);
}

/* -- the backend -- */

static void on_backend(void *owner, uint32_t events);

static bool try_endpoint(struct tunnel *t, const struct backend *backend)
{
    struct pool_endpoint *next = pool_choose(t->pool, &t->ask);
    leave_endpoint(t); /* not before: the pool may stand for its sake alone */
    t->endpoint = next;
    if (next == NULL)
        return false;
    t->x.tries++;
    t->x.upstream_address = address_format(&t->endpoint->address, t->backend_text);
    t->x.upstream_started_ns = loop_now_ns(t->x.loop);
    if (t->ask.tried_count < BALANCER_TRIED_MAX)
        t->ask.tried[t->ask.tried_count++] = &t->endpoint->item;
    t->backend.owner = t;
    t->backend.on_event = on_backend;
    uint32_t connect_ms = backend->connect_timeout_ms;
    /* what passes through is the client's TLS, which the backend is to see as it came */
    struct tls_context *tls = t->listener->passthrough ? NULL : backend->tls;
    enum err err =
        stream_connect(&t->backend, t->x.loop, &t->endpoint->address, tls, backend->server_name,
                       connect_ms == 0 ? LIMIT_CONNECT_MS : connect_ms);
    if (err == ERR_NONE)
        return true;
    t->x.upstream_failure = t->backend.why;
    pool_report(t->endpoint, HEALTH_CONNECT_ERROR);
    return false;
}

/* The next endpoint that takes a connection; the tunnel ends when there is none. */
static void connect_backend(struct tunnel *t)
{
    const struct backend *backend = pool_backend(t->pool);
    while (t->x.tries <= LIMIT_CONNECT_RETRIES) {
        if (try_endpoint(t, backend))
            return;
        if (t->endpoint == NULL)
            break;
    }
    bool none = t->x.tries == 0;
    fail(t, none ? FLAG_UH : FLAG_UF, none ? "no_healthy_upstream" : "upstream_connect_failure");
}

static void on_backend(void *owner, uint32_t events)
{
    struct tunnel *t = owner;
    if ((events & STREAM_FAILED) != 0) {
        t->x.upstream_failure = t->backend.why;
        pool_report(t->endpoint, HEALTH_CONNECT_ERROR);
        stream_close(&t->backend);
        connect_backend(t);
    } else if (t->state != TUNNEL_OPEN && (events & STREAM_CONNECTED) != 0) {
        open_relays(t);
    } else if (t->state == TUNNEL_OPEN) {
        move(t);
    }
}

/* -- the client -- */

static void find_backend(struct tunnel *t)
{
    t->state = TUNNEL_BACKEND;
    bool is_routed = session_route(&t->x, t->listener, text_of(t->server_name));
    metrics_session_begin(t->door->proxy->metrics, &t->x);
    struct backend *backend = is_routed ? session_backend(&t->x) : NULL;
    if (backend == NULL) {
        fail(t, t->x.flag, t->x.details);
        return;
    }
    t->pool = pool_of(&t->door->proxy->pools, backend);
    if (!pool_enter(t->pool, &t->room)) {
        fail(t, FLAG_UO, "upstream_overflow");
        return;
    }
    session_ask(backend, &t->client.peer, &t->ask);
    connect_backend(t);
}

static void count_handshake(struct tunnel *t, const char *reason)
{
    if (t->listener->tls != NULL)
        metrics_door_handshake(t->door->metrics, loop_now_ns(t->x.loop) - t->x.started_ns, reason);
}

static void on_client(void *owner, uint32_t events)
{
    struct tunnel *t = owner;
    if ((events & STREAM_FAILED) != 0) {
        t->termination = t->client.why;
        t->x.listener = t->listener;
        if (t->state == TUNNEL_CLIENT)
            count_handshake(t, t->client.why == NULL ? "failed" : t->client.why);
        metrics_session_begin(t->door->proxy->metrics, &t->x);
        fail(t, FLAG_DPE, "downstream_protocol_error");
    } else if (t->state == TUNNEL_CLIENT && (events & STREAM_CONNECTED) != 0) {
        count_handshake(t, NULL);
        find_backend(t);
    } else if (t->state == TUNNEL_OPEN) {
        move(t);
    }
}

static struct tunnel *tunnel_new(struct proxy_door *door, struct listener_config *listener,
                                 struct text server_name)
{
    struct proxy *proxy = door->proxy;
    struct tunnel *t = memory_new(struct tunnel);
    t->door = door;
    t->client.owner = t;
    t->client.on_event = on_client;
    t->client.chooser = door;
    t->listener = listener_config_ref(listener);
    t->server_name = memory_string(server_name);
    timer_init(&t->idle, t, on_idle);
    session_init(&t->x, &t->request, proxy);
    t->next = proxy->tunnels;
    if (t->next != NULL)
        t->next->previous = t;
    proxy->tunnels = t;
    proxy->tunnel_count++;
    proxy_door_enter(door);
    return t;
}

/* The kernel refused the descriptor: there is nobody to tell. */
static void drop(struct tunnel *t)
{
    lease_drop(t->x.lease);
    free_tunnel(t);
}

void tunnel_accept(struct proxy_door *door, int fd, const struct address *peer)
{
    struct tunnel *t = tunnel_new(door, binding_listener(door->binding, TEXT_NONE), TEXT_NONE);
    struct loop *loop = door->proxy->loop;
    uint32_t header_ms = door->settings.header_ms;
    t->protocol = "TCP";
    enum err err = door->settings.proxy_protocol
                       ? stream_accept_proxied(&t->client, loop, fd, peer, NULL,
                                               header_ms == 0 ? LIMIT_HEADER_MS : header_ms)
                       : stream_accept(&t->client, loop, fd, peer, NULL);
    if (err != ERR_NONE)
        drop(t);
}

void tunnel_take_over(struct proxy_door *door, struct stream *from, struct text early,
                      struct listener_config *listener, struct text server_name)
{
    struct tunnel *t = tunnel_new(door, listener, server_name);
    t->protocol = "TLS";
    if (listener->passthrough) {
        t->early = memory_string(early);
        t->early_len = early.len;
    }
    if (stream_take_over(&t->client, from, early, listener->tls) != ERR_NONE)
        drop(t);
}

void tunnel_close_all(struct proxy *proxy)
{
    while (proxy->tunnels != NULL) {
        proxy->tunnels->termination = "drained";
        end(proxy->tunnels);
    }
}
