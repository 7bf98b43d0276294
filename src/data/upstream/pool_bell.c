/* A list of eventfds under a lock: who rings finds only bells that still hang. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/pool_bell.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/memory.h"

struct pool_bells {
    _Atomic uint32_t refs;
    pthread_mutex_t lock;
    struct pool_bell *first; /* borrows */
};

struct pool_bells *pool_bells_new(void)
{
    struct pool_bells *bells = memory_new(struct pool_bells);
    atomic_init(&bells->refs, 1);
    CHECK(pthread_mutex_init(&bells->lock, NULL) == 0);
    return bells;
}

struct pool_bells *pool_bells_ref(struct pool_bells *bells)
{
    if (bells != NULL)
        atomic_fetch_add_explicit(&bells->refs, 1, memory_order_relaxed);
    return bells;
}

void pool_bells_unref(struct pool_bells *bells)
{
    if (bells == NULL || atomic_fetch_sub_explicit(&bells->refs, 1, memory_order_acq_rel) > 1)
        return;
    pthread_mutex_destroy(&bells->lock);
    free(bells);
}

void pool_bells_ring(struct pool_bells *bells, uint64_t mask)
{
    if (bells == NULL || mask == 0)
        return;
    pthread_mutex_lock(&bells->lock);
    for (struct pool_bell *bell = bells->first; bell != NULL; bell = bell->next) {
        if ((bell->me & mask) == 0)
            continue;
        /* Full is as good: it has not been heard yet. */
        ssize_t written = write(bell->watch.fd, &(uint64_t){1}, sizeof(uint64_t));
        (void)written;
    }
    pthread_mutex_unlock(&bells->lock);
}

static void on_ready(void *owner, uint32_t events)
{
    (void)events;
    struct pool_bell *bell = owner;
    uint64_t count;
    if (read(bell->watch.fd, &count, sizeof(count)) > 0)
        bell->on_ring(bell->owner);
}

bool pool_bell_hang(struct pool_bell *bell, struct loop *loop, struct pool_bells *bells)
{
    bell->watch = (struct watch){
        .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .owner = bell, .on_ready = on_ready};
    if (bell->watch.fd < 0)
        return false;
    if (!loop_watch_level(loop, &bell->watch)) {
        close(bell->watch.fd);
        return false;
    }
    bell->loop = loop;
    bell->bells = pool_bells_ref(bells);
    pthread_mutex_lock(&bells->lock);
    bell->next = bells->first;
    bells->first = bell;
    pthread_mutex_unlock(&bells->lock);
    return true;
}

void pool_bell_fini(struct pool_bell *bell)
{
    struct pool_bells *bells = bell->bells;
    if (bells == NULL)
        return;
    bell->bells = NULL;
    pthread_mutex_lock(&bells->lock);
    struct pool_bell **at = &bells->first;
    while (*at != bell)
        at = &(*at)->next;
    *at = bell->next;
    pthread_mutex_unlock(&bells->lock);
    int fd = bell->watch.fd;
    loop_unwatch(bell->loop, &bell->watch);
    close(fd);
    pool_bells_unref(bells);
}
