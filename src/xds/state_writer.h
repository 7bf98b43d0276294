/* Writes accepted snapshots to disk on a thread of its own, so that the loop never waits for it.
 * One snapshot may wait: a newer one takes its place. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "event/loop.h"
#include "xds/resource_set.h"

struct state_writer;

/* After each write, on the loop's thread: `why` NULL if it succeeded. */
typedef void (*state_written)(void *owner, const char *why, uint64_t took_us);

/* NULL: no thread or no descriptor. The directory was prepared by state_prepare. */
struct state_writer *state_writer_new(struct loop *loop, const char *directory,
                                      state_written on_written, void *owner);
/* Shares the resources of the set as they are now; no bytes are copied. */
void state_writer_submit(struct state_writer *writer, const struct resource_set *set);
bool state_writer_busy(const struct state_writer *writer); /* something is not on disk yet */
/* Finishes what waits, then ends the thread. */
void state_writer_free(struct state_writer *writer);
