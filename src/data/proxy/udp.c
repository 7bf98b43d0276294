/* A table of flows, each with a socket of its own to its endpoint; the one silent for longest goes
 * first. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/map.h"
#include "base/memory.h"
#include "data/proxy/session.h"
#include "net/datagram.h"

#define KEY_MAX (2 * sizeof(struct sockaddr_in6))

struct udp_door {
    struct proxy_door door;
    struct watch watch;
    struct map flows;              /* by both addresses */
    struct udp_flow *first, *last; /* silent for longest first */
    struct timer silence;
    char *room; /* owns: one datagram */
    bool is_draining;
};

struct udp_flow {
    struct udp_door *udp;
    struct udp_flow *next, *previous;
    struct watch watch; /* the socket to the endpoint */
    struct datagram_from client;
    struct exchange x;
    struct message request;
    struct pool_endpoint *endpoint; /* begun */
    struct shared_room *room;       /* of the backend's connections; NULL: it has no limit */
    uint64_t active_ms;
    size_t key_len;
    char key[KEY_MAX];
    char endpoint_text[ADDRESS_TEXT_MAX];
};

/* -- the list -- */

static void unlink_flow(struct udp_flow *flow)
{
    struct udp_door *udp = flow->udp;
    if (flow->previous != NULL)
        flow->previous->next = flow->next;
    else
        udp->first = flow->next;
    if (flow->next != NULL)
        flow->next->previous = flow->previous;
    else
        udp->last = flow->previous;
    flow->next = flow->previous = NULL;
}

static void link_last(struct udp_flow *flow)
{
    struct udp_door *udp = flow->udp;
    flow->previous = udp->last;
    if (udp->last != NULL)
        udp->last->next = flow;
    else
        udp->first = flow;
    udp->last = flow;
    flow->active_ms = loop_now_ms(udp->door.proxy->loop);
}

static void touch(struct udp_flow *flow)
{
    unlink_flow(flow);
    link_last(flow);
}

static uint32_t silence_ms(const struct udp_door *udp)
{
    uint32_t idle_ms = udp->door.settings.idle_ms;
    if (udp->is_draining)
        return LIMIT_UDP_DRAIN_MS;
    return idle_ms == 0 ? LIMIT_UDP_IDLE_MS : idle_ms;
}

/* -- the end of a flow -- */

static void end_flow(struct udp_flow *flow, const char *termination)
{
    struct udp_door *udp = flow->udp;
    struct proxy *proxy = udp->door.proxy;
    int fd = flow->watch.fd;
    if (fd >= 0) {
        loop_unwatch(proxy->loop, &flow->watch);
        close(fd);
    }
    const struct address *local =
        flow->client.local.len > 0 ? &flow->client.local : &udp->door.address;
    session_finish(&flow->x, proxy,
                   &(struct session_end){.protocol = "UDP",
                                         .peer = &flow->client.peer,
                                         .local = local,
                                         .termination = termination});
    if (flow->endpoint != NULL)
        pool_leave(flow->endpoint);
    pool_exit(flow->room);
    map_remove(&udp->flows, text_from(flow->key, flow->key_len));
    unlink_flow(flow);
    free(flow);
    proxy->flow_count--;
    metrics_add(&udp->door.metrics->closed, 1);
}

static void on_silence(void *owner)
{
    struct udp_door *udp = owner;
    struct loop *loop = udp->door.proxy->loop;
    uint64_t now_ms = loop_now_ms(loop), limit_ms = silence_ms(udp);
    while (udp->first != NULL && udp->first->active_ms + limit_ms <= now_ms)
        end_flow(udp->first, NULL);
    if (udp->first != NULL)
        loop_arm(loop, &udp->silence, udp->first->active_ms + limit_ms - now_ms);
}

/* -- answers -- */

