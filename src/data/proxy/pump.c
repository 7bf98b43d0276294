/* Moves bodies. A source is read only while its sink takes: that is all the back-pressure there is,
 * and a tunnel is two bodies without an end. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/pump.h"

#include "data/proxy/mirror.h"
#include "data/proxy/rpc.h"
#include "data/proxy/rpc_web.h"
#include "data/proxy/transfer.h"

bool pump_hold(struct transfer *t)
{
    struct http_stream *client = t->x.client;
    struct held_body *held = &t->x.held;
    while (client != NULL && buffer_len(&held->bytes) < held->wanted) {
        struct text bytes = http_stream_peek(client);
        if (bytes.len == 0)
            break;
        size_t len = MIN(bytes.len, held->wanted - buffer_len(&held->bytes));
        buffer_add(&held->bytes, bytes.data, len);
        http_stream_consume(client, len);
        t->x.request_bytes += len;
    }
    held->is_whole = client != NULL && client->read_ended;
    if (!held->is_whole && buffer_len(&held->bytes) < held->wanted)
        return false;
    held->wanted = 0;
    return true;
}

static size_t send_plain(struct transfer *t, struct text bytes)
{
    size_t taken = call_write(&t->call, bytes, false);
    if (UNLIKELY(t->mirrors != NULL))
        mirror_feed(t, text_slice(bytes, 0, taken));
    return taken;
}

/* What is decoded waits in web->in until the backend takes it. */
static size_t send_decoded(struct transfer *t, struct text bytes)
{
    struct buffer *in = &t->web->in;
    size_t used = 0;
    for (;;) {
        if (buffer_len(in) > 0)
            buffer_consume(in, send_plain(t, buffer_text(in)));
        if (buffer_len(in) > 0 || used == bytes.len)
            return used;
        used += rpc_web_read(t->web, text_slice(bytes, used, bytes.len));
    }
}

/* Of the client's bytes; returns how many are done with. */
static size_t send_up(struct transfer *t, struct text bytes)
{
    if (UNLIKELY(t->web != NULL) && t->web->is_text_in)
        return send_decoded(t, bytes);
    return send_plain(t, bytes);
}

/* True: nothing that was held, or decoded, is left. */
static bool pump_held(struct transfer *t)
{
    struct buffer *held = &t->x.held.bytes;
    if (buffer_len(held) > 0)
        buffer_consume(held, send_up(t, buffer_text(held)));
    else if (UNLIKELY(t->web != NULL))
        (void)send_decoded(t, TEXT_NONE);
    return buffer_len(held) == 0 && (t->web == NULL || buffer_len(&t->web->in) == 0);
}

static bool can_end(struct rpc_web *web)
{
    return buffer_len(&web->in) == 0 && rpc_web_is_whole(web);
}

void pump_request(struct transfer *t)
{
    struct http_stream *client = t->x.client;
    if (client == NULL || t->request_ended || t->call.is_over || t->call.stream == NULL ||
        !pump_held(t))
        return;
    for (;;) { /* the first peek asks a client that waits for it: 100 */
        struct text bytes = http_stream_peek(client);
        if (bytes.len == 0)
            break;
        size_t taken = send_up(t, bytes);
        if (taken > 0)
            http_stream_consume(client, taken);
        t->x.request_bytes += taken;
        if (taken < bytes.len)
            return;
    }
    if (client->read_ended && (LIKELY(t->web == NULL) || can_end(t->web))) {
        t->request_ended = true;
        mirror_feed_end(t, &client->trailers);
        if (client->trailers.field_count > 0)
            call_send_trailers(&t->call, &client->trailers);
        else
            call_write(&t->call, TEXT_NONE, true);
    }
}

static bool pump_local(struct transfer *t)
{
    struct text rest = text_slice(t->x.local_body, t->local_sent, t->x.local_body.len);
    size_t taken = http_stream_write(t->x.client, rest, true);
    t->local_sent += taken;
    t->x.response_bytes += taken;
    return t->local_sent == t->x.local_body.len;
}

static size_t send_down(struct transfer *t, struct text bytes)
{
    if (UNLIKELY(t->web != NULL))
        return rpc_web_write(t->web, bytes);
    size_t taken = http_stream_write(t->x.client, bytes, false);
    t->x.response_bytes += taken;
    return taken;
}

static bool end_web(struct transfer *t, const struct message *trailers)
{
    if (rpc_web_finish(t->web, trailers))
        return rpc_web_flush(t->web);
    t->x.flag = FLAG_UPE;
    t->x.details = "upstream_message_incomplete";
    http_stream_reset(t->x.client, ERR_PROTOCOL);
    return false;
}

bool pump_response(struct transfer *t)
{
    struct http_stream *client = t->x.client, *from = t->call.stream;
    if (client == NULL || t->response_ended || t->status == 0)
        return false;
    if (t->is_local)
        return pump_local(t);
    if (UNLIKELY(t->web != NULL) && t->web->is_ending)
        return rpc_web_flush(t->web);
    if (from == NULL)
        return false;
    for (;;) {
        struct text bytes = http_stream_peek(from);
        if (bytes.len == 0)
            break;
        size_t taken = send_down(t, bytes);
        if (taken > 0)
            http_stream_consume(from, taken);
        if (taken < bytes.len)
            return false;
    }
    if (!from->read_ended)
        return false;
    if (UNLIKELY(t->is_rpc))
        rpc_end(&t->x, &from->trailers);
    if (UNLIKELY(t->web != NULL))
        return end_web(t, &from->trailers);
    if (from->trailers.field_count > 0)
        http_stream_send_trailers(client, &from->trailers);
    else
        (void)http_stream_write(client, TEXT_NONE, true);
    return true;
}
