/* Connecting again, for ever and not all at once. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "net/tls.h"

#define TOKEN_MAX 16384

struct link {
    struct loop *loop;
    struct address *addresses; /* owns */
    size_t count, at;
    struct address to;            /* in use, or tried next */
    struct tls_context *tls;      /* shares */
    char *server_name;            /* owns */
    char *token_file;             /* owns; or NULL */
    struct grpc_channel *channel; /* owns; NULL between two tries */
    bool started, up, ending;
    uint32_t attempt;
    uint64_t up_since_ms;
    char last_error[160];
    struct link_user *users; /* borrows */
    struct timer retry;
    struct defer close; /* a channel must not be freed inside its callbacks */
    struct link_counters counters;
};

uint64_t link_backoff_ms(struct random *random, uint32_t attempt)
{
    uint64_t step = LIMIT_RECONNECT_MIN_MS;
    for (uint32_t i = 0; i < attempt && step < LIMIT_RECONNECT_MAX_MS; i++)
        step *= 2;
    step = MIN(step, (uint64_t)LIMIT_RECONNECT_MAX_MS);
    return step / 2 + random_below(random, step / 2 + 1);
}

static void set_error(struct link *link, const char *why)
{
    (void)snprintf(link->last_error, sizeof(link->last_error), "%s", why);
}

static void on_late_message(void *owner, struct grpc_call *call, struct text message)
{
    (void)owner;
    (void)call;
    (void)message;
}

static void on_late_end(void *owner, struct grpc_call *call, enum grpc_status status,
                        struct text text)
{
    (void)owner;
    (void)call;
    (void)status;
    (void)text;
}

static const struct grpc_events NOBODY = {.on_message = on_late_message, .on_end = on_late_end};

void link_end_call(struct grpc_call *call, enum grpc_status status, const char *why)
{
    call->events = &NOBODY;
    call->owner = NULL;
    grpc_finish(call, status, why);
}

void link_drop_call(struct grpc_call *call)
{
    call->events = &NOBODY;
    call->owner = NULL;
    grpc_cancel(call);
}

static void tell_down(struct link *link, const char *why)
{
    bool was_up = link->up;
    link->up = false;
    for (struct link_user *user = link->users; was_up && user != NULL;) {
        struct link_user *next = user->next;
        user->on_down(user->owner, why);
        user = next;
    }
}

void link_restart(struct link *link, const char *why)
{
    if (link->channel == NULL || link->ending)
        return;
    link->ending = true;
    set_error(link, why == NULL || why[0] == '\0' ? "connection closed" : why);
    /* A connection that held for long was useful, whatever came over it. */
    if (link->up && loop_now_ms(link->loop) - link->up_since_ms > LIMIT_RECONNECT_MAX_MS)
        link->attempt = 0;
    tell_down(link, link->last_error);
    link->counters.failures++;
    loop_defer(link->loop, &link->close);
}

static void on_ready(void *owner, struct grpc_channel *channel)
{
    struct link *link = owner;
    if (link->ending || link->up || channel != link->channel)
        return;
    link->up = true;
    link->up_since_ms = loop_now_ms(link->loop);
    link->counters.connects++;
    for (struct link_user *user = link->users; user != NULL && link->up;) {
        struct link_user *next = user->next;
        user->on_up(user->owner, channel);
        user = next;
    }
}

static void on_closed(void *owner, struct grpc_channel *channel, const char *why)
{
    struct link *link = owner;
    if (channel == link->channel)
        link_restart(link, why);
}

/* A token that is replaced now and then: the one of this moment. */
static void authorize(struct link *link)
{
    char token[TOKEN_MAX];
    FILE *file = link->token_file == NULL ? NULL : fopen(link->token_file, "re");
    if (file == NULL)
        return;
    size_t len = fread(token, 1, sizeof(token), file);
    fclose(file);
    while (len > 0 && (unsigned char)token[len - 1] <= ' ')
        len--;
    grpc_channel_authorize(link->channel, text_from(token, len));
    explicit_bzero(token, sizeof(token));
}

