/* gRPC over http/stream.h (HTTP/2): framed messages both ways, status in trailers; both ends.
 * Messages are bytes here; who packs them is upstairs. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "http/connection.h"

enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};

struct grpc_call;

struct grpc_events {
    /* One whole message; a view that ends with the call. */
    void (*on_message)(void *owner, struct grpc_call *call, struct text message);
    /* Serving: the caller sends no more messages. NULL: the call is finished with OK. */
    void (*on_half_close)(void *owner, struct grpc_call *call);
    /* What had to wait (queued_bytes) was handed to the connection; more can be sent. May be
     * NULL. */
    void (*on_sent)(void *owner, struct grpc_call *call);
    /* The last call; the memory is gone after it. `status` is what the peer said, or what we made
     * of a broken stream (UNAVAILABLE); `text` may be empty. */
    void (*on_end)(void *owner, struct grpc_call *call, enum grpc_status status, struct text text);
};

struct grpc_call {
    const struct grpc_events *events;
    void *owner;
    struct http_stream *stream;
    struct text method;  /* "/package.Service/Method" */
    size_t queued_bytes; /* written by us and not yet taken by the connection */
    size_t receive_max;
    const char *identity; /* serving: who the caller proved to be, in the stream's arena; or NULL */
};

/* Queues one message. ERR_CLOSED: the call is over or finished. ERR_LIMIT: more than `queue_max`
 * bytes wait already (the caller drops it or ends the call); 0 = no bound. */
MUST_USE enum err grpc_send(struct grpc_call *call, struct text message, size_t queue_max);
/* Serving: no message is told until the release; what the caller says stays within its windows. */
void grpc_hold(struct grpc_call *call);
void grpc_release(struct grpc_call *call); /* may tell messages before it returns */
/* Serving: ends with a status. Calling: half-close. */
void grpc_finish(struct grpc_call *call, enum grpc_status status, const char *text);
/* Ends both directions now; on_end follows with CANCELLED. */
void grpc_cancel(struct grpc_call *call);

/* Serving: a listener's worth of methods. */
struct grpc_method {
    const char *path; /* "/package.Service/Method" */
    /* A new call: set events and owner before returning, or grpc_finish it. */
    void (*on_call)(void *owner, struct grpc_call *call);
};
struct grpc_server;
struct grpc_server_events {
    /* May this connection call anything? Asked once per connection; may be NULL. */
    bool (*on_connect)(void *owner, struct http_connection *connection);
};
struct grpc_server *grpc_server_new(struct loop *loop, const struct grpc_method *methods,
                                    size_t count, const struct grpc_server_events *events,
                                    void *owner);
/* Takes an accepted descriptor over. */
void grpc_server_accept(struct grpc_server *server, int fd, const struct address *peer,
                        struct tls_context *tls);
size_t grpc_server_connections(const struct grpc_server *server);
/* Closes every connection; their calls' on_end come at the end of the loop's turn. */
void grpc_server_free(struct grpc_server *server);

/* Calling: one connection, any number of calls on it. Not reconnecting: that is upstairs. */
struct grpc_channel;
struct grpc_channel_events {
    void (*on_ready)(void *owner, struct grpc_channel *channel);
    /* Failed or ended: after every call's on_end. Free it or not, but not inside. */
    void (*on_closed)(void *owner, struct grpc_channel *channel, const char *why);
};
struct grpc_channel *grpc_channel_open(struct loop *loop, const struct address *to,
                                       struct tls_context *tls, struct text server_name,
                                       struct text authority,
                                       const struct grpc_channel_events *events, void *owner);
/* Calls from now on carry "authorization: Bearer TOKEN"; copied. */
void grpc_channel_authorize(struct grpc_channel *channel, struct text token);
/* No event of the channel follows; on_end of calls still open comes at the end of the turn. */
void grpc_channel_free(struct grpc_channel *channel);
/* NULL: the channel is not ready, is ended, or carries as many calls as the peer allows. */
struct grpc_call *grpc_start(struct grpc_channel *channel, const char *method,
                             const struct grpc_events *events, void *owner);
