/* A call with both bodies in memory. Asking twice does no harm, so a try that broke is repeated. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/inquiry.h"

#include "base/limits.h"

static void finish(struct inquiry *inquiry, enum err err, const char *why)
{
    if (inquiry->is_done)
        return;
    inquiry->is_done = true;
    inquiry->err = err;
    inquiry->why = why;
    loop_disarm(inquiry->x.loop, &inquiry->timer);
    call_cancel(&inquiry->call);
    inquiry->options.on_done(inquiry->options.owner);
}

static void on_timer(void *owner)
{
    finish(owner, ERR_TIMEOUT, "timeout");
}

static void send_body(void *owner)
{
    struct inquiry *inquiry = owner;
    struct text body = inquiry->options.body;
    struct text rest = text_slice(body, inquiry->body_sent, body.len);
    if (rest.len > 0 && !inquiry->is_done)
        inquiry->body_sent += call_write(&inquiry->call, rest, true);
}

static void on_informational(void *owner, struct message *head)
{
    (void)owner, (void)head;
}

static void on_readable(void *owner)
{
    struct inquiry *inquiry = owner;
    struct http_stream *from = inquiry->call.stream;
    struct text bytes;
    if (from == NULL)
        return;
    while ((bytes = http_stream_peek(from)).len > 0) {
        if (buffer_len(&inquiry->answer) + bytes.len > LIMIT_INQUIRY_ANSWER) {
            finish(inquiry, ERR_LIMIT, "answer_too_long");
            return;
        }
        buffer_add(&inquiry->answer, bytes.data, bytes.len);
        http_stream_consume(from, bytes.len);
    }
    if (!from->read_ended)
        return;
    message_copy(&inquiry->trailers, &from->trailers, inquiry->x.arena);
    finish(inquiry, ERR_NONE, NULL);
}

static void on_head(void *owner, struct message *head, bool end)
{
    struct inquiry *inquiry = owner;
    message_copy(&inquiry->head, head, inquiry->x.arena);
    if (end)
        finish(inquiry, ERR_NONE, NULL);
    else
        on_readable(inquiry);
}

static void on_retry(void *owner, int status)
{
    (void)owner, (void)status;
}

static void on_failed(void *owner, enum err err, enum response_flag flag, const char *details)
{
    (void)flag;
    finish(owner, err == ERR_NONE ? ERR_CLOSED : err, details);
}

static const struct call_events EVENTS = {
    .on_sent = send_body,
    .on_informational = on_informational,
    .on_head = on_head,
    .on_readable = on_readable,
    .on_writable = send_body,
    .on_retry = on_retry,
    .on_failed = on_failed,
};

void inquiry_start(struct inquiry *inquiry, const struct exchange *from,
                   const struct inquiry_options *options)
{
    const struct backend_table *table = from->lease->snapshot->backends;
    struct backend *backend =
        options->slot < backend_table_slots(table) ? backend_table_get(table, options->slot) : NULL;
    inquiry->options = *options;
    inquiry->policy.retry.attempts = 1;
    exchange_beside(&inquiry->x, from, from->arena, &inquiry->policy);
    inquiry->x.request = options->request;
    buffer_init(&inquiry->answer, loop_buffers(from->loop));
    timer_init(&inquiry->timer, inquiry, on_timer);
    if (backend == NULL || backend->fail_status != 0) {
        finish(inquiry, ERR_REFUSED, "backend_unusable");
        return;
    }
    loop_arm(from->loop, &inquiry->timer, options->timeout_ms);
    call_start(&inquiry->call, &(struct call_request){
                                   .x = &inquiry->x,
                                   .pools = from->pools,
                                   .backend = backend,
                                   .request_ends = options->body.len == 0,
                                   .events = &EVENTS,
                                   .owner = inquiry,
                               });
}

void inquiry_cancel(struct inquiry *inquiry)
{
    if (inquiry->x.loop == NULL)
        return;
    inquiry->is_done = true;
    loop_disarm(inquiry->x.loop, &inquiry->timer);
    call_cancel(&inquiry->call);
    buffer_fini(&inquiry->answer);
}
