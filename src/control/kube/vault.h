/* Which Secrets are kept: those that something names. One that is named only after it was told is
 * asked for by its name. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/client.h"
#include "control/store/store.h"

struct vault;

struct vault_options {
    struct loop *loop;
    struct client *client;
    struct store *store; /* borrows */
    /* False: it is newer than what is known of the others; it comes by the watch (vault_forget), or
     * is asked for again. */
    bool (*on_secret)(void *owner, const struct value *secret);
    void *owner;
};

struct vault *vault_new(const struct vault_options *options);
void vault_free(struct vault *vault);

bool vault_is_named(const struct vault *vault, struct store_key secret);
/* `referrer` is there, or is another one: what it names and is not there is asked for. */
void vault_look(struct vault *vault, struct store_key referrer);
/* The watch told it, or that it is gone: an answer that is on its way is an old one. */
void vault_forget(struct vault *vault, struct store_key secret);
/* Answers are on their way. */
bool vault_is_waiting(const struct vault *vault);
/* Takes out of the store what nothing names any more. */
void vault_sweep(struct vault *vault);
