/* What the raw HTTP/2 client of h2_raw.h says, and the frames that it hears. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "http/h2_raw.h"

/* ---- moving bytes ---- */

static inline void raw_take_frames(struct raw *raw)
{
    size_t at = MIN(raw->skip, raw->in_len);
    raw->skip -= at;
    while (raw->in_len - at >= 9) {
        const unsigned char *head = raw->in + at;
        uint32_t len = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
        if (raw->in_len - at < 9 + len)
            break;
        assert_true(raw->frame_count < RAW_FRAMES);
        struct raw_frame *frame = &raw->frames[raw->frame_count++];
        const unsigned char *load = head + 9;
        *frame = (struct raw_frame){.type = head[3], .flags = head[4], .len = len};
        frame->id = (uint32_t)(head[5] & 127) << 24 | (uint32_t)head[6] << 16 |
                    (uint32_t)head[7] << 8 | head[8];
        frame->first = len > 0 ? load[0] : 0;
        size_t code = frame->type == RAW_GOAWAY ? 4 : 0;
        if (frame->type == RAW_RESET || frame->type == RAW_GOAWAY)
            frame->code = (uint32_t)load[code] << 24 | (uint32_t)load[code + 1] << 16 |
                          (uint32_t)load[code + 2] << 8 | load[code + 3];
        at += 9 + len;
    }
    memmove(raw->in, raw->in + at, raw->in_len - at);
    raw->in_len -= at;
}

static inline void raw_turn(struct raw *raw)
{
    while (raw->out_at < raw->out.len) {
        ssize_t sent =
            send(raw->fd, raw->out.data + raw->out_at, raw->out.len - raw->out_at, MSG_NOSIGNAL);
        if (sent <= 0)
            break;
        raw->out_at += (size_t)sent;
    }
    loop_turn(raw->loop, 1);
    while (!raw->blocked) {
        ssize_t got = recv(raw->fd, raw->in + raw->in_len, RAW_IN - raw->in_len, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            raw->closed = true;
            shutdown(raw->fd, SHUT_WR); /* it lingers for us */
        }
        if (got <= 0)
            break;
        raw->in_len += (size_t)got;
        raw_take_frames(raw);
    }
}

#define RAW_UNTIL(raw, done)                                                                       \
    do {                                                                                           \
        uint64_t deadline_ms = loop_now_ms((raw)->loop) + RAW_DEADLINE_MS;                         \
        while (!(done)) {                                                                          \
            if (loop_now_ms((raw)->loop) > deadline_ms)                                            \
                fail_msg("waited in vain for %s", #done);                                          \
            raw_turn(raw);                                                                         \
        }                                                                                          \
    } while (0)

static inline const struct raw_frame *raw_find(const struct raw *raw, uint8_t type, uint32_t id)
{
    for (size_t i = 0; i < raw->frame_count; i++)
        if (raw->frames[i].type == type && raw->frames[i].id == id)
            return &raw->frames[i];
    return NULL;
}

static inline size_t raw_count(const struct raw *raw, uint8_t type, uint32_t code)
{
    size_t count = 0;
    for (size_t i = 0; i < raw->frame_count; i++)
        count += raw->frames[i].type == type && raw->frames[i].code == code;
    return count;
}

/* ---- saying things ---- */

static inline void raw_bytes(struct raw *raw, const void *bytes, size_t len)
{
    builder_add(&raw->out, text_from(bytes, len));
}

static inline void raw_frame(struct raw *raw, uint8_t type, uint8_t flags, uint32_t id,
                             struct text load)
{
    const unsigned char head[9] = {(unsigned char)(load.len >> 16),
                                   (unsigned char)(load.len >> 8),
                                   (unsigned char)load.len,
                                   type,
                                   flags,
                                   (unsigned char)(id >> 24),
                                   (unsigned char)(id >> 16),
                                   (unsigned char)(id >> 8),
                                   (unsigned char)id};
    raw_bytes(raw, head, sizeof(head));
    raw_bytes(raw, load.data, load.len);
}

static inline void raw_frame32(struct raw *raw, uint8_t type, uint32_t id, uint32_t value)
{
    const unsigned char load[4] = {(unsigned char)(value >> 24), (unsigned char)(value >> 16),
                                   (unsigned char)(value >> 8), (unsigned char)value};
    raw_frame(raw, type, 0, id, text_from((const char *)load, 4));
}

static inline void raw_setting(struct raw *raw, uint16_t name, uint32_t value)
{
    const unsigned char load[6] = {(unsigned char)(name >> 8),   (unsigned char)name,
                                   (unsigned char)(value >> 24), (unsigned char)(value >> 16),
                                   (unsigned char)(value >> 8),  (unsigned char)value};
    raw_frame(raw, RAW_SETTINGS, 0, 0, text_from((const char *)load, 6));
}

static inline void raw_preface(struct raw *raw)
{
    static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    raw_bytes(raw, PREFACE, sizeof(PREFACE) - 1);
    raw_frame(raw, RAW_SETTINGS, 0, 0, TEXT_NONE);
    raw_frame(raw, RAW_SETTINGS, RAW_ACK, 0, TEXT_NONE);
}

static inline void raw_integer(struct builder *to, size_t value)
{
    if (value < 127) {
        builder_add_char(to, (char)value);
        return;
    }
    builder_add_char(to, 127);
    for (value -= 127; value >= 128; value >>= 7)
        builder_add_char(to, (char)(unsigned char)(value | 128));
    builder_add_char(to, (char)value);
}

/* HPACK, literal without indexing: the bytes as they are. */
static inline void raw_field(struct builder *to, struct text name, struct text value)
{
    builder_add_char(to, 0);
    raw_integer(to, name.len);
    builder_add(to, name);
    raw_integer(to, value.len);
    builder_add(to, value);
}

struct raw_field {
    struct text name, value;
};

#define RAW_FIELD(name, value)                                                                     \
    {                                                                                              \
        {name, sizeof(name) - 1},                                                                  \
        {                                                                                          \
            value, sizeof(value) - 1                                                               \
        }                                                                                          \
    }

static inline void raw_head(struct raw *raw, uint32_t id, uint8_t flags,
                            const struct raw_field *fields, size_t count)
{
    struct builder block = {0};
    for (size_t i = 0; i < count; i++)
        raw_field(&block, fields[i].name, fields[i].value);
    raw_frame(raw, RAW_HEADERS, flags, id, builder_text(&block));
    builder_fini(&block);
}

/* An honest request; `path` names it. */
static inline void raw_get(struct raw *raw, uint32_t id, uint8_t flags, const char *path)
{
    const struct raw_field fields[] = {RAW_FIELD(":method", "GET"),
                                       RAW_FIELD(":scheme", "http"),
                                       {TEXT(":path"), text_of(path)},
                                       RAW_FIELD(":authority", "a")};
    raw_head(raw, id, flags, fields, 4);
}

static inline bool raw_is_refused(const struct raw *raw, uint32_t id)
{
    const struct raw_frame *reset = raw_find(raw, RAW_RESET, id);
    const struct raw_frame *head = raw_find(raw, RAW_HEADERS, id);
    if (head != NULL)
        return head->first != 0x88;
    return reset != NULL && reset->code == 1;
}

static inline bool raw_is_answered(const struct raw *raw, uint32_t id)
{
    const struct raw_frame *head = raw_find(raw, RAW_HEADERS, id);
    return head != NULL && head->first == 0x88;
}
