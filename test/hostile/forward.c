/* The smallest gateway that the two HTTP/1 codecs make: every request goes to one backend. The
 * probe runs against it, so that the codecs are tested together without the data plane. h1_forward
 * PORT BACKEND_PORT [header_ms] */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "event/signals.h"
#include "http/connection.h"
#include "net/listener.h"

struct forward {
    struct loop *loop;
    struct listener listener;
    struct address backend;
    struct http_settings settings;
    struct upstream *idle;
};

struct upstream {
    struct forward *forward;
    struct upstream *next;
    struct http_connection *connection;
    struct pair *pair; /* waits for the connection */
    bool is_idle;
};

/* One request: the client's stream and the backend's. */
struct pair {
    struct forward *forward;
    struct http_stream *client, *backend;
    struct upstream *waits_for; /* its connection is not up yet */
    struct message request;
    bool retried, end;
};

static void send_request(struct pair *pair, struct http_connection *connection);

static void take_from_idle(struct upstream *upstream)
{
    struct upstream **at = &upstream->forward->idle;
    while (upstream->is_idle && *at != upstream)
        at = &(*at)->next;
    if (upstream->is_idle)
        *at = upstream->next;
    upstream->is_idle = false;
}

static void fail_pair(struct pair *pair, int status)
{
    struct message head;
    if (pair->client == NULL)
        return;
    if (pair->client->head_sent) {
        http_stream_reset(pair->client, ERR_PROTOCOL);
        return;
    }
    message_init(&head);
    head.status = status;
    http_stream_send_head(pair->client, &head, true);
}

static void backend_ready(void *owner, struct http_connection *connection)
{
    struct upstream *upstream = owner;
    struct pair *pair = upstream->pair;
    upstream->connection = connection;
    upstream->pair = NULL;
    if (pair != NULL) {
        pair->waits_for = NULL;
        send_request(pair, connection);
        return;
    }
    upstream->is_idle = true;
    upstream->next = upstream->forward->idle;
    upstream->forward->idle = upstream;
}

static void backend_closed(void *owner, struct http_connection *connection, enum err err)
{
    struct upstream *upstream = owner;
    (void)connection;
    (void)err;
    take_from_idle(upstream);
    if (upstream->pair != NULL) {
        upstream->pair->waits_for = NULL;
        fail_pair(upstream->pair, 502);
    }
    free(upstream);
}

static const struct http_connection_events BACKEND = {
    .on_ready = backend_ready,
    .on_closed = backend_closed,
};

static void find_backend(struct pair *pair, bool fresh)
{
    struct forward *forward = pair->forward;
    struct upstream *upstream = forward->idle;
    while (!fresh && upstream != NULL && !http_can_open(upstream->connection))
        upstream = upstream->next;
    if (!fresh && upstream != NULL) {
        take_from_idle(upstream);
        send_request(pair, upstream->connection);
        return;
    }
    upstream = memory_new(struct upstream);
    upstream->forward = forward;
    upstream->pair = pair;
    pair->waits_for = upstream;
    upstream->connection = http_connect(forward->loop, &forward->backend, NULL, TEXT_NONE, 5000,
                                        &forward->settings, &BACKEND, upstream);
}

static void pump(struct http_stream *from, struct http_stream *to)
{
    if (from == NULL || to == NULL || !to->head_sent || to->write_ended)
        return;
    for (;;) {
        struct text bytes = http_stream_peek(from);
        if (bytes.len == 0)
            break;
        size_t taken = http_stream_write(to, bytes, false);
        http_stream_consume(from, taken);
        if (taken < bytes.len)
            return;
    }
    if (!from->read_ended)
        return;
    if (from->trailers.field_count > 0)
        http_stream_send_trailers(to, &from->trailers);
    else
        (void)http_stream_write(to, TEXT(""), true);
}

/* ---- the backend's stream ---- */

static void answer_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    struct pair *pair = owner;
    if (pair->client == NULL) {
        http_stream_reset(stream, ERR_CLOSED);
        return;
    }
    http_stream_send_head(pair->client, head, end);
    if (!end)
        pump(stream, pair->client);
}

static void answer_readable(void *owner, struct http_stream *stream)
{
    struct pair *pair = owner;
    pump(stream, pair->client);
}

static void answer_writable(void *owner, struct http_stream *stream)
{
    struct pair *pair = owner;
    pump(pair->client, stream);
}

static void answer_abort(void *owner, struct http_stream *stream, enum err err)
{
    struct pair *pair = owner;
    pair->backend = NULL;
    bool again = err == ERR_CLOSED && !stream->head_received && !pair->retried &&
                 method_is_idempotent(pair->request.method) && pair->end && pair->client != NULL;
    if (again) {
        pair->retried = true;
        find_backend(pair, true);
    } else {
        fail_pair(pair, 502);
    }
}