static void on_answer(void *owner, uint32_t events)
{
    (void)events;
    struct udp_flow *flow = owner;
    struct udp_door *udp = flow->udp;
    for (int i = 0; i < LIMIT_UDP_BATCH; i++) {
        ssize_t got = recv(flow->watch.fd, udp->room, DATAGRAM_MAX, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (got < 0) { /* nobody is there: the next datagram finds another endpoint */
            flow->x.flag = FLAG_UF;
            flow->x.details = "upstream_connect_failure";
            end_flow(flow, NULL);
            return;
        }
        if (flow->x.first_byte_ns == 0)
            flow->x.first_byte_ns = loop_now_ns(flow->x.loop);
        if (datagram_answer(udp->watch.fd, &flow->client, text_from(udp->room, (size_t)got)))
            flow->x.response_bytes += (uint64_t)got;
    }
    touch(flow);
}

/* -- new flows -- */

static bool connect_endpoint(struct udp_flow *flow, struct backend *backend)
{
    struct proxy *proxy = flow->udp->door.proxy;
    struct pool *pool = pool_of(&proxy->pools, backend);
    struct balancer_ask ask;
    if (!pool_enter(pool, &flow->room)) {
        flow->x.flag = FLAG_UO;
        flow->x.details = "upstream_overflow";
        return false;
    }
    session_ask(backend, &flow->client.peer, &ask);
    flow->endpoint = pool_choose(pool, &ask);
    if (flow->endpoint == NULL) {
        flow->x.flag = FLAG_UH;
        flow->x.details = "no_healthy_upstream";
        return false;
    }
    flow->x.tries = 1;
    flow->x.upstream_started_ns = loop_now_ns(proxy->loop);
    flow->x.upstream_address = address_format(&flow->endpoint->address, flow->endpoint_text);
    int fd = datagram_connect(&flow->endpoint->address);
    if (fd >= proxy->fd_max) { /* what is above is not for clients */
        close(fd);
        metrics_door_refused(flow->udp->door.metrics, "udp_flow_limit");
        flow->x.flag = FLAG_UO;
        flow->x.details = "upstream_overflow";
        return false;
    }
    flow->watch = (struct watch){.fd = fd, .owner = flow, .on_ready = on_answer};
    if (fd >= 0 && loop_watch_level(proxy->loop, &flow->watch))
        return true;
    if (fd >= 0)
        close(fd);
    flow->watch.fd = -1;
    flow->x.flag = FLAG_UF;
    flow->x.details = "upstream_connect_failure";
    return false;
}

static bool find_endpoint(struct udp_flow *flow)
{
    const struct binding *binding = flow->udp->door.binding;
    bool is_routed = session_route(&flow->x, binding_listener(binding, TEXT_NONE), TEXT_NONE);
    metrics_session_begin(flow->udp->door.proxy->metrics, &flow->x);
    struct backend *backend = is_routed ? session_backend(&flow->x) : NULL;
    return backend != NULL && connect_endpoint(flow, backend);
}

static size_t append(char *key, size_t len, const void *bytes, size_t size)
{
    memcpy(key + len, bytes, size);
    return len + size;
}

static size_t append_address(char *key, size_t len, const struct address *address)
{
    if (address->len > 0 && address->any.sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &address->any, sizeof(in6));
        len = append(key, len, &in6.sin6_addr, sizeof(in6.sin6_addr));
        return append(key, len, &in6.sin6_port, sizeof(in6.sin6_port));
    }
    struct sockaddr_in in = {0};
    if (address->len > 0)
        memcpy(&in, &address->any, sizeof(in));
    len = append(key, len, &in.sin_addr, sizeof(in.sin_addr));
    return append(key, len, &in.sin_port, sizeof(in.sin_port));
}

static size_t key_of(const struct datagram_from *from, char key[KEY_MAX])
{
    return append_address(key, append_address(key, 0, &from->peer), &from->local);
}

static struct udp_flow *flow_new(struct udp_door *udp, const struct datagram_from *from)
{
    struct proxy *proxy = udp->door.proxy;
    if (proxy->flow_count >= LIMIT_UDP_FLOWS || proxy->pressure >= PRESSURE_FULL) {
        metrics_door_refused(udp->door.metrics, "udp_flow_limit");
        return NULL;
    }
    struct udp_flow *flow = memory_new(struct udp_flow);
    flow->udp = udp;
    flow->watch.fd = -1;
    flow->client = *from;
    flow->key_len = key_of(from, flow->key);
    session_init(&flow->x, &flow->request, proxy);
    map_put(&udp->flows, text_from(flow->key, flow->key_len), flow);
    link_last(flow);
    proxy->flow_count++;
    metrics_add(&udp->door.metrics->opened, 1);
    if (!timer_is_armed(&udp->silence))
        loop_arm(proxy->loop, &udp->silence, silence_ms(udp));
    if (find_endpoint(flow))
        return flow;
    end_flow(flow, NULL);
    return NULL;
}

