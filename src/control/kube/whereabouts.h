/* At which addresses the API server is: all that its name has, in turn, looked up anew whenever
 * there is no connection, off the loop's thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/config.h"
#include "event/loop.h"

struct whereabouts;

/* The name was looked up; `why` says why not, else NULL. */
typedef void (*whereabouts_answer)(void *owner, const char *why);

/* Borrows the config. */
struct whereabouts *whereabouts_new(struct loop *loop, const struct kube_config *config,
                                    whereabouts_answer on_answer, void *owner);
void whereabouts_free(struct whereabouts *where);
/* The address to connect to, until the next call. NULL: the answer will come, or *ret_why says why
 * it will not. */
const struct address *whereabouts_get(struct whereabouts *where, const char **ret_why);
/* No connection came about with this one. True: there is another to be tried. */
bool whereabouts_fail(struct whereabouts *where, const struct address *tried);
/* What is known may be old. */
void whereabouts_forget(struct whereabouts *where);
