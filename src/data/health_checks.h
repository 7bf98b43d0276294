/* Active health checks, on the main thread: each endpoint of a backend that has a check is asked in
 * turn. What changes is told; it reaches the workers as part of the next snapshot. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/snapshot/backend.h"
#include "event/loop.h"

struct health_checks;

typedef void (*health_checks_change)(void *owner, struct text backend, uint64_t endpoint,
                                     bool is_up);

struct health_checks *health_checks_new(struct loop *loop, health_checks_change on_change,
                                        void *owner);
/* Ends what is under way; the loop must settle once more. */
void health_checks_free(struct health_checks *checks);

/* Between begin and commit every backend with a check is named; the rest is forgotten, and an
 * endpoint that was down is called up then. */
void health_checks_begin(struct health_checks *checks);
void health_checks_want(struct health_checks *checks, struct backend *backend);
void health_checks_commit(struct health_checks *checks);
/* Endpoints that are down now. */
uint32_t health_checks_down(const struct health_checks *checks);
