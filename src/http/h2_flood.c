/* Counting what a peer makes us do for nothing (rapid reset, made-you-reset, ping and settings
 * floods, CVE-2023-44487, CVE-2025-8671): cheap enough to be asked for every frame. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h2_flood.h"

#include "base/limits.h"

static void roll(struct h2_flood *flood, uint64_t now_ms)
{
    if (now_ms - flood->window_ms < LIMIT_H2_RESET_MS)
        return;
    flood->window_ms = now_ms;
    flood->resets = flood->streams = flood->control = 0;
}

bool h2_flood_control(struct h2_flood *flood, uint64_t now_ms)
{
    roll(flood, now_ms);
    return ++flood->control <= LIMIT_H2_CONTROL_QUEUE;
}

bool h2_flood_data(struct h2_flood *flood, bool empty)
{
    if (empty)
        return ++flood->empty_data <= LIMIT_H2_EMPTY_DATA;
    flood->empty_data = 0;
    flood->control = 0;
    return true;
}

bool h2_flood_continuation(struct h2_flood *flood, bool empty)
{
    if (!empty)
        return true;
    return ++flood->empty_continuations <= LIMIT_H2_EMPTY_CONTINUATIONS;
}

bool h2_flood_reset(struct h2_flood *flood, uint64_t now_ms)
{
    roll(flood, now_ms);
    flood->resets++;
    return flood->resets <= LIMIT_H2_RESETS || flood->resets <= flood->streams / 2;
}

void h2_flood_stream(struct h2_flood *flood, uint64_t now_ms)
{
    roll(flood, now_ms);
    flood->streams++;
    flood->empty_continuations = 0;
}

void h2_flood_progress(struct h2_flood *flood)
{
    flood->control = 0;
}

bool h2_flood_id(struct h2_flood *flood, int32_t id)
{
    flood->empty_continuations = 0;
    if (id > flood->last_id) {
        int32_t next = flood->last_id == 0 ? 1 : flood->last_id + 2;
        if (id > next) {
            uint32_t at = flood->gap_count++ % H2_FLOOD_GAPS;
            flood->gaps[at].from = next;
            flood->gaps[at].to = id - 1;
        }
        flood->last_id = id;
        return true;
    }
    for (uint32_t i = 0; i < MIN(flood->gap_count, (uint32_t)H2_FLOOD_GAPS); i++) {
        if (id >= flood->gaps[i].from && id <= flood->gaps[i].to)
            return false;
    }
    return true;
}

void h2_flood_end(struct h2_flood *flood, int32_t id)
{
    flood->ended[flood->ended_count++ % H2_FLOOD_ENDED] = id;
}

bool h2_flood_has_ended(const struct h2_flood *flood, int32_t id)
{
    for (uint32_t i = 0; i < H2_FLOOD_ENDED; i++)
        if (flood->ended[i] == id)
            return id != 0;
    return false;
}
