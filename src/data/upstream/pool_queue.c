/* First come, first served; who leaves in the middle costs nothing. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/pool_queue.h"

#include "base/shared_counter.h"

void pool_queue_push(struct pool_queue *queue, struct pool_waiter *waiter)
{
    waiter->next = NULL;
    waiter->previous = queue->last;
    if (queue->last != NULL)
        queue->last->next = waiter;
    else
        queue->first = waiter;
    queue->last = waiter;
    queue->count++;
    waiter->queue = queue;
}

struct pool_waiter *pool_queue_remove(struct pool_waiter *waiter)
{
    struct pool_queue *queue = waiter->queue;
    if (waiter->previous != NULL)
        waiter->previous->next = waiter->next;
    else
        queue->first = waiter->next;
    if (waiter->next != NULL)
        waiter->next->previous = waiter->previous;
    else
        queue->last = waiter->previous;
    waiter->next = waiter->previous = NULL;
    waiter->queue = NULL;
    waiter->queued = false;
    if (waiter->pending != NULL) {
        shared_gauge_give(waiter->pending);
        shared_gauge_unref(waiter->pending);
        waiter->pending = NULL;
    }
    waiter->connecting = NULL;
    queue->count--;
    return waiter;
}

struct pool_waiter *pool_queue_find(const struct pool_queue *queue,
                                    const struct pool_endpoint *endpoint)
{
    struct pool_waiter *at = queue->first;
    while (at != NULL && at->bound != endpoint && (at->bound != NULL || endpoint->is_reserved))
        at = at->next;
    return at;
}

void pool_queue_fail(struct pool_queue *queue, enum err err, const char *why)
{
    while (queue->first != NULL) {
        struct pool_waiter *waiter = pool_queue_remove(queue->first);
        waiter->on_failed(waiter->owner, err, why);
    }
}
