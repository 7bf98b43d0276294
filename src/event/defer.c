/* Work put off to the end of a turn: a ring, so that an item leaves without a search. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "event/defer.h"

#include "base/limits.h"

void defer_init(struct defer *defer, void *owner, void (*run)(void *owner))
{
    *defer = (struct defer){.owner = owner, .run = run};
}

void defer_queue_init(struct defer_queue *queue)
{
    queue->ring = (struct defer){.next = &queue->ring, .prev = &queue->ring};
}

void defer_queue_add(struct defer_queue *queue, struct defer *defer)
{
    if (defer->queued)
        return;
    defer->queued = true;
    defer->prev = queue->ring.prev;
    defer->next = &queue->ring;
    defer->prev->next = defer;
    queue->ring.prev = defer;
}

void defer_queue_remove(struct defer *defer)
{
    if (!defer->queued)
        return;
    defer->queued = false;
    defer->prev->next = defer->next;
    defer->next->prev = defer->prev;
    defer->next = defer->prev = NULL;
}

void defer_queue_move(struct defer_queue *from, struct defer_queue *to)
{
    if (defer_queue_is_empty(from))
        return;
    struct defer *first = from->ring.next, *last = from->ring.prev;
    first->prev = to->ring.prev;
    last->next = &to->ring;
    first->prev->next = first;
    to->ring.prev = last;
    defer_queue_init(from);
}

void defer_queue_run(struct defer_queue *queue)
{
    for (int i = 0; i < LIMIT_DEFER_ROUNDS && !defer_queue_is_empty(queue); i++) {
        struct defer_queue round; /* a ring of its own, so that a round ends */
        defer_queue_init(&round);
        defer_queue_move(queue, &round);
        while (!defer_queue_is_empty(&round)) {
            struct defer *defer = round.ring.next;
            defer_queue_remove(defer);
            defer->run(defer->owner);
        }
    }
}
