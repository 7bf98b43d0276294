/* Requests to the API server: many over one HTTP/2 connection, or one a connection over HTTP/1.
 * Nothing here knows an object. Calls wait while there is no connection; connecting is tried with
 * jittered backoff, at most about once a second in the long run. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/config.h"
#include "event/loop.h"

struct client;
struct client_call;

struct client_answer {
    int status;      /* 0: there was none */
    const char *why; /* then: words, until the callback returns */
    struct text body;
    uint32_t retry_after_s; /* 0: not said */
};

struct client_events {
    /* NULL: the body is gathered and told with the end. Else each line of a body with status 200 is
     * told as it comes, without its line end; empty ones are not. */
    void (*on_line)(void *owner, struct text line);
    /* The last call; the struct client_call is gone then. */
    void (*on_done)(void *owner, const struct client_answer *answer);
};

/* The field with a token for a control plane (viewers.h) that is asked through the API server,
 * which keeps Authorization for itself. */
#define CLIENT_VIEWER "nantian-token"

struct client_request {
    const char *method;       /* "GET"; static, as the next */
    const char *content_type; /* NULL: no body */
    struct text path;         /* with its query */
    struct text body;
    struct text viewer;  /* CLIENT_VIEWER, or empty */
    uint32_t timeout_ms; /* 0: none */
    /* Asked when it goes out, which may be later than now; NULL: yes. After a no it fails. */
    bool (*may_start)(void *guard);
    void *guard;
};

/* Borrows the config. What the API server has not acknowledged after `silence_ms` is not delivered
 * any more: what was written as the holder of the lease must not arrive when another one has it.
 * NULL: its TLS material cannot be used; *ret_why says why (static). */
struct client *client_new(struct loop *loop, const struct kube_config *config, uint32_t silence_ms,
                          const char **ret_why);
/* Ends all calls without a word. */
void client_free(struct client *client);

/* Copies the request. Never calls back before it returns. */
struct client_call *client_start(struct client *client, const struct client_request *request,
                                 const struct client_events *events, void *owner);
/* No more callbacks. NULL is nothing. */
void client_cancel(struct client_call *call);

/* How long to wait after that many failures in a row, this answer the last: doubled each time,
 * jittered, and no less than the answer asks for. */
uint64_t client_backoff_ms(struct loop *loop, uint32_t failures,
                           const struct client_answer *answer);

/* For metrics. */
struct client_counters {
    uint64_t requests, connects, failures;
};
const struct client_counters *client_counters(const struct client *client);
