/* One request a token; only tokens that were made for us count (audience). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/review.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/memory.h"

struct review {
    struct review *next, **at;
    struct reviews *reviews;
    uint64_t ticket;
    struct client_call *call;
};

struct reviews {
    struct client *client;
    const char *audience;
    review_answer on_answer;
    void *owner;
    struct review *first;
};

static void free_review(struct review *review)
{
    *review->at = review->next;
    if (review->next != NULL)
        review->next->at = review->at;
    free(review);
}

static bool is_for_us(const struct value *audiences, const char *audience)
{
    for (size_t i = 0;
         audiences != NULL && audiences->kind == VALUE_LIST && i < audiences->list.count; i++)
        if (text_is(value_string(audiences->list.items[i]), audience))
            return true;
    return false;
}

/* "system:serviceaccount:NAMESPACE:NAME" */
static bool read_account(const struct value *status, const char *audience,
                         struct text *ret_namespace, struct text *ret_account)
{
    static const struct text PREFIX = {"system:serviceaccount:", 22};
    struct text user = value_string(value_get(value_get(status, "user"), "username"));
    if (!value_bool(value_get(status, "authenticated"), false) ||
        !is_for_us(value_get(status, "audiences"), audience) || !text_starts_with(user, PREFIX))
        return false;
    struct text rest = text_slice(user, PREFIX.len, user.len);
    *ret_account = TEXT_NONE;
    return text_split(&rest, ':', ret_namespace) && text_split(&rest, ':', ret_account) &&
           ret_namespace->len > 0 && ret_account->len > 0;
}

static void on_reviewed(void *owner, const struct client_answer *answer)
{
    struct review *review = owner;
    struct reviews *reviews = review->reviews;
    uint64_t ticket = review->ticket;
    struct arena arena;
    struct faults faults;
    struct value *document = NULL;
    struct text namespace = TEXT_NONE, account = TEXT_NONE;
    const char *why = "the token could not be checked";
    bool is_checked = false;
    free_review(review);
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    if ((answer->status == 200 || answer->status == 201) &&
        value_parse_json(answer->body, TEXT_NONE, &arena, &document, &faults)) {
        is_checked = true;
        why = "the token is no good";
        if (!read_account(value_get(document, "status"), reviews->audience, &namespace, &account))
        namespace = TEXT_NONE;
    }
    reviews->on_answer(reviews->owner, ticket, namespace, account, is_checked, why);
    faults_fini(&faults);
    arena_fini(&arena);
}

void review_ask(struct reviews *reviews, uint64_t ticket, struct text token)
{
    static const struct client_events EVENTS = {.on_done = on_reviewed};
    struct builder body CLEANUP(builder_fini) = {0};
    struct json json;
    json_init(&json, &body, 0);
    json_object_begin(&json, NULL);
    json_string(&json, "apiVersion", "authentication.k8s.io/v1");
    json_string(&json, "kind", "TokenReview");
    json_object_begin(&json, "spec");
    json_text(&json, "token", token);
    json_array_begin(&json, "audiences");
    json_string(&json, NULL, reviews->audience);
    json_array_end(&json);
    json_object_end(&json);
    json_object_end(&json);
    const struct client_request request = {
        .method = "POST",
        .path = TEXT("/apis/authentication.k8s.io/v1/tokenreviews"),
        .content_type = "application/json",
        .body = builder_text(&body),
        .timeout_ms = LIMIT_KUBE_CALL_MS / 3,
    };
    struct review *review = memory_new(struct review);
    review->reviews = reviews;
    review->ticket = ticket;
    review->next = reviews->first;
    review->at = &reviews->first;
    if (reviews->first != NULL)
        reviews->first->at = &review->next;
    reviews->first = review;
    review->call = client_start(reviews->client, &request, &EVENTS, review);
}

struct reviews *review_new(struct client *client, const char *audience, review_answer on_answer,
                           void *owner)
{
    struct reviews *reviews = memory_new(struct reviews);
    reviews->client = client;
    reviews->audience = audience;
    reviews->on_answer = on_answer;
    reviews->owner = owner;
    return reviews;
}

void review_free(struct reviews *reviews)
{
    if (reviews == NULL)
        return;
    while (reviews->first != NULL) {
        client_cancel(reviews->first->call);
        free_review(reviews->first);
    }
    free(reviews);
}