/* A flow outlives a change of configuration only if its route and its endpoint do. */
static bool is_current(struct udp_flow *flow)
{
    struct proxy *proxy = flow->udp->door.proxy;
    if (flow->endpoint->removed)
        return false;
    if (flow->x.lease == proxy->lease)
        return true;
    struct exchange fresh;
    struct message request;
    session_init(&fresh, &request, proxy);
    bool is_same =
        session_route(&fresh, binding_listener(flow->udp->door.binding, TEXT_NONE), TEXT_NONE) &&
        fresh.hit.route == flow->x.hit.route;
    struct lease *other = fresh.lease;
    if (is_same) {
        other = flow->x.lease;
        flow->x.lease = fresh.lease;
        flow->x.snapshot_number = fresh.snapshot_number;
        flow->x.listener = fresh.listener;
    }
    lease_drop(other);
    return is_same;
}

static void take(struct udp_door *udp, const struct datagram_from *from, struct text data)
{
    char key[KEY_MAX];
    struct udp_flow *flow = map_get(&udp->flows, text_from(key, key_of(from, key)));
    if (flow != NULL && !is_current(flow)) {
        end_flow(flow, NULL);
        flow = NULL;
    }
    if (flow == NULL)
        flow = flow_new(udp, from);
    if (flow == NULL)
        return;
    bool is_sent = send(flow->watch.fd, data.data, data.len, MSG_NOSIGNAL) >= 0;
    if (!is_sent && errno == ECONNREFUSED) {
        flow->x.flag = FLAG_UF;
        flow->x.details = "upstream_connect_failure";
        end_flow(flow, NULL);
        return;
    }
    flow->x.request_bytes +=
        is_sent ? data.len : 0; /* a full queue, or none to there: it is lost */
    touch(flow);
}

static void on_ready(void *owner, uint32_t events)
{
    (void)events;
    struct udp_door *udp = owner;
    uint16_t port = address_port(&udp->door.address);
    for (int i = 0; i < LIMIT_UDP_BATCH && udp->door.binding != NULL; i++) {
        struct datagram_from from;
        ssize_t got = datagram_receive(udp->watch.fd, port, udp->room, DATAGRAM_MAX, &from);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return;
        take(udp, &from, text_from(udp->room, (size_t)got));
    }
}

/* -- the door -- */

struct udp_door *udp_open(struct proxy *proxy, const struct address *address, int fd,
                          const struct binding *binding)
{
    struct udp_door *udp = memory_new(struct udp_door);
    proxy_door_init(&udp->door, proxy, address);
    proxy_door_bind(&udp->door, binding);
    map_init(&udp->flows);
    timer_init(&udp->silence, udp, on_silence);
    udp->room = memory_alloc(DATAGRAM_MAX);
    udp->watch = (struct watch){.fd = fd, .owner = udp, .on_ready = on_ready};
    if (loop_watch_level(proxy->loop, &udp->watch))
        return udp;
    udp->watch.fd = -1;
    close(fd);
    udp_close(udp);
    return NULL;
}

const struct address *udp_address(const struct udp_door *udp)
{
    return &udp->door.address;
}

void udp_bind(struct udp_door *udp, const struct binding *binding)
{
    proxy_door_bind(&udp->door, binding);
}

void udp_drain(struct udp_door *udp)
{
    udp->is_draining = true;
    int fd = udp->watch.fd; /* what comes from now on is for who has the socket after us */
    loop_unwatch(udp->door.proxy->loop, &udp->watch);
    udp->watch.fd = fd;
    on_silence(udp);
}

void udp_close(struct udp_door *udp)
{
    struct loop *loop = udp->door.proxy->loop;
    int fd = udp->watch.fd;
    while (udp->first != NULL)
        end_flow(udp->first, "closed");
    loop_disarm(loop, &udp->silence);
    if (fd >= 0) {
        loop_unwatch(loop, &udp->watch);
        close(fd);
    }
    map_fini(&udp->flows);
    free(udp->room);
    free(udp);
}
