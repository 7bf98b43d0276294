/* The one way to another thread: a mutex, a list, an eventfd. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "event/loop.h"

/* Stands at the head of what is sent; the sender gives it away. */
struct mail {
    struct mail *next;
    void (*deliver)(struct mail *mail, void *owner); /* on the receiver's thread; frees the mail */
};

struct mailbox {
    pthread_mutex_t lock;
    struct mail *first, **last;
    struct loop *loop;
    struct watch watch;
    void *owner;
};

MUST_USE bool mailbox_init(struct mailbox *box, struct loop *loop, void *owner);
void mailbox_fini(
    struct mailbox *box); /* delivers nothing more; what waits is leaked to nobody: CHECKed empty */
void mailbox_post(struct mailbox *box, struct mail *mail); /* any thread */
