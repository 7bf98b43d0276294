/* Walks over frames by their lengths (RFC 9113 4.1), resumable at every byte. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h2_frames.h"

#include "base/macros.h"

enum { PRIORITY = 2, WINDOW_UPDATE = 8 };

void h2_frames_init(struct h2_frames *frames, bool serving)
{
    *frames = (struct h2_frames){.skip = serving ? H2_PREFACE_BYTES : 0};
}

static uint32_t number(const unsigned char *at, size_t len)
{
    uint32_t value = 0;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | at[i];
    return value;
}

/* How much of a frame is to be seen at once: its head, and payloads that are judged. */
static size_t wanted(const unsigned char *head, size_t len)
{
    if (len < H2_FRAME_HEAD)
        return H2_FRAME_HEAD;
    uint32_t load = number(head, 3);
    bool seen = (head[3] == PRIORITY && load == 5) || (head[3] == WINDOW_UPDATE && load == 4);
    return H2_FRAME_HEAD + (seen ? load : 0);
}

static void read_head(struct h2_frames *frames, const unsigned char *head, size_t len,
                      struct h2_frame *frame)
{
    frame->len = number(head, 3);
    frame->type = head[3];
    frame->flags = head[4];
    frame->id = (int32_t)(number(head + 5, 4) & INT32_MAX);
    frame->word = len > H2_FRAME_HEAD ? number(head + H2_FRAME_HEAD, 4) & INT32_MAX : 0;
    frame->head = text_from((const char *)head, len);
    frames->skip = frame->len - (uint32_t)(len - H2_FRAME_HEAD);
}

bool h2_frames_next(struct h2_frames *frames, struct text bytes, size_t *at, struct h2_frame *frame)
{
    size_t skipped = MIN((size_t)frames->skip, bytes.len - *at);
    const unsigned char *data = (const unsigned char *)bytes.data;
    *at += skipped;
    frames->skip -= (uint32_t)skipped;
    frame->at = *at;
    frame->was_cut = frames->held_len > 0;
    if (!frame->was_cut) {
        size_t left = bytes.len - *at, want = wanted(data + *at, left);
        if (left >= want) {
            read_head(frames, data + *at, want, frame);
            *at += want;
            return true;
        }
    }
    while (*at < bytes.len) {
        frames->held[frames->held_len++] = data[(*at)++];
        if (frames->held_len < wanted(frames->held, frames->held_len))
            continue;
        read_head(frames, frames->held, frames->held_len, frame);
        frames->held_len = 0;
        return true;
    }
    return false;
}
