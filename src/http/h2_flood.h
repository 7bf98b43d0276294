/* What one HTTP/2 peer may do to a connection without moving it forward: resets, control frames,
 * empty frames. Pure counting; past a bound the session ends with ENHANCE_YOUR_CALM. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

#define H2_FLOOD_GAPS  8
#define H2_FLOOD_ENDED 32

struct h2_flood {
    uint64_t window_ms; /* start of the window that resets and control frames are counted in */
    uint32_t resets, streams;
    uint32_t control;                         /* since the last frame that moved a message */
    uint32_t empty_data, empty_continuations; /* in a row */
    /* Stream numbers that the peer skipped: HEADERS on them breaks RFC 9113 5.1.1. */
    int32_t last_id;
    struct {
        int32_t from, to;
    } gaps[H2_FLOOD_GAPS];
    uint32_t gap_count;
    int32_t ended[H2_FLOOD_ENDED]; /* the streams that the peer ended last; 0: none */
    uint32_t ended_count;
};

/* All return false when the bound is passed. */
MUST_USE bool h2_flood_control(struct h2_flood *flood, uint64_t now_ms);
MUST_USE bool h2_flood_data(struct h2_flood *flood, bool empty);
MUST_USE bool h2_flood_continuation(struct h2_flood *flood, bool empty);
/* A reset by the peer, or one that the peer made us send: they cost the same. */
MUST_USE bool h2_flood_reset(struct h2_flood *flood, uint64_t now_ms);
/* A stream was opened by the peer. */
void h2_flood_stream(struct h2_flood *flood, uint64_t now_ms);
/* A message moved: control frames are counted anew. */
void h2_flood_progress(struct h2_flood *flood);
/* HEADERS came for `id`: false if that number was skipped and is closed (RFC 9113 5.1.1). */
MUST_USE bool h2_flood_id(struct h2_flood *flood, int32_t id);
/* The peer ended `id`, with END_STREAM or RST_STREAM. */
void h2_flood_end(struct h2_flood *flood, int32_t id);
/* It did, and not long ago: it may send no more of it (RFC 9113 5.1). */
bool h2_flood_has_ended(const struct h2_flood *flood, int32_t id);
