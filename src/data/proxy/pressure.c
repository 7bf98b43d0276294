/* Gives back what only waits: idle connections of both sides first, then spare memory. What is
 * under way goes on. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/pressure.h"

#include <malloc.h>

#include "base/limits.h"
#include "data/proxy/proxy.h"

static void close_idle_upstream(struct pool_set *pools)
{
    struct pool_connection *next;
    for (struct pool_connection *at = pools->all; at != NULL; at = next) {
        next = at->all_next;
        if (at->is_idle && at->http->stream_count == 0)
            http_drain(at->http, 0);
    }
}

static void drop_spares(struct proxy *proxy)
{
    spares_fini(loop_spares(proxy->loop));
    buffer_pool_fini(loop_buffers(proxy->loop)); /* the free blocks; what is lent stays */
}

/* What is free lies between what is not: the allocator gives it back only when it is asked. */
static void on_sweep(void *owner)
{
    struct proxy *proxy = owner;
    proxy->gone_count = 0;
    drop_spares(proxy);
    malloc_trim(0);
}

void pressure_open(struct proxy *proxy)
{
    timer_init(&proxy->sweep, proxy, on_sweep);
}

void pressure_gone(struct proxy *proxy)
{
    if (++proxy->gone_count >= LIMIT_SWEEP_GONE && !timer_is_armed(&proxy->sweep))
        loop_arm(proxy->loop, &proxy->sweep, LIMIT_SWEEP_MS);
}

void pressure_set(struct proxy *proxy, enum pressure level)
{
    proxy->pressure = level;
    if (level == PRESSURE_NONE)
        return;
    struct proxy_connection *next;
    for (struct proxy_connection *at = proxy->connections; at != NULL; at = next) {
        next = at->next;
        http_drain(at->http, 0); /* busy: after its answer */
    }
    close_idle_upstream(&proxy->pools);
    drop_spares(proxy);
}
