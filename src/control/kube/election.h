/* Who of several control planes writes: a Lease (coordination.k8s.io/v1), renewed by its holder,
 * taken over when it was seen unchanged for as long as it says. Time is our own monotonic clock
 * alone; the stamps in the object are for people. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/client.h"

struct election;

struct election_events {
    void (*on_held)(void *owner);
    void (*on_lost)(void *owner);
    void (*on_released)(void *owner); /* after election_release, or in vain after a while */
};

/* The Lease "nantian-control" of `namespace`; `identity` is unique among all who try. */
struct election *election_new(struct loop *loop, struct client *client, struct text namespace,
                              struct text identity, const struct election_events *events,
                              void *owner);
void election_free(struct election *election);
void election_start(struct election *election);
/* Reads the clock: false as soon as the last renewal that succeeded began too long ago, even if
 * this process slept in between. */
bool election_is_held(struct election *election);
/* Gives it back, so that another one need not wait. on_released follows, never before this returns.
 */
void election_release(struct election *election);
/* Who holds it, as it was seen last; may be empty. */
struct text election_holder(const struct election *election);
