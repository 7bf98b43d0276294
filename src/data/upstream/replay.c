/* Keeps the beginning of a body as long as it is short, and sends it again. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/replay.h"

#include "base/limits.h"

void replay_init(struct replay *replay, struct buffer_pool *pool, bool keep)
{
    *replay = (struct replay){.is_kept = keep};
    buffer_init(&replay->bytes, pool);
}

void replay_fini(struct replay *replay)
{
    buffer_fini(&replay->bytes);
    replay->is_kept = false;
    replay->sent = 0;
}

void replay_took(struct replay *replay, struct text bytes, bool end)
{
    if (!replay->is_kept)
        return;
    bool is_now = replay_is_sent(replay); /* else it is only known, and follows what is kept */
    if (buffer_len(&replay->bytes) + bytes.len > LIMIT_BODY_BUFFER) {
        replay_fini(replay);
        return;
    }
    if (bytes.len > 0)
        buffer_add(&replay->bytes, bytes.data, bytes.len);
    replay->sent += bytes.len;
    replay->has_ended = end;
    replay->is_end_sent = end && is_now;
}

void replay_took_trailers(struct replay *replay, const struct message *trailers)
{
    replay_took(replay, TEXT_NONE, true);
    replay->trailers = trailers;
}

bool replay_is_whole(const struct replay *replay)
{
    return replay->is_kept;
}

void replay_rewind(struct replay *replay)
{
    replay->sent = 0;
    replay->is_end_sent = false;
}

bool replay_is_sent(const struct replay *replay)
{
    return replay->sent == buffer_len(&replay->bytes) &&
           (replay->is_end_sent || !replay->has_ended);
}

bool replay_send(struct replay *replay, struct http_stream *stream)
{
    if (replay_is_sent(replay))
        return true;
    struct text all = buffer_text(&replay->bytes);
    struct text rest = text_slice(all, replay->sent, all.len);
    bool end = replay->has_ended && replay->trailers == NULL;
    if (rest.len > 0 || end)
        replay->sent += http_stream_write(stream, rest, end);
    if (replay->sent < all.len)
        return false;
    if (replay->has_ended && replay->trailers != NULL)
        http_stream_send_trailers(stream, replay->trailers);
    replay->is_end_sent = replay->has_ended;
    return true;
}
