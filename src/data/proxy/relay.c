/* Fills from one stream, drains to the other, passes the end on. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/relay.h"

void relay_init(struct relay *relay, struct stream *from, struct stream *to,
                struct splice_pool *pool)
{
    *relay = (struct relay){.from = from, .to = to, .pool = pool, .pipe = {-1, -1, 0}};
    buffer_init(&relay->bytes, loop_buffers(from->loop));
}

void relay_fini(struct relay *relay)
{
    if (relay->pool == NULL)
        return;
    splice_give(relay->pool, &relay->pipe);
    buffer_fini(&relay->bytes);
}

static bool is_empty(const struct relay *relay)
{
    return buffer_len(&relay->bytes) == 0 && relay->pipe.held == 0;
}

static enum err read_some(struct relay *relay)
{
    struct stream *from = relay->from;
    bool is_plain = from->tls == NULL && relay->to->tls == NULL;
    if (is_plain && relay->pipe.in < 0 &&
        !splice_take(relay->pool, loop_io(from->loop), &relay->pipe))
        is_plain = false;
    if (!is_plain)
        return stream_read(from, &relay->bytes, LIMIT_BUFFER_BLOCK);
    enum err err = splice_read(from, &relay->pipe);
    if (err != ERR_NONE)
        splice_give(relay->pool, &relay->pipe);
    return err;
}

/* False: there is nothing now. */
static bool fill(struct relay *relay)
{
    if (relay->ended || !relay->from->read_ready)
        return relay->ended;
    enum err err = read_some(relay);
    if (err == ERR_AGAIN)
        return false;
    if (err == ERR_NONE)
        return true;
    relay->ended = true;
    relay->broken = err != ERR_CLOSED;
    return true;
}

/* False: the sink is full, or gone. */
static bool drain(struct relay *relay)
{
    uint64_t before = buffer_len(&relay->bytes);
    enum err err = before > 0 ? stream_write(relay->to, &relay->bytes) : ERR_NONE;
    relay->moved += before - buffer_len(&relay->bytes);
    if (err == ERR_NONE && relay->pipe.held > 0) {
        uint32_t taken;
        err = splice_write(relay->to, &relay->pipe, &taken);
        relay->moved += taken;
    }
    if (err == ERR_NONE || err == ERR_AGAIN)
        return err == ERR_NONE;
    relay->ended = relay->lost = relay->done = true;
    return false;
}

/* Everything is handed to the sink: the end follows it. False: some of it stands enciphered in the
 * sink's stream, and would be lost with it; STREAM_WRITABLE comes once the kernel took it all. */
static bool pass_end(struct relay *relay)
{
    if (relay->broken)
        return true;
    if (!relay->told)
        stream_end_write(relay->to);
    relay->told = true;
    return !relay->to->write_blocked;
}

void relay_move(struct relay *relay)
{
    int rounds = 0;
    while (!relay->done && rounds++ < LIMIT_TUNNEL_ROUNDS) {
        if (is_empty(relay) && !fill(relay))
            return;
        if (!is_empty(relay) && !drain(relay))
            return;
        if (!is_empty(relay) || !relay->ended)
            continue;
        relay->done = pass_end(relay);
        if (!relay->done)
            return;
    }
    if (!relay->done)
        stream_resume(relay->from);
}
