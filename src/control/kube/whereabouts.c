/* A numeric address is all there is to know; of a name nothing is kept longer than it works. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/whereabouts.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "event/errand.h"

#define ADDRESSES_MAX 16 /* control planes have a handful of members */

struct lookup {
    struct errand errand; /* first */
    char *host;           /* owns */
    uint16_t port;
    struct address items[ADDRESSES_MAX];
    size_t count;
    int code; /* of getaddrinfo */
};

struct whereabouts {
    struct loop *loop;
    const struct kube_config *config; /* borrows */
    whereabouts_answer on_answer;
    void *owner;
    struct errands *errands; /* owns; NULL: not needed yet */
    bool is_asked;
    struct address items[ADDRESSES_MAX];
    size_t count, turn;
    char why[400];
};

static struct lookup *lookup_of(struct errand *errand)
{
    return CONTAINER_OF(errand, struct lookup, errand);
}

static void drop(struct errand *errand)
{
    struct lookup *lookup = lookup_of(errand);
    free(lookup->host);
    free(lookup);
}

static void run(struct errand *errand)
{
    struct lookup *lookup = lookup_of(errand);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    lookup->code = getaddrinfo(lookup->host, NULL, &hints, &found);
    if (lookup->code != 0)
        return;
    for (const struct addrinfo *at = found; at != NULL && lookup->count < ADDRESSES_MAX;
         at = at->ai_next) {
        struct address *address = &lookup->items[lookup->count];
        if (at->ai_addrlen > sizeof(address->storage))
            continue;
        address->len = at->ai_addrlen;
        memcpy(&address->storage, at->ai_addr, at->ai_addrlen);
        address_set_port(address, lookup->port);
        lookup->count++;
    }
    freeaddrinfo(found);
}

static void done(struct errand *errand, void *owner)
{
    struct whereabouts *where = owner;
    const struct lookup *lookup = lookup_of(errand);
    bool is_found = lookup->count > 0;
    where->is_asked = false;
    where->turn = 0;
    where->count = lookup->count;
    memcpy(where->items, lookup->items, sizeof(where->items));
    (void)snprintf(where->why, sizeof(where->why), "the cluster's server %.253s: %s", lookup->host,
                   is_found ? "" : gai_strerror(lookup->code == 0 ? EAI_NONAME : lookup->code));
    drop(errand);
    where->on_answer(where->owner, is_found ? NULL : where->why);
}

/* NULL, or why it cannot be looked up. */
static const char *look_up(struct whereabouts *where)
{
    if (where->errands == NULL)
        where->errands = errands_new(where->loop, where);
    if (where->errands == NULL)
        return "the kernel refused what a lookup needs";
    struct lookup *lookup = memory_new(struct lookup);
    lookup->errand = (struct errand){.run = run, .done = done, .drop = drop};
    lookup->host = memory_string(text_of(where->config->host));
    lookup->port = where->config->port;
    where->is_asked = errands_start(where->errands, &lookup->errand);
    if (where->is_asked)
        return NULL;
    drop(&lookup->errand);
    return "the kernel refused a thread for a lookup";
}

struct whereabouts *whereabouts_new(struct loop *loop, const struct kube_config *config,
                                    whereabouts_answer on_answer, void *owner)
{
    struct whereabouts *where = memory_new(struct whereabouts);
    where->loop = loop;
    where->config = config;
    where->on_answer = on_answer;
    where->owner = owner;
    return where;
}

void whereabouts_free(struct whereabouts *where)
{
    if (where == NULL)
        return;
    errands_free(where->errands);
    free(where);
}

const struct address *whereabouts_get(struct whereabouts *where, const char **ret_why)
{
    *ret_why = NULL;
    if (where->config->host == NULL)
        return &where->config->address;
    if (where->turn < where->count)
        return &where->items[where->turn];
    if (!where->is_asked)
        *ret_why = look_up(where);
    return NULL;
}

bool whereabouts_fail(struct whereabouts *where, const struct address *tried)
{
    if (where->turn < where->count && address_equal(&where->items[where->turn], tried))
        where->turn++;
    return where->turn < where->count;
}

void whereabouts_forget(struct whereabouts *where)
{
    where->turn = where->count = 0;
}
