/* Messages to another thread's loop. The eventfd is written only when the box was empty. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "event/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

static void deliver_all(void *owner, uint32_t events)
{
    (void)events;
    struct mailbox *box = owner;
    uint64_t count;
    if (read(box->watch.fd, &count, sizeof(count)) < 0)
        return;

    pthread_mutex_lock(&box->lock);
    struct mail *mail = box->first;
    box->first = NULL;
    box->last = &box->first;
    pthread_mutex_unlock(&box->lock);

    void *receiver = box->owner; /* a delivery may end the box */
    while (mail != NULL) {
        struct mail *next = mail->next;
        mail->next = NULL;
        mail->deliver(mail, receiver);
        mail = next;
    }
}

bool mailbox_init(struct mailbox *box, struct loop *loop, void *owner)
{
    *box = (struct mailbox){.loop = loop, .owner = owner};
    box->last = &box->first;
    box->watch = (struct watch){
        .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .owner = box, .on_ready = deliver_all};
    if (box->watch.fd < 0)
        return false;
    if (!loop_watch_level(loop, &box->watch)) {
        close(box->watch.fd);
        box->watch.fd = -1;
        return false;
    }
    CHECK(pthread_mutex_init(&box->lock, NULL) == 0);
    return true;
}

void mailbox_fini(struct mailbox *box)
{
    if (box->loop == NULL || box->watch.fd < 0)
        return;
    CHECK(box->first == NULL);
    int fd = box->watch.fd;
    loop_unwatch(box->loop, &box->watch);
    close(fd);
    pthread_mutex_destroy(&box->lock);
}

void mailbox_post(struct mailbox *box, struct mail *mail)
{
    mail->next = NULL;
    pthread_mutex_lock(&box->lock);
    bool was_empty = box->first == NULL;
    *box->last = mail;
    box->last = &mail->next;
    if (was_empty) { /* within the lock: the box may end once the mail can be taken */
        uint64_t one = 1;
        ssize_t written = write(box->watch.fd, &one, sizeof(one));
        CHECK(written == (ssize_t)sizeof(one));
    }
    pthread_mutex_unlock(&box->lock);
}
