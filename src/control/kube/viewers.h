/* Who may ask the API of a control plane in a cluster: who shows a token of the service account
 * nantian-viewer of its namespace, made for this alone. RBAC says who may have one made
 * (TokenRequest); it is no use anywhere else, so it does no harm that the way is not encrypted. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/client.h"
#include "http/message.h"

#define VIEWERS_ACCOUNT  "nantian-viewer"
#define VIEWERS_AUDIENCE "nantian-viewer"

struct viewers;

/* 200, or the status and the words (static) of a refusal. */
typedef void (*viewers_answer)(void *owner, uint64_t ticket, int status, const char *why);

struct viewers *viewers_new(struct loop *loop, struct client *client, struct text namespace,
                            viewers_answer on_answer, void *owner);
void viewers_free(struct viewers *viewers);
/* Looks for the token in CLIENT_VIEWER, else in Authorization (RFC 6750 2.1). One answer follows,
 * perhaps before this returns. */
void viewers_ask(struct viewers *viewers, uint64_t ticket, const struct message *head);
