/* judge serve PORT...        the backend
 * judge ask --port PORT ...  the load; prints one line of JSON and exits 0 if it was delivered at
 *                            all: what the counts must be is the test's to say
 * A PORT is one of 127.0.0.1, or ADDRESS:PORT. SIGTERM ends the load: what is under way is waited
 * for, then the report comes.
 *
 *   --tls-port PORT  new connections are TLS, to this port (never verified)
 *   --host NAME      (judge.example)
 *   --rate R         requests a second (1000)      --requests N   in all (1000)
 *   --connections N  of each kind kept open from the start (8)
 *   --streams N      at a time (0)                 --items N      of each, ten a second (20)
 *   --late MS        (20000)                       --end MS       patience at the end (30000)
 *   --kinds LIST     of h1,h2,new,grpc (all) */
/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "event/signals.h"
#include "judge.h"
#include "net/tls.h"

static bool read_kinds(struct judge_options *options, struct text list)
{
    struct text kind;
    options->h1 = options->h2 = options->new = options->grpc = false;
    while (text_split(&list, ',', &kind)) {
        options->h1 |= text_is(kind, "h1");
        options->h2 |= text_is(kind, "h2");
        options->new |= text_is(kind, "new");
        options->grpc |= text_is(kind, "grpc");
    }
    return options->h1 || options->h2 || options->new || options->grpc;
}

static bool read_port(struct text text, struct address *ret_address)
{
    uint64_t port = 0;
    if (!text_to_u64(text, &port))
        return address_parse_endpoint(text, ret_address);
    return port <= UINT16_MAX && address_parse(TEXT("127.0.0.1"), (uint16_t)port, ret_address);
}

static bool read_flag(struct judge_options *options, const char *flag, const char *value)
{
    static const struct {
        const char *flag;
        size_t at;
    } numbers[] = {
        {"--requests", offsetof(struct judge_options, requests)},
        {"--connections", offsetof(struct judge_options, connections)},
        {"--streams", offsetof(struct judge_options, streams)},
        {"--items", offsetof(struct judge_options, items)},
        {"--late", offsetof(struct judge_options, late_ms)},
        {"--end", offsetof(struct judge_options, end_ms)},
    };
    if (text_is(text_of(flag), "--kinds"))
        return read_kinds(options, text_of(value));
    if (text_is(text_of(flag), "--host")) {
        options->host = value;
        return true;
    }
    if (text_is(text_of(flag), "--port"))
        return read_port(text_of(value), &options->plain);
    if (text_is(text_of(flag), "--tls-port"))
        return read_port(text_of(value), &options->tls);
    uint64_t number;
    if (!text_to_u64(text_of(value), &number) || number > JUDGE_NUMBERS)
        return false;
    if (text_is(text_of(flag), "--rate"))
        options->rate = (double)number;
    else {
        for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
            if (text_is(text_of(flag), numbers[i].flag)) {
                *(uint32_t *)(void *)((char *)options + numbers[i].at) = (uint32_t)number;
                return true;
            }
        return false;
    }
    return true;
}

static void report(const struct judge *judge, struct load *load, double seconds)
{
    const struct judge_counts *counts = &judge->counts;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"sent", counts->sent},         {"answered", counts->answered},
        {"lost", counts->lost},         {"bad", counts->bad},
        {"mixed", counts->mixed},       {"late", counts->late},
        {"retried", counts->retried},   {"refused", counts->refused},
        {"streams", counts->streams},   {"items", counts->items},
        {"missing", counts->missing},   {"repeated", counts->repeated},
        {"broken", counts->broken},     {"reordered", counts->reordered},
        {"connects", counts->connects},
    };
    printf("{");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        printf("\"%s\": %llu, ", rows[i].name, (unsigned long long)rows[i].value);
    printf("\"p50_ms\": %u, \"p99_ms\": %u, ", load_latency_ms(load, 0.5),
           load_latency_ms(load, 0.99));
    printf("\"seconds\": %.1f, \"first_loss\": \"%s\"}\n", seconds,
           judge->first_loss == NULL ? "" : judge->first_loss);
}

static void on_signal(void *owner, int number)
{
    struct judge *judge = owner;
    judge->is_ending = judge->is_ending || number == SIGTERM || number == SIGINT;
}

/* Turns until all is answered; end_ms after the last request was due, the rest is lost. */
static void wait_for_answers(struct judge *judge, struct load *load)
{
    const struct judge_options *options = judge->options;
    uint64_t end = judge_now_ms(judge) + (uint64_t)(options->requests * 1000.0 / options->rate) +
                   options->end_ms;
    bool was_ending = false;
    while (!load_done(load) && judge_now_ms(judge) < end) {
        loop_turn(judge->loop, 100);
        if (judge->is_ending && !was_ending)
            end = judge_now_ms(judge) + options->end_ms;
        was_ending = judge->is_ending;
    }
}

static int ask(const struct judge_options *options)
{
    struct judge judge = {.loop = loop_new(NULL), .options = options};
    struct signals signals;
    const char *why = NULL;
    judge.tls = tls_client_new(&(struct tls_client_options){.insecure = true}, &why);
    if (judge.tls == NULL || !signals_init(&signals, judge.loop, &judge, on_signal)) {
        fprintf(stderr, "judge: %s\n", why == NULL ? "no signals" : why);
        return 1;
    }
    uint64_t began = judge_now_ms(&judge);
    struct load *load = load_new(&judge);
    struct streams *streams = streams_new(&judge);
    wait_for_answers(&judge, load);
    streams_finish(streams);
    uint64_t end = judge_now_ms(&judge) + 2 * (uint64_t)options->end_ms;
    while (!streams_done(streams) && judge_now_ms(&judge) < end)
        loop_turn(judge.loop, 100);
    load_give_up(load);
    streams_free(streams);
    report(&judge, load, (double)(judge_now_ms(&judge) - began) / 1000);
    load_free(load);
    tls_context_unref(judge.tls);
    signals_fini(&signals);
    loop_free(judge.loop);
    return judge.counts.answered == 0;
}

static int usage(void)
{
    fprintf(stderr, "judge: bad arguments; see the head of main.c\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct judge_options options = {
        .host = "judge.example",
        .rate = 1000,
        .requests = 1000,
        .connections = 8,
        .items = 20,
        .late_ms = 20000,
        .end_ms = 30000,
        .h1 = true,
        .h2 = true,
        .new = true,
        .grpc = true,
    };
    if (argc > 2 && text_is(text_of(argv[1]), "serve")) {
        struct address ports[JUDGE_PORTS];
        size_t count = 0;
        for (int i = 2; i < argc && count < JUDGE_PORTS; i++)
            if (!read_port(text_of(argv[i]), &ports[count++]))
                return usage();
        return backend_run(ports, count);
    }
    if (argc < 2 || !text_is(text_of(argv[1]), "ask"))
        return usage();
    for (int i = 2; i < argc; i += 2)
        if (i + 1 == argc || !read_flag(&options, argv[i], argv[i + 1]))
            return usage();
    return options.plain.len > 0 && options.rate >= 1 ? ask(&options) : usage();
}
