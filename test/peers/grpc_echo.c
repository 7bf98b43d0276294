/* A small gRPC program on our stack for other people's peers.
 * grpc_echo serve PORT: /test.Echo/Stream sends every message back, /test.Echo/Fail fails,
 * /test.Echo/Flood sends 200 messages of 50,000 bytes. Prints "port N".
 * grpc_echo call PORT COUNT SIZE: one stream to /test.Echo/Stream; prints "status N messages M". */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "event/signals.h"
#include "grpc/grpc.h"
#include "net/listener.h"

#define FLOOD_COUNT 200
#define FLOOD_SIZE  50000
#define QUEUE_MAX   (64u << 20)

struct program {
    struct loop *loop;
    struct listener listener;
    struct signals signals;
    struct grpc_server *server;
    struct grpc_channel *channel;
    size_t to_send, size, messages, bytes;
    int result;
    bool done;
};

/* Not loop_stop: what is closed at the end needs one more turn. */
static void turn_until_done(struct program *program)
{
    while (!program->done)
        loop_turn(program->loop, -1);
}

/* ---- serving ---- */

static void on_served_end(void *owner, struct grpc_call *call, enum grpc_status status,
                          struct text text)
{
    (void)call;
    (void)status;
    (void)text;
    free(owner);
}

static void on_echo_message(void *owner, struct grpc_call *call, struct text message)
{
    (void)owner;
    if (grpc_send(call, message, QUEUE_MAX) != ERR_NONE)
        grpc_finish(call, GRPC_RESOURCE_EXHAUSTED, "the caller does not read");
}

static const struct grpc_events ECHO = {.on_message = on_echo_message, .on_end = on_served_end};

static void on_echo(void *owner, struct grpc_call *call)
{
    (void)owner;
    call->events = &ECHO;
}

static void on_fail(void *owner, struct grpc_call *call)
{
    (void)owner;
    grpc_finish(call, GRPC_FAILED_PRECONDITION, "50% of \xc3\xbc");
}

static void flood(size_t *left, struct grpc_call *call)
{
    char *bytes = memory_alloc(FLOOD_SIZE);
    while (*left > 0 && call->queued_bytes == 0 &&
           grpc_send(call, text_from(bytes, FLOOD_SIZE), QUEUE_MAX) == ERR_NONE)
        --*left;
    free(bytes);
    if (*left == 0)
        grpc_finish(call, GRPC_OK, "");
}

static void on_flood_message(void *owner, struct grpc_call *call, struct text message)
{
    (void)message;
    flood(owner, call);
}

static void on_flood_sent(void *owner, struct grpc_call *call)
{
    flood(owner, call);
}

static void on_flood_half_close(void *owner, struct grpc_call *call)
{
    (void)owner;
    (void)call;
}

static const struct grpc_events FLOOD = {
    .on_message = on_flood_message,
    .on_half_close = on_flood_half_close,
    .on_sent = on_flood_sent,
    .on_end = on_served_end,
};

static void on_flood(void *owner, struct grpc_call *call)
{
    (void)owner;
    size_t *left = memory_new(size_t);
    *left = FLOOD_COUNT;
    call->events = &FLOOD;
    call->owner = left;
}

static const struct grpc_method METHODS[] = {
    {"/test.Echo/Stream", on_echo},
    {"/test.Echo/Fail", on_fail},
    {"/test.Echo/Flood", on_flood},
};

static void on_accept(void *owner, int fd, const struct address *peer)
{
    struct program *program = owner;
    grpc_server_accept(program->server, fd, peer, NULL);
}

static void on_signal(void *owner, int number)
{
    struct program *program = owner;
    (void)number;
    program->done = true;
}

static int serve(struct program *program, const struct address *address)
{
    int fd = listener_open(address, false);
    program->server = grpc_server_new(program->loop, METHODS, ARRAY_LEN(METHODS), NULL, program);
    program->listener.owner = program;
    program->listener.on_accept = on_accept;
    if (fd < 0 || !signals_init(&program->signals, program->loop, program, on_signal) ||
        !listener_start(&program->listener, program->loop, fd)) {
        perror("grpc_echo");
        return 1;
    }
    struct address local = listener_local(fd);
    printf("port %u\n", address_port(&local));
    fflush(stdout);
    turn_until_done(program);
    listener_close(&program->listener);
    signals_fini(&program->signals);
    grpc_server_free(program->server);
    loop_turn(program->loop, 0);
    return 0;
}

/* ---- calling ---- */

static void send_more(struct program *program, struct grpc_call *call)
{
    char *bytes = memory_alloc(program->size + 1);
    while (program->to_send > 0 && call->queued_bytes == 0) {
        memset(bytes, (int)('a' + program->to_send % 26), program->size);
        if (grpc_send(call, text_from(bytes, program->size), QUEUE_MAX) != ERR_NONE)
            break;
        if (--program->to_send == 0)
            grpc_finish(call, GRPC_OK, "");
    }
    free(bytes);
}

static void on_answer(void *owner, struct grpc_call *call, struct text message)
{
    struct program *program = owner;
    (void)call;
    program->messages++;
    program->bytes += message.len;
}

static void on_answer_sent(void *owner, struct grpc_call *call)
{
    send_more(owner, call);
}

static void on_answer_end(void *owner, struct grpc_call *call, enum grpc_status status,
                          struct text text)
{
    struct program *program = owner;
    (void)call;
    printf("status %d messages %zu bytes %zu text " TEXT_FMT "\n", (int)status, program->messages,
           program->bytes, TEXT_ARG(text));
    program->result = status == GRPC_OK ? 0 : 1;
    program->done = true;
}

static const struct grpc_events CALL = {
    .on_message = on_answer,
    .on_sent = on_answer_sent,
    .on_end = on_answer_end,
};

static void on_ready(void *owner, struct grpc_channel *channel)
{
    struct program *program = owner;
    struct grpc_call *call = grpc_start(channel, "/test.Echo/Stream", &CALL, program);
    send_more(program, call);
}

static void on_closed(void *owner, struct grpc_channel *channel, const char *why)
{
    struct program *program = owner;
    (void)channel;
    fprintf(stderr, "closed: %s\n", why);
    program->done = true;
}

static const struct grpc_channel_events CHANNEL = {.on_ready = on_ready, .on_closed = on_closed};

static int call(struct program *program, const struct address *address)
{
    program->result = 1;
    program->channel = grpc_channel_open(program->loop, address, NULL, TEXT_NONE, TEXT("localhost"),
                                         &CHANNEL, program);
    turn_until_done(program);
    grpc_channel_free(program->channel);
    loop_turn(program->loop, 0);
    return program->result;
}

int main(int argc, char **argv)
{
    struct program program = {.size = 10, .to_send = 1};
    struct address address;
    uint64_t port = 0, count = 1, size = 10;
    if (argc < 3 || !text_to_u64(text_of(argv[2]), &port) || port > 65535 ||
        (argc > 3 && !text_to_u64(text_of(argv[3]), &count)) ||
        (argc > 4 && !text_to_u64(text_of(argv[4]), &size)) ||
        !address_parse(TEXT("127.0.0.1"), (uint16_t)port, &address)) {
        fprintf(stderr, "usage: grpc_echo serve PORT | call PORT COUNT SIZE\n");
        return 2;
    }
    program.to_send = (size_t)count;
    program.size = (size_t)size;
    program.loop = loop_new(NULL);
    int result =
        text_is(text_of(argv[1]), "call") ? call(&program, &address) : serve(&program, &address);
    loop_free(program.loop);
    return result;
}
