/* A worker's hold on a snapshot: see lease.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/snapshot/lease.h"

#include <stdlib.h>

#include "base/memory.h"

struct lease *lease_new(struct snapshot *snapshot)
{
    struct lease *lease = memory_new(struct lease);
    lease->snapshot = snapshot_ref(snapshot);
    lease->holders = 1;
    return lease;
}

void lease_drop(struct lease *lease)
{
    if (lease == NULL)
        return;
    CHECK(lease->holders > 0);
    if (--lease->holders > 0)
        return;
    snapshot_unref(lease->snapshot);
    free(lease);
}
