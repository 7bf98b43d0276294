/* Who of several control planes writes: a Lease (coordination.k8s.io/v1), renewed by its holder,
 * taken over when it was seen unchanged for as long as it says. Time is our own monotonic clock
 * alone; the stamps in the object are for people. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/client.h"

struct lease_election;

struct lease_events {
    void (*on_held)(void *owner);
    void (*on_lost)(void *owner);
    void (*on_released)(void *owner); /* after lease_release, or in vain after a while */
};

/* The Lease "nantian-control" of `namespace`; `identity` is unique among all who try. */
struct lease_election *lease_new(struct loop *loop, struct client *client, struct text namespace,
                                 struct text identity, const struct lease_events *events,
                                 void *owner);
void lease_free(struct lease_election *lease);
void lease_start(struct lease_election *lease);
/* Reads the clock: false as soon as the last renewal that succeeded began too long ago, even if
 * this process slept in between. */
bool lease_is_held(struct lease_election *lease);
/* Gives it back, so that another one need not wait. on_released follows, never before this returns.
 */
void lease_release(struct lease_election *lease);
/* Who holds it, as it was seen last; may be empty. */
struct text lease_holder(const struct lease_election *lease);