static void try_now(void *owner)
{
    static const struct grpc_channel_events EVENTS = {on_ready, on_closed};
    struct link *link = owner;
    if (link->channel != NULL)
        return;
    const struct address *to = &link->to;
    char text[ADDRESS_TEXT_MAX];
    struct text authority = to->any.sa_family == AF_UNIX ? TEXT("localhost")
                            : link->server_name[0] != 0  ? text_of(link->server_name)
                                                         : address_format(to, text);
    link->channel = grpc_channel_open(link->loop, to, link->tls, text_of(link->server_name),
                                      authority, &EVENTS, link);
    if (link->channel == NULL) {
        set_error(link, "no descriptor for a connection");
        link->counters.failures++;
        loop_arm(link->loop, &link->retry,
                 link_backoff_ms(loop_random(link->loop), link->attempt++));
        return;
    }
    authorize(link);
}

static void close_now(void *owner)
{
    struct link *link = owner;
    struct grpc_channel *channel = link->channel;
    link->channel = NULL;
    grpc_channel_free(channel);
    link->ending = false;
    link->at = (link->at + 1) % link->count;
    link->to = link->addresses[link->at];
    loop_arm(link->loop, &link->retry, link_backoff_ms(loop_random(link->loop), link->attempt++));
}

void link_set_addresses(struct link *link, const struct address *addresses, size_t count)
{
    CHECK(count > 0);
    link->addresses = memory_resize(link->addresses, count * sizeof(*addresses));
    memcpy(link->addresses, addresses, count * sizeof(*addresses));
    link->count = count;
    link->at = link->channel == NULL ? 0 : count - 1; /* the first is next */
    for (size_t i = 0; i < count; i++)
        if (address_equal(&link->to, &addresses[i]))
            link->at = i;
    if (link->channel == NULL)
        link->to = addresses[link->at];
}

struct link *link_new(const struct link_options *options)
{
    struct link *link = memory_new(struct link);
    link->loop = options->loop;
    link_set_addresses(link, options->addresses, options->count);
    if (options->tls != NULL)
        link->tls = tls_context_ref(options->tls);
    link->server_name = memory_string(options->server_name);
    if (options->token_file != NULL)
        link->token_file = memory_string(text_of(options->token_file));
    timer_init(&link->retry, link, try_now);
    defer_init(&link->close, link, close_now);
    return link;
}

void link_free(struct link *link)
{
    if (link == NULL)
        return;
    tell_down(link, "shutting down");
    loop_disarm(link->loop, &link->retry);
    loop_undefer(link->loop, &link->close);
    struct grpc_channel *channel = link->channel;
    link->ending = true;
    link->channel = NULL;
    if (channel != NULL)
        grpc_channel_free(channel);
    if (link->tls != NULL)
        tls_context_unref(link->tls);
    free(link->addresses);
    free(link->server_name);
    free(link->token_file);
    free(link);
}

void link_add(struct link *link, struct link_user *user)
{
    struct link_user **end = &link->users;
    while (*end != NULL)
        end = &(*end)->next;
    user->next = NULL;
    *end = user;
    if (link->up)
        user->on_up(user->owner, link->channel);
}

void link_remove(struct link *link, struct link_user *user)
{
    for (struct link_user **at = &link->users; *at != NULL; at = &(*at)->next) {
        if (*at == user) {
            *at = user->next;
            return;
        }
    }
}

void link_start(struct link *link)
{
    if (!link->started)
        try_now(link);
    link->started = true;
}

void link_good(struct link *link)
{
    link->attempt = 0;
}

bool link_is_up(const struct link *link)
{
    return link->up;
}

const char *link_last_error(const struct link *link)
{
    return link->last_error;
}

const struct link_counters *link_counters(const struct link *link)
{
    return &link->counters;
}

const struct address *link_address(const struct link *link)
{
    return &link->to;
}
