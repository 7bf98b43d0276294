/* A good token is remembered for a while; of others nothing is kept, and few are asked about at a
 * time, so that nobody has the API server asked as often as they like. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/viewers.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "control/kube/review.h"

struct known {
    char *token; /* owns; NULL: a free place */
    uint64_t until_ms;
};

struct asked {
    char *token; /* owns; NULL: a free place */
    uint64_t ticket;
};

struct viewers {
    struct loop *loop;
    struct text namespace; /* borrows: of the client's configuration */
    struct reviews *reviews;
    viewers_answer on_answer;
    void *owner;
    struct known known[LIMIT_VIEWERS];
    struct asked asked[LIMIT_VIEWER_REVIEWS];
};

/* In the same time wherever they differ. */
static bool is_same(struct text a, struct text b)
{
    unsigned char differs = 0;
    for (size_t i = 0; a.len == b.len && i < a.len; i++)
        differs |= (unsigned char)(a.data[i] ^ b.data[i]);
    return a.len == b.len && differs == 0;
}

static void forget(struct known *known)
{
    free(known->token);
    *known = (struct known){0};
}

static bool is_known(struct viewers *viewers, struct text token)
{
    uint64_t now = loop_now_ms(viewers->loop);
    bool found = false;
    for (size_t i = 0; i < LIMIT_VIEWERS; i++) {
        struct known *known = &viewers->known[i];
        if (known->token != NULL && known->until_ms <= now)
            forget(known);
        found |= known->token != NULL && is_same(text_of(known->token), token);
    }
    return found;
}

/* In the place of the one that ends first. */
static void remember(struct viewers *viewers, const char *token)
{
    struct known *oldest = &viewers->known[0];
    if (is_known(viewers, text_of(token)))
        return;
    for (size_t i = 1; i < LIMIT_VIEWERS; i++)
        if (viewers->known[i].until_ms < oldest->until_ms)
            oldest = &viewers->known[i];
    forget(oldest);
    *oldest = (struct known){memory_string(text_of(token)),
                             loop_now_ms(viewers->loop) + LIMIT_VIEWER_KNOWN_MS};
}

static void on_reviewed(void *owner, uint64_t ticket, struct text namespace, struct text account,
                        bool is_checked, const char *why)
{
    struct viewers *viewers = owner;
    struct asked asked = viewers->asked[ticket];
    viewers->asked[ticket] = (struct asked){0};
    int status = 200;
    if (!is_checked) {
        status = 503;
    } else if (namespace.len == 0) {
        status = 401;
    } else if (!text_equal(namespace, viewers->namespace) || !text_is(account, VIEWERS_ACCOUNT)) {
        status = 403;
        why = "the token is of another service account than " VIEWERS_ACCOUNT;
    } else {
        remember(viewers, asked.token);
    }
    free(asked.token);
    viewers->on_answer(viewers->owner, asked.ticket, status, why);
}

static struct asked *free_place(struct viewers *viewers)
{
    for (size_t i = 0; i < LIMIT_VIEWER_REVIEWS; i++)
        if (viewers->asked[i].token == NULL)
            return &viewers->asked[i];
    return NULL;
}

void viewers_ask(struct viewers *viewers, uint64_t ticket, const struct message *head)
{
    struct asked *place = free_place(viewers);
    const struct field *own = message_find(head, TEXT(CLIENT_VIEWER));
    struct text token = own != NULL ? own->value : message_bearer(head);
    if (token.len == 0)
        viewers->on_answer(viewers->owner, ticket, 401,
                           "a token of the service account " VIEWERS_ACCOUNT " is missing; "
                           "`kubectl nantian` sends one");
    else if (token.len > LIMIT_VIEWER_TOKEN)
        viewers->on_answer(viewers->owner, ticket, 401, "the token is too long");
    else if (is_known(viewers, token))
        viewers->on_answer(viewers->owner, ticket, 200, NULL);
    else if (place == NULL)
        viewers->on_answer(viewers->owner, ticket, 503, "too many tokens are being checked");
    else {
        *place = (struct asked){memory_string(token), ticket};
        review_ask(viewers->reviews, (uint64_t)(place - viewers->asked), token);
    }
}

struct viewers *viewers_new(struct loop *loop, struct client *client, struct text namespace,
                            viewers_answer on_answer, void *owner)
{
    struct viewers *viewers = memory_new(struct viewers);
    viewers->loop = loop;
    viewers->namespace = namespace;
    viewers->on_answer = on_answer;
    viewers->owner = owner;
    viewers->reviews = review_new(client, VIEWERS_AUDIENCE, on_reviewed, viewers);
    return viewers;
}

void viewers_free(struct viewers *viewers)
{
    if (viewers == NULL)
        return;
    review_free(viewers->reviews);
    for (size_t i = 0; i < LIMIT_VIEWERS; i++)
        forget(&viewers->known[i]);
    for (size_t i = 0; i < LIMIT_VIEWER_REVIEWS; i++)
        free(viewers->asked[i].token);
    free(viewers);
}
