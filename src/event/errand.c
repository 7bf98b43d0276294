/* A thread that outlives its owner finds the door closed, and cleans up behind itself. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "event/errand.h"

#include <stdlib.h>

#include "base/memory.h"

struct errands {
    struct mailbox mailbox;
    pthread_mutex_t lock;
    uint32_t refs; /* the owner's, and one a thread */
    bool is_closed;
};

/* Holding the lock. */
static void unref(struct errands *errands)
{
    bool is_last = --errands->refs == 0;
    pthread_mutex_unlock(&errands->lock);
    if (!is_last)
        return;
    pthread_mutex_destroy(&errands->lock);
    free(errands);
}

static void deliver(struct mail *mail, void *owner)
{
    struct errand *errand = CONTAINER_OF(mail, struct errand, mail);
    errand->done(errand, owner);
}

static void *run(void *argument)
{
    struct errand *errand = argument;
    struct errands *errands = errand->errands;
    errand->run(errand);
    pthread_mutex_lock(&errands->lock);
    bool is_closed = errands->is_closed;
    if (is_closed)
        errand->drop(errand);
    else
        mailbox_post(&errands->mailbox, &errand->mail);
    unref(errands);
    return NULL;
}

struct errands *errands_new(struct loop *loop, void *owner)
{
    struct errands *errands = memory_new(struct errands);
    if (!mailbox_init(&errands->mailbox, loop, owner)) {
        free(errands);
        return NULL;
    }
    errands->refs = 1;
    CHECK(pthread_mutex_init(&errands->lock, NULL) == 0);
    return errands;
}

void errands_free(struct errands *errands)
{
    if (errands == NULL)
        return;
    pthread_mutex_lock(&errands->lock);
    errands->is_closed = true; /* nobody posts any more */
    while (errands->mailbox.first != NULL) {
        struct errand *errand = CONTAINER_OF(errands->mailbox.first, struct errand, mail);
        errands->mailbox.first = errand->mail.next;
        errand->drop(errand);
    }
    mailbox_fini(&errands->mailbox);
    unref(errands);
}

bool errands_start(struct errands *errands, struct errand *errand)
{
    pthread_t thread;
    pthread_attr_t attributes;
    errand->errands = errands;
    errand->mail.deliver = deliver;
    pthread_mutex_lock(&errands->lock);
    errands->refs++;
    pthread_mutex_unlock(&errands->lock);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    bool is_started = pthread_create(&thread, &attributes, run, errand) == 0;
    pthread_attr_destroy(&attributes);
    if (!is_started) {
        pthread_mutex_lock(&errands->lock);
        unref(errands);
    }
    return is_started;
}
