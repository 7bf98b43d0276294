/* A small server on our HTTP stack for other people's clients: h2_echo PORT [CERTIFICATE KEY].
 * GET /bytes/N answers with N bytes; any body comes back; /trailers adds trailers; 103 before
 * /hints. Prints "port N" when it listens; drains on SIGTERM. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "event/signals.h"
#include "http/connection.h"
#include "net/listener.h"
#include "net/tls.h"

#define PEM_MAX 16384

struct echo;

struct peer {
    struct echo *echo;
    struct http_connection *connection;
    struct peer *next, *prev;
};

struct echo {
    struct loop *loop;
    struct listener listener;
    struct signals signals;
    struct tls_context *tls;
    struct tls_certificate *certificate;
    struct peer *peers;
    bool stopping;
};

struct exchange {
    uint64_t left; /* bytes of an answer that is made here */
    bool echoes, trailers, answered, done;
};

static const struct http_settings SETTINGS = {.allow_h2 = true};
static char FILL[16384];

static void end(struct exchange *x, struct http_stream *stream)
{
    struct message trailers;
    if (x->done)
        return;
    x->done = true;
    if (!x->trailers) {
        (void)http_stream_write(stream, TEXT(""), true);
        return;
    }
    message_init(&trailers);
    message_add(&trailers, &stream->arena, TEXT("x-checksum"), TEXT("none"));
    message_add(&trailers, &stream->arena, TEXT("x-bytes"),
                arena_printf(&stream->arena, "%llu", (unsigned long long)stream->bytes_read));
    http_stream_send_trailers(stream, &trailers);
}

static void push(struct exchange *x, struct http_stream *stream)
{
    while (!x->echoes && x->left > 0) {
        struct text part = text_from(FILL, (size_t)MIN(x->left, sizeof(FILL)));
        size_t taken = http_stream_write(stream, part, false);
        x->left -= taken;
        if (taken < part.len)
            return;
    }
    while (x->echoes) {
        struct text bytes = http_stream_peek(stream);
        if (bytes.len == 0)
            break;
        size_t taken = http_stream_write(stream, bytes, false);
        http_stream_consume(stream, taken);
        if (taken < bytes.len)
            return;
    }
    if (x->echoes ? stream->read_ended : true)
        end(x, stream);
}

static void drop(struct http_stream *stream)
{
    for (struct text bytes; (bytes = http_stream_peek(stream)).len > 0;)
        http_stream_consume(stream, bytes.len);
}

static void on_readable(void *owner, struct http_stream *stream)
{
    struct exchange *x = owner;
    if (!x->echoes)
        drop(stream);
    push(x, stream);
}

static void on_writable(void *owner, struct http_stream *stream)
{
    push(owner, stream);
}

static void on_head(void *owner, struct http_stream *stream, struct message *head, bool ended)
{
    struct exchange *x = owner;
    struct message answer;
    message_init(&answer);
    answer.status = 200;
    if (text_is(head->path, "/hints")) {
        answer.status = 103;
        message_add(&answer, &stream->arena, TEXT("link"), TEXT("</style.css>; rel=preload"));
        http_stream_send_informational(stream, &answer);
        message_init(&answer);
        answer.status = 200;
    }
    x->trailers = text_is(head->path, "/trailers");
    answer.framing = FRAMING_CHUNKED;
    if (text_starts_with(head->path, TEXT("/bytes/"))) {
        if (!text_to_u64(text_slice(head->path, 7, head->path.len), &x->left))
            answer.status = 400;
        answer.framing = FRAMING_LENGTH;
        answer.content_length = x->left;
    } else {
        x->echoes = true;
        if (head->framing == FRAMING_LENGTH && !x->trailers) {
            answer.framing = FRAMING_LENGTH;
            answer.content_length = head->content_length;
        } else if (ended && !x->trailers) {
            answer.framing = FRAMING_LENGTH;
        }
    }
    bool no_body = head->method == METHOD_HEAD ||
                   (answer.framing == FRAMING_LENGTH && answer.content_length == 0);
    message_add(&answer, &stream->arena, TEXT("x-path"), head->path);
    http_stream_send_head(stream, &answer, no_body);
    x->done = no_body;
    if (no_body)
        x->left = 0;
    push(x, stream);
}

static void on_abort(void *owner, struct http_stream *stream, enum err err)
{
    (void)owner;
    (void)stream;
    (void)err;
}

static void on_stream_closed(void *owner, struct http_stream *stream)
{
    (void)stream;
    free(owner);
}

static const struct http_stream_events STREAM = {
    .on_head = on_head,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_abort = on_abort,
    .on_closed = on_stream_closed,
};

