/* The heads of the frames that a peer sends, seen before the session reads them: what the session
 * does not tell of (frames on ended streams, of unknown types, PRIORITY) is judged here. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/text.h"

#define H2_FRAME_HEAD    9
#define H2_FRAME_SEEN    14 /* a head, and the payload of PRIORITY or WINDOW_UPDATE */
#define H2_PREFACE_BYTES 24

struct h2_frames {
    unsigned char held[H2_FRAME_SEEN]; /* the beginning of a frame that is cut between two reads */
    uint32_t held_len;
    uint32_t skip; /* bytes before the next head: payload, or the client's preface */
};

struct h2_frame {
    uint8_t type, flags;
    int32_t id;
    uint32_t len;     /* of the payload */
    uint32_t word;    /* the first of PRIORITY (stream depended on) and WINDOW_UPDATE (increment) */
    size_t at;        /* where it begins in the bytes given, or what is there of it */
    struct text head; /* the bytes up to the caller's `at`: in the bytes given, or in `held` */
    bool was_cut;     /* some of `head` came with earlier bytes */
};

void h2_frames_init(struct h2_frames *frames, bool serving);
/* The next head in `bytes`, from *at on; *at then stands behind it. False: no whole head is left;
 * frame->at is where the bytes end that need not be held back. */
bool h2_frames_next(struct h2_frames *frames, struct text bytes, size_t *at,
                    struct h2_frame *frame);
