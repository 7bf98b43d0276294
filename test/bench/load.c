/* The load generator: closed loop (each connection sends when it has its answer) or open loop (a
 * fixed rate, latency from the intended moment). Bounded in time and count, loopback only. Prints
 * one line of JSON. HTTP/1.1, plain or TLS; answers must carry Content-Length.
 *
 *   load --port N [--connections N] [--seconds S] [--rate R] [--tls] [--new] [--requests N]
 *        [--host NAME | --hosts N] [--path P | --paths N] [--post BYTES] [--idle]
 * With --idle each connection sends one request and then stays until the end; they come up one
 * after the other, a few at a time.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/builder.h"
#include "base/clock.h"
#include "base/memory.h"
#include "event/loop.h"
#include "net/stream.h"
#include "net/tls.h"

#define LATENCIES_MAX 4000000
#define IDLE_AT_ONCE  16

struct load;

struct client {
    struct load *load;
    struct stream stream;
    struct buffer in, out;
    uint64_t intended_ns;
    size_t body_left;
    bool waiting, open, in_body, good;
};

struct load {
    struct loop *loop;
    struct address to;
    struct tls_context *tls;
    struct client *clients;
    uint32_t connections, begun;
    double seconds, rate;
    bool new_each, idle;
    const char *host, *path;
    uint64_t hosts, paths, post, requests_max;
    uint64_t started_ns, deadline_ns, next_ns;
    uint64_t sent, done, errors, bad, connects;
    uint32_t *latency_us;
    struct timer ticker, end;
    size_t turn; /* open loop: the client whose turn it is */
};

static void start_client(struct client *client);

static bool is_over(const struct load *load)
{
    return loop_now_ns(load->loop) >= load->deadline_ns ||
           (load->requests_max > 0 && load->sent >= load->requests_max);
}

static void send_request(struct client *client, uint64_t intended_ns)
{
    struct load *load = client->load;
    char head[1024], host[128], path[256];
    uint64_t pick = random_next(loop_random(load->loop));
    if (load->hosts > 0)
        snprintf(host, sizeof(host), "h%llu.example.com", (unsigned long long)(pick % load->hosts));
    else
        snprintf(host, sizeof(host), "%s", load->host);
    if (load->paths > 0)
        snprintf(path, sizeof(path), "/p%llu/x", (unsigned long long)(pick % load->paths));
    else
        snprintf(path, sizeof(path), "%s", load->path);
    int len = load->post > 0 ? snprintf(head, sizeof(head),
                                        "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: load\r\n"
                                        "Content-Length: %llu\r\n\r\n",
                                        path, host, (unsigned long long)load->post)
                             : snprintf(head, sizeof(head),
                                        "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: load\r\n"
                                        "Accept: */*\r\n\r\n",
                                        path, host);
    buffer_add(&client->out, head, (size_t)len);
    if (load->post > 0) {
        memset(buffer_reserve(&client->out, load->post), 'p', load->post);
        client->out.end += (uint32_t)load->post;
    }
    client->intended_ns = intended_ns;
    client->waiting = true;
    load->sent++;
    if (stream_write(&client->stream, &client->out) > ERR_AGAIN)
        load->errors++;
}

static void fail(struct client *client)
{
    struct load *load = client->load;
    if (client->waiting)
        load->errors++;
    client->waiting = client->open = false;
    stream_close(&client->stream);
    buffer_fini(&client->in);
    buffer_fini(&client->out);
    if (!is_over(load))
        start_client(client);
}

static void finish(struct client *client)
{
    struct load *load = client->load;
    uint64_t now = clock_monotonic_ns();
    if (load->done < LATENCIES_MAX)
        load->latency_us[load->done] = (uint32_t)((now - client->intended_ns) / 1000);
    load->done++;
    load->bad += !client->good;
    client->waiting = client->in_body = false;
    if (load->new_each) {
        client->open = false;
        stream_close(&client->stream);
        buffer_fini(&client->in);
        if (!is_over(load))
            start_client(client);
    } else if (load->idle) {
        if (load->begun < load->connections)
            start_client(&load->clients[load->begun++]);
    } else if (load->rate == 0 && !is_over(load)) {
        send_request(client, now);
    }
}