static void on_stream(void *owner, struct http_stream *stream)
{
    (void)owner;
    http_stream_own(stream, &STREAM, memory_new(struct exchange));
}

static void stop_if_done(struct echo *echo)
{
    if (echo->stopping && echo->peers == NULL)
        loop_stop(echo->loop);
}

static void on_closed(void *owner, struct http_connection *connection, enum err err)
{
    struct peer *peer = owner;
    struct echo *echo = peer->echo;
    fprintf(stderr, "closed %s: %s\n", err_name(err),
            connection->why == NULL ? "" : connection->why);
    if (peer->next != NULL)
        peer->next->prev = peer->prev;
    if (peer->prev != NULL)
        peer->prev->next = peer->next;
    else
        echo->peers = peer->next;
    free(peer);
    stop_if_done(echo);
}

static void on_refused(void *owner, struct http_connection *connection, int status,
                       const char *reason)
{
    (void)owner;
    (void)connection;
    fprintf(stderr, "refused %d %s\n", status, reason == NULL ? "" : reason);
}

static const struct http_connection_events CONNECTION = {
    .on_stream = on_stream,
    .on_refused = on_refused,
    .on_closed = on_closed,
};

static void on_accept(void *owner, int fd, const struct address *address)
{
    struct echo *echo = owner;
    struct peer *peer = memory_new(struct peer);
    peer->echo = echo;
    peer->connection = http_serve(echo->loop, fd, address, echo->tls, &SETTINGS, &CONNECTION, peer);
    if (peer->connection == NULL) {
        free(peer);
        return;
    }
    peer->next = echo->peers;
    if (peer->next != NULL)
        peer->next->prev = peer;
    echo->peers = peer;
}

static void on_signal(void *owner, int number)
{
    struct echo *echo = owner;
    (void)number;
    echo->stopping = true;
    listener_close(&echo->listener);
    for (struct peer *peer = echo->peers; peer != NULL; peer = peer->next)
        http_drain(peer->connection, 0);
    stop_if_done(echo);
}

static struct text read_file(const char *path, char out[PEM_MAX])
{
    FILE *file = fopen(path, "rb");
    size_t len = file == NULL ? 0 : fread(out, 1, PEM_MAX, file);
    if (file != NULL)
        fclose(file);
    return text_from(out, len);
}

/* The transport's owner is the connection. */
static struct tls_certificate *pick(void *owner, const struct tls_hello *hello,
                                    struct tls_context **ret_rules)
{
    const struct http_connection *connection = owner;
    const struct peer *peer = connection->owner;
    (void)hello, (void)ret_rules;
    return peer->echo->certificate;
}

static bool use_tls(struct echo *echo, const char *chain, const char *key)
{
    static const char *const alpn[] = {"h2", "http/1.1", NULL};
    const char *why = NULL;
    char chain_pem[PEM_MAX], key_pem[PEM_MAX];
    echo->certificate =
        tls_certificate_new(read_file(chain, chain_pem), read_file(key, key_pem), &why);
    if (echo->certificate != NULL) {
        const struct tls_server_options options = {.pick = pick, .alpn = alpn};
        echo->tls = tls_server_new(&options, &why);
    }
    if (echo->tls == NULL)
        fprintf(stderr, "h2_echo: %s\n", why == NULL ? "no TLS" : why);
    return echo->tls != NULL;
}

int main(int argc, char **argv)
{
    struct echo echo = {0};
    struct address address;
    uint64_t port;
    if (argc < 2 || !text_to_u64(text_of(argv[1]), &port) || port > 65535 ||
        !address_parse(TEXT("127.0.0.1"), (uint16_t)port, &address)) {
        fprintf(stderr, "usage: h2_echo PORT [CERTIFICATE KEY]\n");
        return 2;
    }
    memset(FILL, 'x', sizeof(FILL));
    echo.loop = loop_new(NULL);
    if (argc == 4 && !use_tls(&echo, argv[2], argv[3]))
        return 1;
    int fd = listener_open(&address, false);
    echo.listener.owner = &echo;
    echo.listener.on_accept = on_accept;
    if (fd < 0 || !signals_init(&echo.signals, echo.loop, &echo, on_signal) ||
        !listener_start(&echo.listener, echo.loop, fd)) {
        perror("h2_echo");
        return 1;
    }
    address = listener_local(fd);
    printf("port %u\n", address_port(&address));
    fflush(stdout);
    loop_run(echo.loop);
    signals_fini(&echo.signals);
    tls_context_unref(echo.tls);
    tls_certificate_unref(echo.certificate);
    loop_free(echo.loop);
    return 0;
}
