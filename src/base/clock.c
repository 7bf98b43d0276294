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

/* `len` digits at *at, which moves behind them and what must follow: `end` (NUL: nothing). */
static bool take_number(struct text time, size_t *at, size_t len, char end, uint64_t max,
                        uint64_t *ret)
{
    if (!text_to_u64(text_slice(time, *at, *at + len), ret) || *ret > max || *at + len > time.len)
        return false;
    *at += len;
    return end == '\0' || (*at < time.len && time.data[(*at)++] == end);
}

/* Of the civil calendar, since 1970-01-01. */
static int64_t count_days(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400, year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

/* "Z", "+02:00" or "-08:00" in minutes. */
static bool take_offset(struct text time, size_t at, int64_t *ret_minutes)
{
    uint64_t hours = 0, minutes = 0;
    struct text rest = text_slice(time, at, time.len);
    *ret_minutes = 0;
    if (text_is(rest, "Z") || text_is(rest, "z"))
        return true;
    size_t from = 1;
    if (rest.len != 6 || (rest.data[0] != '+' && rest.data[0] != '-') ||
        !take_number(rest, &from, 2, ':', 23, &hours) ||
        !take_number(rest, &from, 2, '\0', 59, &minutes))
        return false;
    *ret_minutes = (int64_t)(hours * 60 + minutes) * (rest.data[0] == '-' ? -1 : 1);
    return true;
}

bool clock_parse(struct text time, uint64_t *ret_wall_ms)
{
    uint64_t year, month, day, hour, minute, second, millis = 0;
    int64_t offset;
    size_t at = 0;
    if (!take_number(time, &at, 4, '-', 9999, &year) ||
        !take_number(time, &at, 2, '-', 12, &month) || !take_number(time, &at, 2, 'T', 31, &day) ||
        !take_number(time, &at, 2, ':', 23, &hour) ||
        !take_number(time, &at, 2, ':', 59, &minute) ||
        !take_number(time, &at, 2, '\0', 60, &second) || month == 0 || day == 0)
        return false;
    if (at < time.len && time.data[at] == '.') {
        uint64_t weight = 100;
        size_t from = ++at;
        for (; at < time.len && time.data[at] >= '0' && time.data[at] <= '9'; at++, weight /= 10)
            millis += (uint64_t)(time.data[at] - '0') * weight;
        if (at == from)
            return false;
    }
    if (!take_offset(time, at, &offset))
        return false;
    int64_t seconds = count_days((int64_t)year, (int64_t)month, (int64_t)day) * 86400 +
                      (int64_t)(hour * 3600 + minute * 60 + second) - offset * 60;
    if (seconds < 0)
        return false;
    *ret_wall_ms = (uint64_t)seconds * 1000 + millis;
    return true;
}
