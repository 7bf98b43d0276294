/* Threads that live for one call and draw numbers; the caller's is one of them. A thread that
 * cannot be started only makes it slower. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/macros.h"

struct work {
    void *owner;
    void (*each)(void *owner, size_t index);
    size_t count;
    _Atomic size_t next;
};

static void *draw(void *owner)
{
    struct work *work = owner;
    for (;;) {
        size_t index = atomic_fetch_add_explicit(&work->next, 1, memory_order_relaxed);
        if (index >= work->count)
            return NULL;
        work->each(work->owner, index);
    }
}

void parallel_each(size_t count, void *owner, void (*each)(void *owner, size_t index))
{
    struct work work = {.owner = owner, .each = each, .count = count};
    pthread_t threads[LIMIT_PARALLEL];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t wanted = MIN(MIN(count, (size_t)MAX(processors, 1L)), (size_t)LIMIT_PARALLEL);
    size_t started = 0;
    while (started + 1 < wanted && pthread_create(&threads[started], NULL, draw, &work) == 0)
        started++;
    draw(&work);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}
