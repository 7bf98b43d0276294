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
    /* Another one holds it, or another epoch stands in it, than was seen before. */
    void (*on_changed)(void *owner);
};

struct election_options {
    struct loop *loop;
    struct client *client;           /* borrows */
    struct text namespace, identity; /* copied; unique among all who try */
    /* A follower takes over after so long without a renewal; a leader that could not renew for 7
     * tenths of it writes no more. */
    uint32_t lease_ms;
    const struct election_events *events;
    void *owner;
};
/* The Lease "nantian-control" of `namespace`. */
/* How long what was renewed is held; what is left of the lease is for clocks that differ and for
 * what is still under way. */
static inline uint32_t election_hold_ms(uint32_t lease_ms)
{
    return lease_ms / 100 * LIMIT_LEASE_HOLD;
}

struct election *election_new(const struct election_options *options);
void election_free(struct election *election);
void election_start(struct election *election);
/* Reads the clock: false as soon as the last renewal that succeeded began too long ago, even if
 * this process slept in between. */
bool election_is_held(struct election *election);
/* Gives it back, so that another one need not wait. on_released follows, never before this returns.
 */
void election_release(struct election *election);
/* The epoch of the cluster's state, an annotation of the Lease; 0: not known yet. It rises when the
 * state was set back, as the Lease's own resourceVersion shows or election_raise says, and never
 * falls while we can help it. */
uint64_t election_epoch(const struct election *election);
/* The epoch must be above this: with our next renewal it will be, unless another one raises it. */
void election_raise(struct election *election, uint64_t epoch);
/* Who holds it, as it was seen last; may be empty. */
struct text election_holder(const struct election *election);
