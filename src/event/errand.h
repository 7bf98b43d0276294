/* Work that may take as long as it likes (a lookup of a name), each piece on a thread of its own;
 * its end is told on the loop's. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "event/mailbox.h"

struct errands;

/* Stands at the head of what the caller made. */
struct errand {
    struct mail mail; /* first */
    struct errands *errands;
    void (*run)(struct errand *errand);               /* on its thread; touches nothing else */
    void (*done)(struct errand *errand, void *owner); /* on the loop's; frees it */
    void (*drop)(struct errand *errand);              /* on any, when nobody waits; frees it */
};

/* NULL: the kernel refused. */
struct errands *errands_new(struct loop *loop, void *owner);
/* Waits for nothing: what still runs is dropped at its end. */
void errands_free(struct errands *errands);
/* Takes the errand, whose three functions are set. False: there is no thread; it is still the
 * caller's. */
MUST_USE bool errands_start(struct errands *errands, struct errand *errand);
