/* Reads a request, asks its handler, sends the answer. One struct a request; connections are in a
 * list so that the service can end them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/service.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/memory.h"
#include "net/listener.h"

#define SERVICE_LISTENERS 4

struct service {
    struct loop *loop;
    const struct service_path *paths;
    size_t path_count;
    void *owner;
    struct listener listeners[SERVICE_LISTENERS];
    struct address addresses[SERVICE_LISTENERS];
    size_t listener_count;
    struct client *clients;
    size_t client_count;
    service_guard guard; /* NULL: everybody is let in */
    void *guard_owner;
    struct request *waiting; /* for service_admit */
    uint64_t tickets;        /* given out so far */
};

struct client {
    struct client *next, **at;
    struct service *service;
    struct http_connection *connection;
};

struct request {
    struct service *service;
    struct http_stream *stream; /* borrows: its end is ours */
    struct request *next, **at; /* at NULL: it does not wait */
    uint64_t ticket;            /* 0: the guard was not asked */
    struct builder body;
    struct service_reply reply;
    size_t sent;
};

static const struct service_path *find(const struct service *service, const struct message *head,
                                       bool *ret_path_known)
{
    for (size_t i = 0; i < service->path_count; i++) {
        const struct service_path *path = &service->paths[i];
        struct text want = text_of(path->path);
        bool prefix = want.len > 1 && want.data[want.len - 1] == '/';
        if (prefix ? !text_starts_with(head->path, want) : !text_equal(head->path, want))
            continue;
        *ret_path_known = true;
        bool is_head = head->method == METHOD_HEAD && text_is(text_of(path->method), "GET");
        if (is_head || text_is(head->method_name, path->method))
            return path;
    }
    return NULL;
}

void service_fail(struct service_reply *reply, int status, const char *why)
{
    struct json json;
    builder_clear(&reply->body);
    reply->status = status;
    reply->content_type = "application/json";
    json_init(&json, &reply->body, 0);
    json_object_begin(&json, NULL);
    json_string(&json, "error", why);
    json_object_end(&json);
    builder_add_char(&reply->body, '\n');
}

struct text service_query(const struct service_request *request, const char *name)
{
    struct text rest = request->head->query, pair = TEXT_NONE;
    while (request->head->has_query && text_split(&rest, '&', &pair)) {
        size_t equal = text_find(pair, '=', 0);
        if (text_is(text_slice(pair, 0, equal), name))
            return text_slice(pair, equal + 1, pair.len);
    }
    return TEXT_NONE;
}

static void send_more(struct request *request, struct http_stream *stream)
{
    struct text rest =
        text_slice(builder_text(&request->reply.body), request->sent, request->reply.body.len);
    request->sent += http_stream_write(stream, rest, true);
}

static void send_reply(struct request *request, struct http_stream *stream)
{
    struct message head;
    struct arena arena;
    arena_init(&arena, 0);
    message_init(&head);
    head.status = request->reply.status == 0 ? 200 : request->reply.status;
    head.framing = FRAMING_LENGTH;
    head.content_length = request->reply.body.len;
    const char *type = request->reply.content_type;
    message_add(&head, &arena, TEXT("content-type"),
                text_of(type == NULL ? "application/json" : type));
    message_add(&head, &arena, TEXT("cache-control"), TEXT("no-store"));
    if (head.status == 401) /* RFC 9110 11.6.1, RFC 6750 3 */
        message_add(&head, &arena, TEXT("www-authenticate"), TEXT("Bearer realm=\"nantian\""));
    bool empty = request->reply.body.len == 0 || stream->head.method == METHOD_HEAD;
    http_stream_send_head(stream, &head, empty);
    arena_fini(&arena);
    if (!empty)
        send_more(request, stream);
}

/* Both ends, as the kernel says: a forwarded packet may have either one, but not both. */
static bool is_local(const struct stream *transport)
{
    struct address local = stream_local(transport);
    return local.len > 0 &&
           (local.any.sa_family == AF_UNIX ||
            (address_is_loopback(&local) && address_is_loopback(&transport->peer)));
}

static bool needs_guard(const struct service *service, const struct http_stream *stream)
{
    bool path_known = false;
    const struct service_path *path = find(service, &stream->head, &path_known);
    bool is_open = path != NULL && path->is_open;
    return service->guard != NULL && !is_open && !is_local(&stream->connection->stream);
}

static void stop_waiting(struct request *request)
{
    if (request->at == NULL)
        return;
    *request->at = request->next;
    if (request->next != NULL)
        request->next->at = request->at;
    request->at = NULL;
}

static void ask_guard(struct request *request, struct http_stream *stream)
{
    struct service *service = request->service;
    request->ticket = ++service->tickets;
    request->next = service->waiting;
    request->at = &service->waiting;
    if (request->next != NULL)
        request->next->at = &request->next;
    service->waiting = request;
    service->guard(service->guard_owner, request->ticket, &stream->head);
}

static void respond(struct request *request, struct http_stream *stream)
{
    bool path_known = false;
    const struct service_path *path = find(request->service, &stream->head, &path_known);
    const struct service_request asked = {
        .head = &stream->head,
        .body = builder_text(&request->body),
        .transport = &stream->connection->stream,
        .arena = &stream->arena,
    };
    if (path != NULL)
        path->handle(request->service->owner, &asked, &request->reply);
    else if (path_known)
        service_fail(&request->reply, 405, "this path takes another method");
    else
        service_fail(&request->reply, 404, "there is no such path");
    send_reply(request, stream);
}

