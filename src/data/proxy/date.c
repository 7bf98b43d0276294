/* The Date field, written once a second. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/date.h"

#include <time.h>

struct text date_text(struct proxy *proxy)
{
    uint64_t second = loop_wall_ns(proxy->loop) / 1000000000;
    if (second != proxy->date_second) {
        time_t now = (time_t)second;
        struct tm tm;
        if (gmtime_r(&now, &tm) == NULL ||
            strftime(proxy->date, sizeof(proxy->date), "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
            return TEXT_NONE;
        proxy->date_second = second;
    }
    return text_from(proxy->date, 29);
}
