/* Who is it that shows this token? The API server knows (TokenReview, authentication.k8s.io/v1). */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/client.h"

#define REVIEW_AUDIENCE "nantian-control"

struct reviews;

/* `namespace` and `account` of the service account; empty: refused, `why` (static) says why, and
 * `is_checked` is false when the API server did not answer. */
typedef void (*review_answer)(void *owner, uint64_t ticket, struct text namespace,
                              struct text account, bool is_checked, const char *why);

/* `audience`: whom the tokens must have been made for; static. */
struct reviews *review_new(struct client *client, const char *audience, review_answer on_answer,
                           void *owner);
void review_free(struct reviews *reviews);
/* One answer follows, never before this returns. */
void review_ask(struct reviews *reviews, uint64_t ticket, struct text token);
