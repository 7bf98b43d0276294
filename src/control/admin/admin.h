/* The control plane's API: what objects came to, who runs what, what is published. Read only.
 * Described in api/dashboard/README.md; `nantian status`, `nodes` and `config dump` read it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/publish/publish.h"
#include "control/store/store.h"
#include "net/address.h"

struct admin;

/* What the answers are made of: filled in by control/main.c, which knows all of it. */
struct admin_source {
    void *owner;
    const char *version;   /* of the product */
    struct text directory; /* empty: not standalone */
    struct publish *publish;
    struct store *store;
    const struct outcome *(*outcome)(void *owner); /* NULL before the first translation */
    /* Why data planes cannot come, in words; NULL: they can. */
    const char *(*obstacle)(void *owner);
    /* Faults of the source (files), and what its files came to, as a JSON array. */
    void (*faults)(void *owner, struct faults *faults);
    void (*files)(void *owner, struct json *json);
    /* The watched kinds of a cluster as a JSON array, or null. */
    void (*kinds)(void *owner, struct json *json);
    /* The control planes of a cluster as a JSON array, this one first, or null. */
    void (*replicas)(void *owner, struct json *json);
    /* For /metrics: cycles run, pieces translated, and the last one's time. */
    void (*work)(void *owner, uint64_t *ret_runs, uint64_t *ret_translated, uint64_t *ret_last_us);
    /* May this request of somebody from elsewhere, who wants more than health and metrics, be
     * answered? admin_admit follows, within the call or later. NULL: every one may. */
    void (*admit)(void *owner, uint64_t ticket, const struct message *head);
};

struct admin *admin_new(struct loop *loop, const struct admin_source *source);  /* borrows */
MUST_USE bool admin_listen(struct admin *admin, const struct address *address); /* false: errno */
/* 200: the request is answered; else it fails with this status and these words. */
void admin_admit(struct admin *admin, uint64_t ticket, int status, const char *why);
void admin_free(struct admin *admin);