static void answer(struct request *request, struct http_stream *stream)
{
    if (request->ticket != 0)
        return; /* it waits */
    if (needs_guard(request->service, stream))
        ask_guard(request, stream);
    else
        respond(request, stream);
}

static void on_readable(void *owner, struct http_stream *stream)
{
    struct request *request = owner;
    while (!stream->head_sent) {
        struct text bytes = http_stream_peek(stream);
        if (bytes.len == 0)
            break;
        if (request->body.len + bytes.len > LIMIT_ADMIN_BODY) {
            service_fail(&request->reply, 413, "the body is too large");
            send_reply(request, stream);
            return;
        }
        builder_add(&request->body, bytes);
        http_stream_consume(stream, bytes.len);
    }
    if (stream->read_ended && !stream->head_sent)
        answer(request, stream);
}

static void on_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    (void)head;
    if (end)
        answer(owner, stream);
    else
        on_readable(owner, stream);
}

static void on_writable(void *owner, struct http_stream *stream)
{
    struct request *request = owner;
    if (stream->head_sent && request->sent < request->reply.body.len)
        send_more(request, stream);
}

static void on_abort(void *owner, struct http_stream *stream, enum err err)
{
    (void)stream;
    (void)err;
    stop_waiting(owner); /* there is nobody to answer any more */
}

static void on_stream_closed(void *owner, struct http_stream *stream)
{
    (void)stream;
    struct request *request = owner;
    stop_waiting(request);
    builder_fini(&request->body);
    builder_fini(&request->reply.body);
    free(request);
}

static void on_stream(void *owner, struct http_stream *stream)
{
    static const struct http_stream_events events = {
        .on_head = on_head,
        .on_readable = on_readable,
        .on_writable = on_writable,
        .on_abort = on_abort,
        .on_closed = on_stream_closed,
    };
    const struct client *client = owner;
    struct request *request = memory_new(struct request);
    request->service = client->service;
    request->stream = stream;
    http_stream_own(stream, &events, request);
}

static void on_connection_closed(void *owner, struct http_connection *connection, enum err err)
{
    (void)connection;
    (void)err;
    struct client *client = owner;
    *client->at = client->next;
    if (client->next != NULL)
        client->next->at = client->at;
    client->service->client_count--;
    free(client);
}

static void on_accept(void *owner, int fd, const struct address *peer)
{
    static const struct http_settings settings = {.version = HTTP_AUTO, .allow_h2 = true};
    static const struct http_connection_events events = {
        .on_stream = on_stream,
        .on_closed = on_connection_closed,
    };
    struct service *service = owner;
    if (service->client_count >= LIMIT_ADMIN_CONNECTIONS) {
        struct io *io = loop_io(service->loop);
        io->close(io->state, fd);
        return;
    }
    struct client *client = memory_new(struct client);
    client->service = service;
    client->connection = http_serve(service->loop, fd, peer, NULL, &settings, &events, client);
    if (client->connection == NULL) {
        free(client);
        return;
    }
    client->next = service->clients;
    client->at = &service->clients;
    if (client->next != NULL)
        client->next->at = &client->next;
    service->clients = client;
    service->client_count++;
}

struct service *service_new(struct loop *loop, const struct service_path *paths, size_t count,
                            void *owner)
{
    struct service *service = memory_new(struct service);
    service->loop = loop;
    service->paths = paths;
    service->path_count = count;
    service->owner = owner;
    return service;
}

void service_set_guard(struct service *service, service_guard guard, void *owner)
{
    service->guard = guard;
    service->guard_owner = owner;
}

void service_admit(struct service *service, uint64_t ticket, int status, const char *why)
{
    struct request *request = service->waiting;
    while (request != NULL && request->ticket != ticket)
        request = request->next;
    if (request == NULL)
        return;
    stop_waiting(request);
    if (status == 200) {
        respond(request, request->stream);
        return;
    }
    service_fail(&request->reply, status, why);
    send_reply(request, request->stream);
}

bool service_listen(struct service *service, const struct address *address)
{
    int fd = listener_open(address, false);
    return fd >= 0 && service_take(service, fd);
}

bool service_take(struct service *service, int fd)
{
    CHECK(service->listener_count < SERVICE_LISTENERS);
    size_t at = service->listener_count;
    service->addresses[at] = listener_local(fd);
    service->listeners[at].owner = service;
    service->listeners[at].on_accept = on_accept;
    if (!listener_start(&service->listeners[at], service->loop, fd))
        return false;
    service->listener_count++;
    return true;
}

size_t service_sockets(const struct service *service, int *fds, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < service->listener_count && count < max; i++)
        if (service->listeners[i].watch.fd >= 0)
            fds[count++] = service->listeners[i].watch.fd;
    return count;
}

void service_mute(struct service *service)
{
    for (size_t i = 0; i < service->listener_count; i++)
        listener_close(&service->listeners[i]);
}

struct address service_address(const struct service *service)
{
    CHECK(service->listener_count > 0);
    return service->addresses[service->listener_count - 1];
}

void service_free(struct service *service)
{
    if (service == NULL)
        return;
    service_mute(service);
    for (struct client *client = service->clients; client != NULL;) {
        struct client *next = client->next;
        http_close(client->connection, ERR_NONE);
        client = next;
    }
    loop_settle(service->loop); /* closes are told at the end of a turn */
    CHECK(service->clients == NULL);
    free(service);
}
