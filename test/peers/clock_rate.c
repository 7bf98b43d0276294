/* Preloaded into a program, its monotonic clock runs at PERCENT of the real one's rate. Built by
 * the test that uses it. */
/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef PERCENT
#define PERCENT 100
#endif

int clock_gettime(clockid_t id, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, id, now);
    if (result != 0 || id != CLOCK_MONOTONIC)
        return result;
    unsigned long long ns = (unsigned long long)now->tv_sec * 1000000000u;
    ns = (ns + (unsigned long long)now->tv_nsec) / 100 * PERCENT;
    now->tv_sec = (time_t)(ns / 1000000000u);
    now->tv_nsec = (long)(ns % 1000000000u);
    return 0;
}
