/* The bound on the process's memory: measured by the main thread, told as a level of pressure. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/proxy/pressure.h"
#include "event/loop.h"

struct ceiling {
    struct loop *loop;
    uint64_t max;  /* bytes; 0: none */
    uint64_t used; /* as last measured: what is ours alone, without files and shared memory */
    enum pressure level;
    int fd; /* of /proc/self/statm */
    uint64_t told_ms;
    struct timer timer;
    void *owner;
    /* Changed; and every LIMIT_MEMORY_AGAIN_MS while there is pressure. */
    void (*on_pressure)(void *owner, enum pressure level);
};

/* What `max` is unless somebody says otherwise: LIMIT_MEMORY_SHARE percent of the cgroup's limit;
 * none: 0. `self` is /proc/self/cgroup, `mount` /sys/fs/cgroup. */
uint64_t ceiling_default(const char *self, const char *mount);
/* False: the kernel does not tell what we use (errno). */
MUST_USE bool ceiling_open(struct ceiling *ceiling, struct loop *loop, uint64_t max, void *owner,
                           void (*on_pressure)(void *owner, enum pressure level));
void ceiling_close(struct ceiling *ceiling);
/* The level at `used` bytes, when `before` was the last: back only a little below a mark, so that
 * it does not flutter. */
enum pressure ceiling_level(uint64_t used, uint64_t max, enum pressure before);
const char *ceiling_word(enum pressure level);
