/* An echo server on our own HTTP stack, HTTP/1 and HTTP/2. What a request carries comes back in the
 * fields that the Gateway API's own echo backend uses. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/echo.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/builder.h"
#include "base/json.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "event/signals.h"
#include "http/connection.h"
#include "net/listener.h"

#define ECHO_BODY_MAX 1024 /* of a request body that is shown */

struct echo {
    struct loop *loop;
    struct listener listener;
    struct address address;
    const char *name;
};

struct echo_request {
    struct echo *echo;
    struct builder answer;
    size_t sent;
    struct builder body;
    uint64_t body_bytes;
};

static void describe(struct echo_request *request, const struct message *head)
{
    struct json json;
    json_init(&json, &request->answer, 1);
    json_object_begin(&json, NULL);
    json_string(&json, "service", request->echo->name);
    json_text(&json, "method", head->method_name);
    json_key(&json, TEXT("path"));
    struct builder path = {0};
    builder_add(&path, head->path);
    if (head->has_query) {
        builder_add_char(&path, '?');
        builder_add(&path, head->query);
    }
    json_text(&json, NULL, builder_text(&path));
    builder_fini(&path);
    json_text(&json, "host", head->authority);
    json_string(&json, "proto", head->version == 20 ? "HTTP/2.0" : "HTTP/1.1");
    json_object_begin(&json, "headers");
    for (uint32_t i = 0; i < head->field_count; i++) {
        json_key(&json, head->fields[i].name);
        json_text(&json, NULL, head->fields[i].value);
    }
    json_object_end(&json);
    json_int(&json, "bodyBytes", (int64_t)request->body_bytes);
    if (request->body.len > 0)
        json_text(&json, "body", builder_text(&request->body));
    json_object_end(&json);
    builder_add_char(&request->answer, '\n');
}

static void send_more(struct echo_request *request, struct http_stream *stream)
{
    struct text rest = text_slice(builder_text(&request->answer), request->sent, SIZE_MAX);
    request->sent += http_stream_write(stream, rest, true);
}

static void answer(struct echo_request *request, struct http_stream *stream)
{
    describe(request, &stream->head);
    struct message head;
    message_init(&head);
    head.status = 200;
    head.framing = FRAMING_LENGTH;
    head.content_length = request->answer.len;
    struct arena arena;
    arena_init(&arena, 0);
    message_add(&head, &arena, TEXT("content-type"), TEXT("application/json"));
    message_add(&head, &arena, TEXT("x-echo-service"), text_of(request->echo->name));
    http_stream_send_head(stream, &head, false);
    arena_fini(&arena);
    send_more(request, stream);
}

static void on_readable(void *owner, struct http_stream *stream)
{
    struct echo_request *request = owner;
    if (stream->head_sent)
        return;
    for (;;) {
        struct text bytes = http_stream_peek(stream);
        if (bytes.len == 0)
            break;
        request->body_bytes += bytes.len;
        if (request->body.len < ECHO_BODY_MAX)
            builder_add(&request->body, text_slice(bytes, 0, ECHO_BODY_MAX - request->body.len));
        http_stream_consume(stream, bytes.len);
    }
    if (stream->read_ended)
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
    struct echo_request *request = owner;
    if (stream->head_sent && request->sent < request->answer.len)
        send_more(request, stream);
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
    struct echo_request *request = owner;
    builder_fini(&request->answer);
    builder_fini(&request->body);
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
    struct echo_request *request = memory_new(struct echo_request);
    request->echo = owner;
    http_stream_own(stream, &events, request);
}

static void on_connection_closed(void *owner, struct http_connection *connection, enum err err)
{
    (void)owner;
    (void)connection;
    (void)err;
}

static void on_accept(void *owner, int fd, const struct address *peer)
{
    static const struct http_settings settings = {.version = HTTP_AUTO, .allow_h2 = true};
    static const struct http_connection_events events = {
        .on_stream = on_stream,
        .on_closed = on_connection_closed,
    };
    struct echo *echo = owner;
    http_serve(echo->loop, fd, peer, NULL, &settings, &events, echo);
}

struct echo *echo_new(struct loop *loop, const struct address *address, const char *name)
{
    int fd = listener_open(address, false);
    if (fd < 0)
        return NULL;
    struct echo *echo = memory_new(struct echo);
    echo->loop = loop;
    echo->name = name;
    echo->address = listener_local(fd);
    echo->listener.owner = echo;
    echo->listener.on_accept = on_accept;
    if (!listener_start(&echo->listener, loop, fd)) {
        free(echo);
        return NULL;
    }
    return echo;
}

struct address echo_address(const struct echo *echo)
{
    return echo->address;
}

void echo_free(struct echo *echo)
{
    if (echo == NULL)
        return;
    listener_close(&echo->listener);
    free(echo);
}

static void on_signal(void *owner, int number)
{
    if (number == SIGTERM || number == SIGINT)
        loop_stop(owner);
}

static int serve(const struct address *address, const char *name)
{
    struct loop *loop = loop_new(NULL);
    struct signals signals;
    struct echo *echo = NULL;
    int code = CLI_INTERNAL;
    if (!signals_init(&signals, loop, loop, on_signal))
        goto out;
    char text[ADDRESS_TEXT_MAX];
    echo = echo_new(loop, address, name);
    if (echo == NULL) {
        int why = errno;
        address_format(address, text);
        cli_complain(&cli_echo, "cannot listen on %s: %s", text, strerrordesc_np(why));
        goto out_signals;
    }
    address_format(&echo->address, text);
    printf("%s listens on %s\n", name, text);
    fflush(stdout);
    loop_run(loop);
    code = CLI_OK;
out_signals:
    echo_free(echo);
    signals_fini(&signals);
out:
    loop_free(loop);
    return code;
}

static int run(int argc, char **argv)
{
    const char *listen = "127.0.0.1:3000", *name = "echo";
    struct cli_args args;
    cli_args_init(&args, &cli_echo, argc, argv);
    while (cli_args_next(&args)) {
        if (cli_args_is(&args, "help", 'h')) {
            cli_print_usage(&cli_echo);
            return CLI_OK;
        }
        if (cli_args_is(&args, "listen", 'l'))
            listen = cli_args_value(&args);
        else if (cli_args_is(&args, "name", 'n'))
            name = cli_args_value(&args);
        else
            cli_args_unknown(&args);
    }
    if (args.failed)
        return CLI_USAGE;
    struct address address;
    if (!address_parse_endpoint(text_of(listen), &address)) {
        cli_complain(&cli_echo, "--listen wants ADDRESS:PORT, not `%s`", listen);
        return CLI_USAGE;
    }
    return serve(&address, name);
}

const struct cli_verb cli_echo = {
    .name = "echo",
    .summary = "run a backend that answers with what it received",
    .usage = "[--listen ADDRESS:PORT] [--name NAME]\n\n"
             "  --listen   where to listen (127.0.0.1:3000); port 0 takes a free one\n"
             "  --name     how it calls itself in its answers (echo)",
    .run = run,
};
