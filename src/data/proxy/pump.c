/* Moves bodies. A source is read only while its sink takes: that is all the back-pressure there is,
 * and a tunnel is two bodies without an end. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/pump.h"

#include "data/proxy/mirror.h"
#include "data/proxy/rpc.h"
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

/* True: nothing that was held is left. */
static bool pump_held(struct transfer *t)
{
    struct buffer *held = &t->x.held.bytes;
    if (LIKELY(buffer_len(held) == 0))
        return true;
    size_t taken = call_write(&t->call, buffer_text(held), false);
    if (t->mirrors != NULL)
        mirror_feed(t, text_slice(buffer_text(held), 0, taken));
    buffer_consume(held, taken);
    return buffer_len(held) == 0;
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
        size_t taken = call_write(&t->call, bytes, false);
        if (UNLIKELY(t->mirrors != NULL))
            mirror_feed(t, text_slice(bytes, 0, taken));
        if (taken > 0)
            http_stream_consume(client, taken);
        t->x.request_bytes += taken;
        if (taken < bytes.len)
            return;
    }
    if (client->read_ended) {
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

bool pump_response(struct transfer *t)
{
    struct http_stream *client = t->x.client, *from = t->call.stream;
    if (client == NULL || t->response_ended || t->status == 0)
        return false;
    if (t->is_local)
        return pump_local(t);
    if (from == NULL)
        return false;
    for (;;) {
        struct text bytes = http_stream_peek(from);
        if (bytes.len == 0)
            break;
        size_t taken = http_stream_write(client, bytes, false);
        if (taken > 0)
            http_stream_consume(from, taken);
        t->x.response_bytes += taken;
        if (taken < bytes.len)
            return false;
    }
    if (!from->read_ended)
        return false;
    if (UNLIKELY(t->is_rpc))
        rpc_end(&t->x, &from->trailers);
    if (from->trailers.field_count > 0)
        http_stream_send_trailers(client, &from->trailers);
    else
        (void)http_stream_write(client, TEXT_NONE, true);
    return true;
}
