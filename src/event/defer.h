/* The queue of work put off to the end of a turn. For event/loop.c only. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "event/loop.h"

struct defer_queue {
    struct defer ring; /* next is the oldest, prev the newest */
};

void defer_queue_init(struct defer_queue *queue);
static inline bool defer_queue_is_empty(const struct defer_queue *queue)
{
    return queue->ring.next == &queue->ring;
}
void defer_queue_add(struct defer_queue *queue, struct defer *defer);
void defer_queue_remove(struct defer *defer);
/* All of `from` stands behind what is in `to`. */
void defer_queue_move(struct defer_queue *from, struct defer_queue *to);
/* Runs what is queued, then what that queued, at most LIMIT_DEFER_ROUNDS times over. */
void defer_queue_run(struct defer_queue *queue);
