/* Reads /proc/self/statm now and then, oftener the more there is: one system call, no lock. Under
 * pressure the allocator is asked to give back what it keeps, or nothing would ever fall. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/ceiling.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"

/* -- the default -- */

/* The first bytes of a file; empty: it cannot be read. */
static struct text read_start(const char *path, char *room, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, room, size);
    if (fd >= 0)
        close(fd);
    while (len > 0 && room[len - 1] == '\n')
        len--;
    return text_from(room, len < 0 ? 0 : (size_t)len);
}

/* The lowest limit from the group up to the root: each counts what is below it. What is no number
 * ("max") is none, and so is version 1's LONG_MAX in whole pages. */
static uint64_t lowest(const char *mount, struct text group, const char *file)
{
    uint64_t found = 0, limit = 0;
    char path[4096], room[64];
    for (;;) {
        int len = snprintf(path, sizeof(path), "%s" TEXT_FMT "/%s", mount, TEXT_ARG(group), file);
        if (len > 0 && (size_t)len < sizeof(path) &&
            text_to_u64(read_start(path, room, sizeof(room)), &limit) && limit < INT64_MAX / 2 &&
            (found == 0 || limit < found))
            found = limit;
        if (group.len == 0)
            return found;
        while (group.len > 0 && group.data[--group.len] != '/')
            continue;
    }
}

uint64_t ceiling_default(const char *self, const char *mount)
{
    char room[16384], old_mount[256];
    struct text rest = read_start(self, room, sizeof(room)), line = TEXT_NONE, part = TEXT_NONE;
    uint64_t found = 0;
    snprintf(old_mount, sizeof(old_mount), "%s/memory", mount);
    while (found == 0 && text_split(&rest, '\n', &line)) { /* "4:memory:/a", "0::/a" */
        if (!text_split(&line, ':', &part) || !text_split(&line, ':', &part))
            continue;
        if (line.len == 1) /* "/" */
            line.len = 0;
        if (part.len == 0)
            found = lowest(mount, line, "memory.max");
        else if (text_is(part, "memory"))
            found = lowest(old_mount, line, "memory.limit_in_bytes");
    }
    return found / 100 * LIMIT_MEMORY_SHARE;
}

/* -- the level -- */

static const struct {
    uint32_t percent;
    const char *word;
} LEVELS[] = {
    [PRESSURE_NONE] = {0, "none"},
    [PRESSURE_TIGHT] = {LIMIT_MEMORY_TIGHT, "tight"},
    [PRESSURE_FULL] = {100, "full"},
    [PRESSURE_CLOSED] = {LIMIT_MEMORY_CLOSED, "closed"},
};

const char *ceiling_word(enum pressure level)
{
    return LEVELS[level].word;
}

enum pressure ceiling_level(uint64_t used, uint64_t max, enum pressure before)
{
    uint64_t percent = max == 0 ? 0 : (uint64_t)((double)used * 100 / (double)max);
    enum pressure level = PRESSURE_CLOSED;
    while (level > PRESSURE_NONE) {
        uint32_t slack = level <= before ? LIMIT_MEMORY_SLACK : 0;
        if (percent + slack >= LEVELS[level].percent)
            break;
        level--;
    }
    return level;
}

/* -- measuring -- */

/* "size resident shared ...", in pages. */
static bool measure(struct ceiling *ceiling)
{
    char room[128];
    ssize_t len = pread(ceiling->fd, room, sizeof(room), 0);
    struct text rest = text_from(room, len < 0 ? 0 : (size_t)len), word = TEXT_NONE;
    uint64_t resident = 0, shared = 0;
    if (!text_split(&rest, ' ', &word) || !text_split(&rest, ' ', &word) ||
        !text_to_u64(word, &resident) || !text_split(&rest, ' ', &word) ||
        !text_to_u64(word, &shared))
        return false;
    ceiling->used = (resident - MIN(shared, resident)) * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

static void tell(struct ceiling *ceiling)
{
    ceiling->told_ms = loop_now_ms(ceiling->loop);
    ceiling->on_pressure(ceiling->owner, ceiling->level);
    if (ceiling->level > PRESSURE_NONE)
        malloc_trim(0);
}

static void take(struct ceiling *ceiling, enum pressure level)
{
    enum pressure before = ceiling->level;
    uint64_t passed_ms = loop_now_ms(ceiling->loop) - ceiling->told_ms;
    ceiling->level = level;
    if (level != before)
        log_warn(level > before ? "memory is near its bound" : "memory is free again",
                 log_str("pressure", ceiling_word(level)),
                 log_int("used_bytes", (int64_t)ceiling->used),
                 log_int("max_bytes", (int64_t)ceiling->max));
    if (level != before || (level > PRESSURE_NONE && passed_ms >= LIMIT_MEMORY_AGAIN_MS))
        tell(ceiling);
}

static void on_timer(void *owner)
{
    struct ceiling *ceiling = owner;
    if (measure(ceiling))
        take(ceiling, ceiling_level(ceiling->used, ceiling->max, ceiling->level));
    bool is_far = ceiling->used < ceiling->max / 4;
    loop_arm(ceiling->loop, &ceiling->timer, is_far ? LIMIT_MEMORY_FAR_MS : LIMIT_MEMORY_NEAR_MS);
}

bool ceiling_open(struct ceiling *ceiling, struct loop *loop, uint64_t max, void *owner,
                  void (*on_pressure)(void *owner, enum pressure level))
{
    *ceiling = (struct ceiling){
        .loop = loop, .max = max, .fd = -1, .owner = owner, .on_pressure = on_pressure};
    timer_init(&ceiling->timer, ceiling, on_timer);
    ceiling->fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (ceiling->fd < 0 || !measure(ceiling))
        return false;
    if (max > 0)
        on_timer(ceiling);
    return true;
}

void ceiling_close(struct ceiling *ceiling)
{
    if (ceiling->loop == NULL)
        return;
    loop_disarm(ceiling->loop, &ceiling->timer);
    if (ceiling->fd >= 0)
        close(ceiling->fd);
    ceiling->loop = NULL;
}
