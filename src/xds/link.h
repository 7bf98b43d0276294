/* A connection to one of several control planes that comes back for ever: jittered exponential
 * backoff, next address each time. The streams on it (delta, report) are its users. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "event/loop.h"
#include "grpc/grpc.h"

struct link_options {
    struct loop *loop;
    const struct address *addresses; /* copied */
    size_t count;
    struct tls_context *tls; /* NULL: plain; shares */
    struct text server_name; /* for TLS */
    const char *token_file;  /* read for each connection; its token goes with every call; or NULL */
};

/* Stands in its owner, who removes it before it goes. */
struct link_user {
    struct link_user *next;
    void *owner;
    void (*on_up)(void *owner, struct grpc_channel *channel);
    /* The channel is of no use any more; calls on it have ended or will not be told of again. */
    void (*on_down)(void *owner, const char *why);
};

struct link_counters {
    uint64_t connects, failures;
};

struct link;
struct link *link_new(const struct link_options *options);
void link_free(struct link *link); /* tells its users on_down */
void link_add(struct link *link, struct link_user *user);
void link_remove(struct link *link, struct link_user *user);
void link_start(struct link *link);
/* Where the next try goes, at least one; copied. A connection that is up stays. */
void link_set_addresses(struct link *link, const struct address *addresses, size_t count);
/* Gives the connection up and comes back after the backoff. Safe inside any callback. */
void link_restart(struct link *link, const char *why);
/* The peer proved to be useful: the next backoff starts small again. */
void link_good(struct link *link);
bool link_is_up(const struct link *link);
const char *link_last_error(const struct link *link); /* "" if none */
const struct link_counters *link_counters(const struct link *link);
const struct address *link_address(const struct link *link); /* the one in use, or tried next */

/* Cancels a call, either end; its owner hears nothing more of it and may go. */
void link_drop_call(struct grpc_call *call);
/* Serving: ends it with a status; its owner hears nothing more of it either. */
void link_end_call(struct grpc_call *call, enum grpc_status status, const char *why);

/* How long to wait before try number `attempt` (from 0): half to whole of an exponential step. */
uint64_t link_backoff_ms(struct random *random, uint32_t attempt);
