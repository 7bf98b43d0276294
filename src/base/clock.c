/* The two clocks, and the one form in which times are written. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

void clock_format(uint64_t wall_ns, char out[25])
{
    time_t seconds = (time_t)(wall_ns / 1000000000u);
    struct tm date;
    gmtime_r(&seconds, &date);
    char whole[20];
    strftime(whole, sizeof(whole), "%Y-%m-%dT%H:%M:%S", &date);
    snprintf(out, 25, "%s.%03uZ", whole, (unsigned)(wall_ns / 1000000u % 1000u));
}
