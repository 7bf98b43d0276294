/* A worker's traffic: client connections behind its doors, and what their requests share. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/observe/access_log.h"
#include "data/observe/metrics.h"
#include "data/proxy/handshakes.h"
#include "data/proxy/pressure.h"
#include "data/snapshot/lease.h"
#include "data/upstream/pool.h"
#include "http/connection.h"
#include "net/splice.h"
#include "net/tls.h"

struct mirror; /* data/proxy/mirror.h */
struct peek;   /* data/proxy/peek.h */
struct tunnel; /* data/proxy/tunnel.h */

struct proxy {
    struct loop *loop;
    struct worker *worker; /* borrows; opaque here */
    struct lease *lease;   /* the current one; NULL before the first snapshot */
    struct pool_set pools;
    struct metrics *metrics; /* owns; the scrape reads it */
    struct access_log log;
    struct proxy_connection *connections; /* all, for draining */
    uint32_t connection_count;
    struct handshakes *handshakes; /* borrows; NULL: unbounded */
    uint64_t handshakes_told_ns;   /* when the log last said that somebody begins too many */
    int fd_max; /* clients get descriptors below it; what is above is for the rest of us */
    uint32_t transfer_count; /* requests under way */
    struct peek *peeks;      /* clients whose server name is awaited */
    struct tunnel *tunnels;  /* connections carried as bytes */
    uint32_t tunnel_count;   /* of both */
    uint32_t flow_count;     /* of UDP */
    struct splice_pool pipes;
    struct mirror *mirrors; /* copies of requests under way, which may outlive theirs */
    uint32_t mirror_count;
    size_t mirror_bytes; /* of bodies that they hold */
    enum pressure pressure;
    uint32_t gone_count; /* clients that left since the last sweep */
    struct timer sweep;
    bool is_draining;
    uint64_t date_second; /* that `date` is of */
    char date[30];        /* "Mon, 23 Nov 2026 03:04:05 GMT" */
};

/* One address that this worker listens on. The worker owns it, and keeps it until its last
 * connection is gone. */
struct proxy_door {
    struct proxy *proxy;
    struct address address;
    const struct binding *binding; /* borrows from the current lease; NULL: removed */
    struct http_settings settings; /* of the binding's first listener */
    struct metrics_door *metrics;
    uint32_t connections;
    bool is_closed;   /* accepts no more */
    struct text port; /* in port_text */
    char port_text[8];
    /* The last connection of a closed door is gone. */
    void (*on_empty)(struct proxy_door *door);
};

struct proxy_connection {
    struct proxy_door *door;
    struct http_connection *http;
    struct proxy_connection *next, *previous;
    char *peer, *local;    /* own; made with the first request */
    struct text peer_host; /* in `peer` */
    uint64_t begun_ns;
    bool is_handshaking; /* TLS is not up yet */
};

struct proxy_options {
    struct loop *loop;
    struct worker *worker;
    const char *access_log; /* "off", "stdout" or a path */
    bool log_as_text;
    struct text node;
    int fd_max;
    struct handshakes *handshakes; /* all workers'; outlives the proxy; NULL: unbounded */
    struct pool_bells *bells;      /* shares limits with the other workers' of these */
    uint32_t index;                /* among them */
};

/* False: the access log cannot be opened. */
MUST_USE bool proxy_init(struct proxy *proxy, const struct proxy_options *options);
/* After the last connection of either side is gone. */
void proxy_fini(struct proxy *proxy);
/* Takes the lease; the doors' bindings are the worker's to renew at the same time. */
void proxy_adopt(struct proxy *proxy, struct lease *lease);

void proxy_door_init(struct proxy_door *door, struct proxy *proxy, const struct address *address);
/* What the current snapshot says of this door; NULL: nothing any more. */
void proxy_door_bind(struct proxy_door *door, const struct binding *binding);
/* A client of that door comes and goes. The door may be gone after the second. */
void proxy_door_enter(struct proxy_door *door);
void proxy_door_leave(struct proxy_door *door);
/* A connection of that door; closed at once when there are too many. */
void proxy_accept(struct proxy_door *door, int fd, const struct address *peer);
/* Finishes what is under way, accepts nothing new on these connections. NULL: of all doors. Idle
 * ones end `idle_ms` later at the earliest, never all at once: a client whose request met the end
 * of one sends it again on another. */
void proxy_drain(struct proxy *proxy, const struct proxy_door *door, uint32_t idle_ms);
/* Ends every connection now. */
void proxy_close(struct proxy *proxy);
bool proxy_is_idle(const struct proxy *proxy);

/* For tls_server_options.pick: `owner` is the door. */
struct tls_certificate *proxy_pick_certificate(void *owner, const struct tls_hello *hello,
                                               struct tls_context **ret_rules);
/* For tls_server_options.admit: likewise. A rate for each client's address. */
bool proxy_admit_handshake(void *owner, const struct address *peer);