/* The head of an answer; false: not whole yet. */
static bool read_head(struct client *client)
{
    struct text in = buffer_text(&client->in);
    const char *end = in.len < 16 ? NULL : memmem(in.data, in.len, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    client->good = in.data[9] == '2';
    client->body_left = 0;
    struct text rest = text_from(in.data, (size_t)(end - in.data)), line = TEXT_NONE;
    while (text_split(&rest, '\n', &line)) {
        uint64_t length = 0;
        if (line.len > 15 && strncasecmp(line.data, "content-length:", 15) == 0) {
            struct text digits = text_trim(text_slice(line, 15, line.len));
            if (digits.len > 0 && digits.data[digits.len - 1] == '\r')
                digits.len--;
            if (text_to_u64(digits, &length))
                client->body_left = length;
        }
    }
    buffer_skip(&client->in, (size_t)(end - in.data) + 4);
    client->in_body = true;
    return true;
}

static void consume(struct client *client)
{
    while (client->waiting) {
        if (!client->in_body && !read_head(client))
            return;
        size_t take = MIN(client->body_left, buffer_len(&client->in));
        buffer_skip(&client->in, take);
        client->body_left -= take;
        if (client->body_left > 0)
            return;
        finish(client);
    }
}

static void on_event(void *owner, uint32_t events)
{
    struct client *client = owner;
    if (events & STREAM_FAILED) {
        fail(client);
        return;
    }
    if (events & STREAM_CONNECTED) {
        client->open = true;
        client->load->connects++;
        if (client->load->rate == 0)
            send_request(client, clock_monotonic_ns());
    }
    if (events & STREAM_WRITABLE && buffer_len(&client->out) > 0)
        if (stream_write(&client->stream, &client->out) > ERR_AGAIN)
            client->load->errors++;
    while (client->open && events & STREAM_READABLE && client->stream.read_ready) {
        enum err err = stream_read(&client->stream, &client->in, 16384);
        if (err == ERR_AGAIN)
            break;
        if (err != ERR_NONE) {
            fail(client);
            return;
        }
        consume(client);
    }
}

static void start_client(struct client *client)
{
    struct load *load = client->load;
    client->in_body = false;
    client->stream.owner = client;
    client->stream.on_event = on_event;
    buffer_init(&client->in, loop_buffers(load->loop));
    buffer_init(&client->out, loop_buffers(load->loop));
    if (stream_connect(&client->stream, load->loop, &load->to, load->tls, text_of(load->host),
                       10000) != ERR_NONE)
        load->errors++;
}

/* Open loop: everything that is due, on whichever connection is free. */
static void on_tick(void *owner)
{
    struct load *load = owner;
    uint64_t now = clock_monotonic_ns();
    loop_arm(load->loop, &load->ticker, 1);
    while (load->next_ns <= now && !is_over(load)) {
        size_t tries = 0;
        struct client *client = NULL;
        do {
            client = &load->clients[load->turn++ % load->connections];
        } while ((!client->open || client->waiting) && ++tries < load->connections);
        if (tries == load->connections)
            break; /* all are waiting: the delay shows as latency */
        send_request(client, load->next_ns);
        load->next_ns += (uint64_t)(1e9 / load->rate);
    }
}

static void on_end(void *owner)
{
    loop_stop(owner);
}

static int by_value(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static void report(struct load *load)
{
    uint64_t count = MIN(load->done, (uint64_t)LATENCIES_MAX);
    if (count > 0)
        qsort(load->latency_us, count, sizeof(uint32_t), by_value);
    double elapsed = (double)(clock_monotonic_ns() - load->started_ns) / 1e9;
    printf("{\"requests\": %llu, \"errors\": %llu, \"bad\": %llu, \"connects\": %llu, "
           "\"seconds\": %.3f, \"rps\": %.0f, \"p50_us\": %u, \"p99_us\": %u}\n",
           (unsigned long long)load->done, (unsigned long long)load->errors,
           (unsigned long long)load->bad, (unsigned long long)load->connects, elapsed,
           (double)load->done / elapsed, count > 0 ? load->latency_us[count / 2] : 0,
           count > 0 ? load->latency_us[count * 99 / 100] : 0);
}

static bool read_args(struct load *load, int argc, char **argv, uint16_t *port, bool *tls)
{
    for (int i = 1; i < argc; i++) {
        struct text flag = text_of(argv[i]);
        const char *value = i + 1 < argc ? argv[i + 1] : "0";
        double number = strtod(value, NULL);
        i++;
        if (text_is(flag, "--port"))
            *port = (uint16_t)number;
        else if (text_is(flag, "--connections"))
            load->connections = (uint32_t)number;
        else if (text_is(flag, "--seconds"))
            load->seconds = number;
        else if (text_is(flag, "--rate"))
            load->rate = number;
        else if (text_is(flag, "--requests"))
            load->requests_max = (uint64_t)number;
        else if (text_is(flag, "--host"))
            load->host = value;
        else if (text_is(flag, "--hosts"))
            load->hosts = (uint64_t)number;
        else if (text_is(flag, "--path"))
            load->path = value;
        else if (text_is(flag, "--paths"))
            load->paths = (uint64_t)number;
        else if (text_is(flag, "--post"))
            load->post = (uint64_t)number;
        else if (i--, text_is(flag, "--tls"))
            *tls = true;
        else if (text_is(flag, "--new"))
            load->new_each = true;
        else if (text_is(flag, "--idle"))
            load->idle = true;
        else
            return false;
    }
    return *port != 0 && load->connections > 0;
}

int main(int argc, char **argv)
{
    struct load load = {.connections = 32, .seconds = 2, .host = "bench.example.com", .path = "/"};
    uint16_t port = 0;
    bool tls = false;
    const char *why = NULL;
    if (!read_args(&load, argc, argv, &port, &tls) ||
        !address_parse(TEXT("127.0.0.1"), port, &load.to)) {
        fprintf(stderr, "load: bad arguments; see the head of load.c\n");
        return 2;
    }
    if (tls &&
        (load.tls = tls_client_new(&(struct tls_client_options){.insecure = true}, &why)) == NULL) {
        fprintf(stderr, "load: %s\n", why);
        return 1;
    }
    load.loop = loop_new(NULL);
    load.latency_us = memory_alloc(LATENCIES_MAX * sizeof(uint32_t));
    load.started_ns = load.next_ns = clock_monotonic_ns();
    load.deadline_ns = load.started_ns + (uint64_t)(load.seconds * 1e9);
    load.clients = memory_alloc(load.connections * sizeof(struct client));
    for (uint32_t i = 0; i < load.connections; i++)
        load.clients[i].load = &load;
    uint32_t at_once = load.idle ? IDLE_AT_ONCE : UINT32_MAX;
    while (load.begun < MIN(load.connections, at_once))
        start_client(&load.clients[load.begun++]);
    timer_init(&load.ticker, &load, on_tick);
    timer_init(&load.end, load.loop, on_end);
    if (load.rate > 0)
        loop_arm(load.loop, &load.ticker, 1);
    loop_arm(load.loop, &load.end, (uint64_t)(load.seconds * 1000) + 1);
    while (loop_turn(load.loop, 100))
        if (load.requests_max > 0 && load.done + load.errors >= load.requests_max)
            break;
    report(&load);
    for (uint32_t i = 0; i < load.begun; i++) {
        stream_close(&load.clients[i].stream);
        buffer_fini(&load.clients[i].in);
        buffer_fini(&load.clients[i].out);
    }
    free(load.clients);
    free(load.latency_us);
    tls_context_unref(load.tls);
    loop_free(load.loop);
    return load.done == 0 || (load.idle && load.done < load.connections);
}
