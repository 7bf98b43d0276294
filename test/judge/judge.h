/* The judge of every test in which no request may be lost: an open-loop load of numbered requests,
 * numbered items on long streams, and the backend behind the gateway that counts both. One thread.
 * Times are only the deadlines after which an answer counts as late. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "http/connection.h"

#define JUDGE_PORTS     8
#define JUDGE_NUMBERS   (1u << 24) /* requests of one run; the backend has a byte for each */
#define JUDGE_ITEM_MS   100        /* between two items of a stream */
#define JUDGE_GRPC      TEXT("application/grpc")
#define JUDGE_GRPC_HEAD 5 /* of a frame: compression, length */

struct judge_options {
    struct address plain, tls; /* tls.len 0: new connections are plain too */
    const char *host;
    double rate;            /* requests a second */
    uint32_t requests;      /* how many in all */
    uint32_t connections;   /* of each kind that stays */
    uint32_t streams;       /* open at a time */
    uint32_t items;         /* of each stream */
    uint32_t late_ms;       /* from the intended moment */
    uint32_t end_ms;        /* after the last request was due: then what is missing is lost */
    bool h1, h2, new, grpc; /* kinds of requests */
};

struct judge_counts {
    uint64_t sent, answered, lost, bad, mixed, late, retried, refused, connects;
    uint64_t streams, items, missing, repeated, reordered, broken;
};

struct judge {
    struct loop *loop;
    const struct judge_options *options;
    struct judge_counts counts;
    struct tls_context *tls;
    const char *first_loss; /* words, for the report */
    bool is_ending;         /* no new requests */
};

static inline uint64_t judge_now_ms(const struct judge *judge)
{
    return loop_tick(judge->loop) / 1000000;
}

/* load.c: requests. load_done: nothing is under way any more. */
struct load;
struct load *load_new(struct judge *judge);
void load_free(struct load *load);
bool load_done(const struct load *load);
void load_give_up(struct load *load);                      /* what is under way is lost */
uint32_t load_latency_ms(struct load *load, double share); /* 0.99; of the answered */

/* streams.c: long ones. */
struct streams;
struct streams *streams_new(struct judge *judge);
void streams_free(struct streams *streams);
void streams_finish(struct streams *streams); /* no new ones */
bool streams_done(const struct streams *streams);

/* backend.c: serves until SIGTERM. */
int backend_run(const struct address *ports, size_t count);
