/* Writes accepted snapshots to disk on a thread of its own, so that the loop never waits for it:
 * whole, or as an entry of the log behind the last that was written whole. */
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
/* What the next set that is submitted differs in from the last; the commit record is left out.
 * Without it, that set is written whole. */
void state_writer_note(struct state_writer *writer, const struct resource_edits *edits);
/* When it is written whole, shares the resources of the set as they are now. */
void state_writer_submit(struct state_writer *writer, const struct resource_set *set);
bool state_writer_busy(const struct state_writer *writer); /* something is not on disk yet */
/* Finishes what waits, then ends the thread. */
void state_writer_free(struct state_writer *writer);
