/* How a worker holds a snapshot: plain counting by one thread, one atomic for the whole lease. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/snapshot/snapshot.h"

struct lease {
    struct snapshot *snapshot; /* shares: one atomic count for the whole lease */
    uint32_t holders;          /* requests in flight, and one more while the lease is current */
};

struct lease *lease_new(struct snapshot *snapshot); /* takes a reference; one holder */
static inline struct lease *lease_take(struct lease *lease)
{
    lease->holders++;
    return lease;
}
void lease_drop(struct lease *lease);
