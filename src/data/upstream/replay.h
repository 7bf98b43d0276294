/* What was sent of a request's body, kept so that another try can send it again. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buffer.h"
#include "http/stream.h"

struct replay {
    struct buffer bytes;            /* from the body's first on */
    const struct message *trailers; /* borrows: of the client's stream */
    size_t sent;                    /* of `bytes`, in this try */
    bool is_kept;                   /* false: not wanted, or too long */
    bool has_ended;                 /* the body, or its trailers, were handed over */
    bool is_end_sent;               /* in this try */
};

/* `keep` false: nothing is kept, replay_is_whole is false. */
void replay_init(struct replay *replay, struct buffer_pool *pool, bool keep);
void replay_fini(struct replay *replay);
/* These went upstream in this try; `end`: they were the last. Before replay_is_sent: just the end
 * is known, and nothing went. More than LIMIT_BODY_BUFFER is too much to keep. */
void replay_took(struct replay *replay, struct text bytes, bool end);
void replay_took_trailers(struct replay *replay, const struct message *trailers);
/* Another try could send all that was taken so far. */
bool replay_is_whole(const struct replay *replay);
/* A new try begins. */
void replay_rewind(struct replay *replay);
/* All that was kept is on its way: the client's next bytes may follow. */
bool replay_is_sent(const struct replay *replay);
/* Sends as much as the stream takes; true when all is on its way. */
bool replay_send(struct replay *replay, struct http_stream *stream);
