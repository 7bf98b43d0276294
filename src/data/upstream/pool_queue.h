/* Those who wait for a connection of a pool. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/upstream/pool.h"

void pool_queue_push(struct pool_queue *queue, struct pool_waiter *waiter);
/* Out of the queue that it stands in; returns it. */
struct pool_waiter *pool_queue_remove(struct pool_waiter *waiter);
/* The first that takes a connection of this endpoint; NULL: none. */
struct pool_waiter *pool_queue_find(const struct pool_queue *queue,
                                    const struct pool_endpoint *endpoint);
/* Tells all, who are out of the queue by then. */
void pool_queue_fail(struct pool_queue *queue, enum err err, const char *why);
