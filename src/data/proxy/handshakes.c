/* A rate for each address, which holds only while there are several. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/handshakes.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/shared_counter.h"

struct handshakes {
    struct shared_counter *counter; /* shares */
    _Atomic uint64_t last;          /* who began the last one: a hash; 0: nobody yet */
    _Atomic uint64_t shared_ns;     /* when it was another one than before; 0: never */
};

struct handshakes *handshakes_new(uint64_t rate)
{
    const struct shared_rate each = {rate, UINT64_C(1000000000), rate};
    struct handshakes *handshakes = memory_new(struct handshakes);
    handshakes->counter = shared_counter_new(&each, true);
    return handshakes;
}

void handshakes_free(struct handshakes *handshakes)
{
    if (handshakes == NULL)
        return;
    shared_counter_unref(handshakes->counter);
    free(handshakes);
}

bool handshakes_admit(struct handshakes *handshakes, struct text client, uint64_t now_ns)
{
    uint64_t key = hash_text(client) | 1;
    uint64_t last = atomic_load_explicit(&handshakes->last, memory_order_relaxed);
    if (last != key) {
        if (last != 0)
            atomic_store_explicit(&handshakes->shared_ns, now_ns, memory_order_relaxed);
        atomic_store_explicit(&handshakes->last, key, memory_order_relaxed);
    }
    if (shared_counter_take(handshakes->counter, key, now_ns).allowed)
        return true;
    uint64_t shared_ns = atomic_load_explicit(&handshakes->shared_ns, memory_order_relaxed);
    uint64_t bound_ns = LIMIT_HANDSHAKE_SHARED_MS * UINT64_C(1000000);
    /* Clocks of threads differ a little: what is in the future is now. */
    return shared_ns == 0 || (now_ns > shared_ns && now_ns - shared_ns >= bound_ns);
}