static void pair_release(struct pair *pair)
{
    if (pair->client != NULL || pair->backend != NULL)
        return;
    if (pair->waits_for != NULL)
        pair->waits_for->pair = NULL;
    free(pair);
}

static void answer_closed(void *owner, struct http_stream *stream)
{
    struct pair *pair = owner;
    if (pair->backend == stream)
        pair->backend = NULL;
    if (pair->client == NULL)
        pair_release(pair);
}

static const struct http_stream_events ANSWER = {
    .on_head = answer_head,
    .on_readable = answer_readable,
    .on_writable = answer_writable,
    .on_abort = answer_abort,
    .on_closed = answer_closed,
};

static void send_request(struct pair *pair, struct http_connection *connection)
{
    pair->backend = http_open(connection);
    CHECK(pair->backend != NULL);
    http_stream_own(pair->backend, &ANSWER, pair);
    http_stream_send_head(pair->backend, &pair->request, pair->end);
    if (!pair->end)
        pump(pair->client, pair->backend);
}

/* ---- the client's stream ---- */

static void request_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    struct pair *pair = owner;
    pair->request = *head;
    pair->end = end;
    message_set(&pair->request, &stream->arena, TEXT("x-forwarded-for"), TEXT("127.0.0.1"));
    message_set(&pair->request, &stream->arena, TEXT("x-forwarded-proto"), TEXT("http"));
    find_backend(pair, false);
}

static void request_readable(void *owner, struct http_stream *stream)
{
    struct pair *pair = owner;
    pump(stream, pair->backend);
}

static void request_writable(void *owner, struct http_stream *stream)
{
    struct pair *pair = owner;
    pump(pair->backend, stream);
}

static void request_abort(void *owner, struct http_stream *stream, enum err err)
{
    (void)owner;
    (void)stream;
    (void)err;
}

static void request_closed(void *owner, struct http_stream *stream)
{
    struct pair *pair = owner;
    (void)stream;
    pair->client = NULL;
    /* Its head's text is gone: nothing of it may be used any more. */
    if (pair->backend != NULL)
        http_stream_reset(pair->backend, ERR_CLOSED);
    else
        pair_release(pair);
}

static const struct http_stream_events REQUEST = {
    .on_head = request_head,
    .on_readable = request_readable,
    .on_writable = request_writable,
    .on_abort = request_abort,
    .on_closed = request_closed,
};

static void client_stream(void *owner, struct http_stream *stream)
{
    struct pair *pair = memory_new(struct pair);
    pair->forward = owner;
    pair->client = stream;
    http_stream_own(stream, &REQUEST, pair);
}

static void client_closed(void *owner, struct http_connection *connection, enum err err)
{
    (void)owner;
    (void)connection;
    (void)err;
}

static const struct http_connection_events CLIENT = {
    .on_stream = client_stream,
    .on_closed = client_closed,
};

static void on_accept(void *owner, int fd, const struct address *peer)
{
    struct forward *forward = owner;
    (void)http_serve(forward->loop, fd, peer, NULL, &forward->settings, &CLIENT, forward);
}

static void on_signal(void *owner, int number)
{
    struct forward *forward = owner;
    if (number == 15 || number == 2)
        loop_stop(forward->loop);
}

int main(int argc, char **argv)
{
    struct forward forward = {.settings = {.merge_slashes = true}};
    struct signals signals;
    struct address address;
    uint64_t port = 0, backend = 0, header_ms = 0;
    if (argc < 3 || !text_to_u64(text_of(argv[1]), &port) ||
        !text_to_u64(text_of(argv[2]), &backend) ||
        (argc > 3 && !text_to_u64(text_of(argv[3]), &header_ms)) ||
        !address_parse(TEXT("127.0.0.1"), (uint16_t)port, &address) ||
        !address_parse(TEXT("127.0.0.1"), (uint16_t)backend, &forward.backend)) {
        fprintf(stderr, "usage: h1_forward PORT BACKEND_PORT [header_ms]\n");
        return 2;
    }
    forward.settings.header_ms = (uint32_t)header_ms;
    forward.loop = loop_new(NULL);
    forward.listener.owner = &forward;
    forward.listener.on_accept = on_accept;
    int fd = listener_open(&address, true);
    if (fd < 0 || !signals_init(&signals, forward.loop, &forward, on_signal) ||
        !listener_start(&forward.listener, forward.loop, fd)) {
        perror("h1_forward");
        return 1;
    }
    socklen_t len = sizeof(address.storage);
    if (getsockname(fd, &address.any, &len) == 0)
        printf("listening on %u\n", address_port(&address));
    fflush(stdout);
    loop_run(forward.loop);
    _exit(0); /* what is open is the kernel's now */
}
