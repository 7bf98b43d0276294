/* A small HTTP service on our own stack: the admin ports of both planes. Whole requests in (bodies
 * up to LIMIT_ADMIN_BODY), whole answers out. Who comes over a Unix socket or loopback is on this
 * machine, or in this pod, and may ask for everything; a guard says what others may. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/builder.h"
#include "http/connection.h"

struct service_request {
    const struct message *head;
    struct text body;
    const struct stream *transport; /* peer address, credentials */
    struct arena *arena;            /* for the handler, until the answer is sent */
};

struct service_reply {
    int status;               /* 200 unless set */
    const char *content_type; /* "application/json" unless set */
    struct builder body;
};

/* One path; the first whose method and path fit is asked. */
struct service_path {
    const char *method; /* "GET" (answers HEAD too), "POST" */
    const char *path;   /* exact, or a prefix when it ends in '/' and is longer than "/" */
    void (*handle)(void *owner, const struct service_request *request, struct service_reply *reply);
    bool is_open; /* the guard is not asked */
};

/* Whether somebody from elsewhere is answered: service_admit follows, within the call or later.
 * `head` is gone after the call. */
typedef void (*service_guard)(void *owner, uint64_t ticket, const struct message *head);

struct service;

/* `paths` is borrowed. */
struct service *service_new(struct loop *loop, const struct service_path *paths, size_t count,
                            void *owner);
/* Before anybody is served; without one everybody may ask for everything. */
void service_set_guard(struct service *service, service_guard guard, void *owner);
/* 200: it is answered; else it fails with this status and these words. Nothing happens if the
 * request is gone meanwhile. */
void service_admit(struct service *service, uint64_t ticket, int status, const char *why);
/* Listens there as well. False: errno says why. Port 0 takes a free one. */
MUST_USE bool service_listen(struct service *service, const struct address *address);
/* The same on a socket that listens already; the service owns it from now on. */
MUST_USE bool service_take(struct service *service, int fd);
/* The sockets that it listens on, which stay its own; how many, at most `max`. */
size_t service_sockets(const struct service *service, int *fds, size_t max);
/* Accepts nobody any more; open connections go on. */
void service_mute(struct service *service);
/* Where the last service_listen listens. */
struct address service_address(const struct service *service);
void service_free(struct service *service); /* closes every connection */

/* The value of a query parameter, or an empty text; not decoded. */
struct text service_query(const struct service_request *request, const char *name);
/* {"error": ...} with a status. */
void service_fail(struct service_reply *reply, int status, const char *why);
